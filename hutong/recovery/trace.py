"""One event, from where it was published to everywhere it went or did not go. Looks, and changes nothing.

Neighbours: ``verdict`` says what became of it under each agreement; ``hutong explain`` prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hutong.errors import ConfigurationError
from hutong.event import header
from hutong.kafka.scan import Stretches
from hutong.recovery.bus import Bus, now_ms
from hutong.recovery.deliveries import CLOCKS_MS, Made, deliveries_of
from hutong.recovery.ledger import Ledger
from hutong.recovery.record import Place, QuarantineRecord, headers_of, told_id
from hutong.recovery.selection import Selection
from hutong.recovery.survey import selected
from hutong.recovery.verdict import Answer, Facts, answer
from hutong.transcode.routing import Inbound
from hutong.transport import Record

__all__ = ["Trace", "moment_of", "trace"]

Advance = Callable[[int], None]

_SOON_MS = 3_600_000
"""An event is published within this after its id was made, nearly always: so much of the topics is looked at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What is known of an event.

    Attributes:
        event_id: its id.
        contract: of which contract.
        place: where it was published.
        copies: where else it lies under the same id: a relay publishes an event again that it is not sure of.
        published_ms: when, by the broker's clock.
        is_kept: whether it still lies there; else it is known from quarantine.
        quarantined: its records in quarantine.
        answers: what became of it, by agreement.
        ledger: what was replayed.
    """

    event_id: str
    contract: str
    place: Place
    copies: tuple[Place, ...]
    published_ms: int
    is_kept: bool
    quarantined: tuple[QuarantineRecord, ...]
    answers: tuple[Answer, ...]
    ledger: Ledger


def moment_of(event_id: str) -> int | None:
    """When an id of UUID version 7 was made, ms since the epoch; None of any other."""
    digits = event_id.replace("-", "")
    if len(event_id) != 36 or len(digits) != 32 or digits[12:13] != "7":
        return None
    try:
        return int(digits[:12], 16)
    except ValueError:
        return None


def trace(
    bus: Bus,
    event_id: str,
    *,
    group: str,
    contract: str | None = None,
    since_ms: int | None = None,
    everywhere: bool = False,
    advance: Advance = lambda _: None,
) -> Trace:
    """Find an event and all that became of it. Of several copies the first one is told of, and all deliveries.

    Args:
        bus: the bus.
        event_id: its id.
        group: the routers' consumer group.
        contract: of which contract; None looks through all.
        since_ms: published at this moment or later; by default what the id says.
        everywhere: look for deliveries on every recipient's topic, also for those of agreements that are gone.
        advance: is told of records that were looked at.

    Raises:
        ConfigurationError: there is no such event, or nothing says since when to look.
        HutongError: the bus cannot be read now.
    """
    since_ms = moment_of(event_id) if since_ms is None else since_ms
    if since_ms is None:
        raise ConfigurationError("the event's id does not say when it was made; say since when to look, with --since")
    topics = [f"pub.{contract}"] if contract else bus.scan.topics("pub.")
    found = _published(bus, topics, event_id.encode(), since_ms - CLOCKS_MS, advance)
    # Asked before deliveries are looked for: what is routed in between counts as not routed yet, and not as left out.
    position = _position(bus, group, found[0]) if found else 0
    parked = tuple(_in_quarantine(bus, event_id, _contract(found[0]) if found else contract, since_ms, advance))
    if found:
        place = _place(found[0])
        event = Inbound(place.topic, found[0].key(), found[0].value(), headers_of(found[0]), found[0].timestamp()[1])
    elif parked:
        place, event = parked[0].source, bus.original(parked[0]) or parked[0].event
    else:
        where = contract or "any topic"
        raise ConfigurationError(f"no event {told_id(event_id)} was published since then on {where}, or it is not kept any more")
    grants = bus.grants(event.topic.removeprefix("pub."))
    recipients = bus.destinations if everywhere else {one.agreement.topic for one in grants.values()}
    made = tuple(deliveries_of(bus.scan, recipients, event.appended_ms, lambda one: one == event_id.encode(), advance))
    is_passed = position > place.offset or bool(made) or any(not one.is_of_a_flow for one in parked)
    facts = _facts(bus, event, made, parked, is_passed=is_passed)
    schema = bus.schema_of(event)
    names = dict.fromkeys([*grants, *(one.agreement for one in made), *(one.agreement for one in parked if one.agreement)])
    return Trace(
        event_id=event_id,
        contract=event.topic.removeprefix("pub."),
        place=place,
        copies=tuple(_place(one) for one in found[1:]),
        published_ms=event.appended_ms,
        is_kept=bool(found),
        quarantined=parked,
        answers=tuple(answer(name, grants.get(name), facts, lambda _: schema) for name in names),
        ledger=facts.ledger,
    )


def _facts(bus: Bus, event: Inbound, made: tuple[Made, ...], parked: tuple[QuarantineRecord, ...], *, is_passed: bool) -> Facts:
    moment = now_ms()
    return Facts(
        event=event,
        routed=bus.route(event, moment),
        deliveries=made,
        quarantined=parked,
        ledger=bus.ledger(),
        is_passed=is_passed,
        now_ms=moment,
    )


def _published(bus: Bus, topics: list[str], event_id: bytes, since_ms: int, advance: Advance) -> list[Record]:
    """The event as it was published: looked for where it most likely is, then everywhere after; its copies lie near it."""
    soon = bus.scan.stretches(topics, since_ms, since_ms + CLOCKS_MS + _SOON_MS)
    later = {place: (soon[place][1], end) for place, (_, end) in bus.scan.stretches(topics, since_ms).items()}
    for stretches in (soon, later):
        first = next(_with_id(bus, stretches, event_id, advance), None)
        if first is not None:
            topic = str(first.topic())
            near = bus.scan.stretches([topic], since_ms, first.timestamp()[1] + _SOON_MS)
            return list(_with_id(bus, near, event_id, advance))
    return []


def _with_id(bus: Bus, stretches: Stretches, event_id: bytes, advance: Advance) -> Iterator[Record]:
    for number, record in enumerate(bus.scan.records(stretches), 1):
        if number % 1_000 == 0:
            advance(1_000)
        if header(headers_of(record), "ce_id") == event_id:
            yield record


def _position(bus: Bus, group: str, record: Record) -> int:
    place = (str(record.topic()), record.partition() or 0)
    return bus.scan.committed(group, [place])[place]


def _place(record: Record) -> Place:
    return Place(str(record.topic()), record.partition() or 0, record.offset() or 0)


def _in_quarantine(bus: Bus, event_id: str, contract: str | None, since_ms: int, advance: Advance) -> Iterator[QuarantineRecord]:
    contracts = frozenset({contract} if contract else ())
    yield from selected(bus, Selection(contracts=contracts, since_ms=since_ms - CLOCKS_MS, event=event_id), advance)


def _contract(record: Record) -> str:
    return str(record.topic()).removeprefix("pub.")
