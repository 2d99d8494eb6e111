"""From what lies about after a run to the judgement on it: topics, books and holdings are read, and the account is settled.

Neighbours: ``stage`` calls this at the end of a run, ``account`` judges.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Message

from demo import act_one
from demo.account import Committed, Held, Published, settle
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

__all__ = ["Evidence", "settle_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a run leaves behind.

    Attributes:
        rights: every agreement.
        issues: the register's issues.
        committed: the events of the departments' books.
        refused: entries that were refused at the counters.
        broken: contract -> the event ids that broken records claim.
        ministries: who holds what.
    """

    rights: Sequence[Right]
    issues: Sequence[Revision]
    committed: Sequence[Committed]
    refused: int
    broken: Mapping[str, Sequence[str]]
    ministries: Ministries


def settle_run(evidence: Evidence, *, seed: int, slips: int, seconds: dict[str, float], memory: Mapping[str, int]) -> Run:
    """Read both sides, compare them, and put everything that is known of the run together."""
    gc.disable()  # some hundred thousand small objects that all stay: looking for garbage among them takes a quarter of the time
    try:
        return _settle_run(evidence, seed=seed, slips=slips, seconds=seconds, memory=memory)
    finally:
        gc.enable()


def _settle_run(evidence: Evidence, *, seed: int, slips: int, seconds: dict[str, float], memory: Mapping[str, int]) -> Run:
    settings = Settings.resolve("operator")
    contracts = sorted({DIVISIONS, *(event.contract for event in evidence.committed), *evidence.broken})
    messages = list(read_topics(settings, [f"pub.{contract}" for contract in contracts]))
    published = list(published_on(messages))
    quarantined = list(quarantined_on(read_topics(settings, [f"quarantine.{contract}" for contract in contracts])))
    held = list(evidence.ministries.held())
    register = list(register_events(evidence.issues, _register_ids(settings, messages)))
    account = settle(evidence.rights, [*register, *evidence.committed], published, held, evidence.broken, quarantined)
    return Run(
        seed=seed,
        seconds=seconds,
        registers=act_one.compare(evidence.issues, held),
        account=account,
        refused=evidence.refused,
        slips=slips,
        reasons=Counter(record.reason for record in quarantined),
        rates=_rates(published, held),
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


def _rates(published: Sequence[Published], held: Sequence[Held]) -> dict[str, Rate]:
    """How fast the departments' events went through each stage, the register left aside."""
    lived = {record.id: record for record in published if record.contract != DIVISIONS}
    delivered = [delivery for delivery in held if delivery.id in lived]
    return {
        "applications (business change and event committed)": rate_of(record.made_ms for record in lived.values()),
        "relays (outbox to the published topics)": rate_of(record.appended_ms for record in lived.values()),
        "router (deliveries)": rate_of(delivery.delivered_ms for delivery in delivered),
        "ministries (deliveries received)": rate_of(delivery.received_ms for delivery in delivered),
    }
