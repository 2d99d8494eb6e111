"""The account of a run: what the sources say happened, against what each ministry holds. Pure: no bus, no files, no clock.

Per agreement, published = delivered + filtered + quarantined, or something is lost, held twice, or held without a right. Nothing
here believes a counter of the bus. Neighbours: ``sources`` and ``holdings`` read the two sides, ``rights`` says what is granted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from demo.rights import Right, as_plain, canonical

__all__ = ["Account", "AgreementAccount", "Committed", "Held", "Published", "Quarantined", "settle"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """An event as its source committed it.

    Attributes:
        id: the event id that the source kept.
        contract: the contract's name.
        key: the contract's key, as text.
        key_field: name of the field that it is.
        data: the event, computed from the source's own tables.
    """

    id: str
    contract: str
    key: str
    key_field: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A record on a published topic.

    Attributes:
        id: the event id that it names.
        contract: the topic's contract.
        made_ms: when the source made the event, in milliseconds since the epoch.
        appended_ms: when the brokers had it.
    """

    id: str
    contract: str
    made_ms: int
    appended_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A delivery as a ministry holds it, in the order of receipt.

    Attributes:
        agreement: the agreement that it names.
        id: the event id that it names.
        key: its Kafka key.
        data: its data as JSON text, as ``canonical`` writes it.
        delivered_ms: when the router put it there, in milliseconds since the epoch.
        received_ms: when the ministry had it.
    """

    agreement: str
    id: str
    key: str
    data: str
    delivered_ms: int
    received_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A record in quarantine: of which contract, why, and of which event where it names one."""

    contract: str
    reason: str
    id: str = ""


@dataclass(slots=True, kw_only=True)
class AgreementAccount:
    """One agreement's account.

    Attributes:
        right: the agreement.
        published: events of its contract, the broken records included.
        filtered: events that its rows keep back.
        delivered: granted events that the ministry holds.
        quarantined: broken records of its contract.
        lost: granted events that the ministry does not hold.
        duplicated: how often it holds an event again.
        undue: what it holds without a right to it.
        differing: deliveries whose data or key are not exactly what is granted, more or less or other.
        disordered: deliveries that came after a later change of the same key.
        latencies: milliseconds from the brokers' append of the event to receipt.
        sample: an event and what became of it.
    """

    right: Right
    published: int = 0
    filtered: int = 0
    delivered: int = 0
    quarantined: int = 0
    lost: int = 0
    duplicated: int = 0
    undue: int = 0
    differing: int = 0
    disordered: int = 0
    latencies: list[int] = field(default_factory=list)
    sample: tuple[Any, Any] | None = None

    @property
    def adds_up(self) -> bool:
        """Whether nothing is missing, and nothing too much."""
        wrong = self.lost + self.duplicated + self.undue + self.differing + self.disordered
        return not wrong and self.published == self.delivered + self.filtered + self.quarantined


@dataclass(slots=True, kw_only=True)
class Account:
    """The whole run.

    Attributes:
        agreements: one account for each agreement on a contract that somebody published.
        published: events that the sources committed, and broken records that were written.
        quarantined: broken records that are in quarantine.
        unpublished: committed events that are on no topic.
        repeated: records on topics that repeat an event.
        unknown: events on topics that no source committed.
        unquarantined: broken records that are not in quarantine.
        wrongly_quarantined: sound events in quarantine.
    """

    agreements: list[AgreementAccount]
    published: int = 0
    quarantined: int = 0
    unpublished: int = 0
    repeated: int = 0
    unknown: int = 0
    unquarantined: int = 0
    wrongly_quarantined: int = 0

    @property
    def delivered(self) -> int:
        """Deliveries held, over all agreements."""
        return sum(one.delivered for one in self.agreements)

    @property
    def filtered(self) -> int:
        """Events kept back, over all agreements."""
        return sum(one.filtered for one in self.agreements)

    @property
    def lost(self) -> int:
        """Everything that did not arrive where it had to."""
        return sum(one.lost for one in self.agreements) + self.unpublished + self.unquarantined

    @property
    def duplicated(self) -> int:
        """Everything that is somewhere twice."""
        return sum(one.duplicated for one in self.agreements) + self.repeated

    @property
    def adds_up(self) -> bool:
        """Whether the run kept its promises."""
        strays = self.lost + self.duplicated + self.unknown + self.wrongly_quarantined
        return not strays and all(one.adds_up for one in self.agreements)


