"""From what lies about after a run to the judgement on it: topics, books and holdings are read, and the account is settled.

Neighbours: ``stage`` calls this at the end of a run, ``account`` judges.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from confluent_kafka import Message

from demo import act_one
from demo.account import Committed, Held, Published, settle
from demo.act_three import EMITTED, Cast
from demo.figures import Rate, rate_of
from demo.ministries import Ministries
from demo.register import Revision
from demo.report import Run
from demo.rights import Right
from demo.sources import DIVISIONS, register_events
from demo.topics import published_on, quarantined_on, read_topics
from hutong.decoding import Decoder
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings

__all__ = ["Books", "Evidence", "settle_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the departments of act two know.

    Attributes:
        committed: the events of their books.
        refused: entries that were refused at the counters.
        broken: contract -> the event ids that broken records claim.
    """

    committed: Sequence[Committed]
    refused: int
    broken: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a run leaves behind.

    Attributes:
        rights: every agreement.
        issues: the register's issues.
        books: act two.
        ministries: who holds what.
        cast: act three.
    """

    rights: Sequence[Right]
    issues: Sequence[Revision]
    books: Books
    ministries: Ministries
    cast: Cast


def settle_run(evidence: Evidence, *, seed: int, slips: int, seconds: dict[str, float], memory: Mapping[str, int]) -> Run:
    """Read both sides, compare them, and put everything that is known of the run together."""
    gc.disable()  # some hundred thousand small objects that all stay: looking for garbage among them takes a quarter of the time
    try:
        return _settle_run(evidence, seed=seed, slips=slips, seconds=seconds, memory=memory)
    finally:
        gc.enable()


def _settle_run(evidence: Evidence, *, seed: int, slips: int, seconds: dict[str, float], memory: Mapping[str, int]) -> Run:
    settings = Settings.resolve("operator")
    committed = [*evidence.books.committed, *evidence.cast.sources()]
    contracts = sorted({DIVISIONS, *(event.contract for event in committed), *evidence.books.broken})
    messages = list(read_topics(settings, [f"pub.{contract}" for contract in contracts]))
    published = list(published_on(messages))
    quarantined = list(quarantined_on(read_topics(settings, [f"quarantine.{contract}" for contract in contracts])))
    emitted = {right.agreement for right in evidence.rights if right.contract in EMITTED}
    held, reports = _apart(evidence.ministries.held(), emitted)
    register = list(register_events(evidence.issues, _register_ids(settings, messages)))
    account = settle(evidence.rights, [*register, *committed], published, held, evidence.books.broken, quarantined)
    return Run(
        seed=seed,
        seconds=seconds,
        registers=act_one.compare(evidence.issues, held),
        account=account,
        cases=evidence.cast.settle(reports),
        refused=evidence.books.refused,
        slips=slips,
        reasons=Counter(record.reason for record in quarantined),
        rates=_rates({event.id for event in evidence.books.committed}, published, held),
        memory=memory,
    )


def _register_ids(settings: Settings, messages: Iterable[Message]) -> dict[tuple[str, str], str]:
    """(code, issue) of each change of the register that lies on its topic -> its event id."""
    decoder = Decoder(Registry.of(settings))
    ids: dict[tuple[str, str], str] = {}
    for message in messages:
        if message.topic() == f"pub.{DIVISIONS}":
            change = decoder.decode(message.value())
            (published,) = published_on([message])
            ids.setdefault((change["code"], change["revision"]), published.id)
    return ids


def _apart(held: Iterable[Held], agreements: Set[str]) -> tuple[list[Held], list[Held]]:
    """What sources sent, and what flows did: the two are judged by different accounts."""
    parts: tuple[list[Held], list[Held]] = [], []
    for one in held:
        parts[one.agreement in agreements].append(one)
    return parts


def _rates(lived_through: Set[str], published: Sequence[Published], held: Sequence[Held]) -> dict[str, Rate]:
    """How fast the events of act two went through each stage."""
    lived = {record.id: record for record in published if record.id in lived_through}
    delivered = [delivery for delivery in held if delivery.id in lived]
    return {
        "applications (business change and event committed)": rate_of(record.made_ms for record in lived.values()),
        "relays (outbox to the published topics)": rate_of(record.appended_ms for record in lived.values()),
        "router (deliveries)": rate_of(delivery.delivered_ms for delivery in delivered),
        "ministries (deliveries received)": rate_of(delivery.received_ms for delivery in delivered),
    }