def settle(
    rights: Iterable[Right],
    committed: Sequence[Committed],
    published: Iterable[Published],
    held: Iterable[Held],
    broken: Mapping[str, Sequence[str]],
    quarantined: Iterable[Quarantined],
) -> Account:
    """Compare both sides.

    Args:
        rights: every agreement.
        committed: what the sources committed, in their order.
        published: what lies on the published topics.
        held: what the ministries hold, each agreement's in the order of receipt.
        broken: contract -> the broken records that were written to its topic: the event id that each claims, or nothing.
        quarantined: what lies in quarantine.
    """
    published = list(published)
    times = {record.id: record.appended_ms for record in published}
    claimed = {event_id for events in broken.values() for event_id in events}
    appended = Counter(record.id for record in published if record.id not in claimed)
    by_contract = _grouped(committed, lambda event: event.contract)
    holdings = _grouped(held, lambda delivery: delivery.agreement)
    account = Account(
        agreements=[
            _settle_one(right, by_contract.get(right.contract, []), holdings.pop(right.agreement, []), times, broken)
            for right in rights
            if right.contract in by_contract or right.contract in broken
        ],
        published=len(committed) + sum(map(len, broken.values())),
    )
    ids = {event.id for event in committed}
    account.unpublished = len(ids - appended.keys())
    account.repeated = sum(appended.values()) - len(appended)
    account.unknown = len(appended.keys() - ids) + sum(map(len, holdings.values()))
    _quarantine(account, ids, broken, list(quarantined))
    return account


def _grouped(things: Iterable[_T], name: Callable[[_T], str]) -> dict[str, list[_T]]:
    groups: dict[str, list[_T]] = {}
    for thing in things:
        groups.setdefault(name(thing), []).append(thing)
    return groups


def _quarantine(account: Account, ids: set[str], broken: Mapping[str, Sequence[str]], quarantined: Sequence[Quarantined]) -> None:
    sound = [record for record in quarantined if record.id in ids]
    found = Counter(record.contract for record in quarantined if record.id not in ids)
    account.wrongly_quarantined = len(sound) + sum(max(0, found[name] - len(broken.get(name, ()))) for name in found)
    account.quarantined = sum(min(found[name], len(records)) for name, records in broken.items())
    account.unquarantined = sum(map(len, broken.values())) - account.quarantined


def _settle_one(
    right: Right, events: Sequence[Committed], held: Sequence[Held], times: Mapping[str, int], broken: Mapping[str, Sequence[str]]
) -> AgreementAccount:
    account = AgreementAccount(right=right, quarantined=len(broken.get(right.contract, ())))
    account.published = len(events) + account.quarantined
    granted = {event.id: (position, event) for position, event in enumerate(events) if right.grants(event.data)}
    account.filtered = len(events) - len(granted)
    seen: set[str] = set()
    latest: dict[str, int] = {}
    for delivery in held:
        if delivery.id not in granted:
            account.undue += 1
            continue
        if delivery.id in seen:
            account.duplicated += 1
            continue
        seen.add(delivery.id)
        position, event = granted[delivery.id]
        account.disordered += latest.get(event.key, -1) > position
        latest[event.key] = max(position, latest.get(event.key, -1))
        due_key = right.delivery_key(event.key, event.key_field)
        account.differing += delivery.data != canonical(right.delivery(event.data)) or delivery.key != due_key
        if delivery.id in times:
            account.latencies.append(delivery.received_ms - times[delivery.id])
        account.sample = account.sample or (as_plain(event.data), json.loads(delivery.data))
    account.delivered = len(seen)
    account.lost = len(granted) - len(seen)
    return account
