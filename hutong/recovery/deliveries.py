"""Which deliveries of certain events lie on recipients' topics already: looked for once, and again where time has passed since.

Neighbours: ``survey`` asks, so that nothing is delivered twice; ``trace`` asks where an event has gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from hutong.event import REPLAY_HEADER, header
from hutong.kafka.scan import Scan
from hutong.recovery.record import Place, headers_of
from hutong.transport import Record

__all__ = ["CLOCKS_MS", "Made", "deliveries_of", "made_of"]

CLOCKS_MS = 300_000
"""The clocks of publishers, routers and brokers may differ by so much: what lies before that is looked at too."""

Advance = Callable[[int], None]
"""Is told of so many records that were looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A delivery that was made.

    Attributes:
        agreement: by which agreement.
        event_id: of which event.
        place: where it lies.
        at_ms: since when.
        replay: the replay that made it; None for the router.
    """

    agreement: str
    event_id: str
    place: Place
    at_ms: int
    replay: str | None


def made_of(record: Record) -> Made | None:
    """The delivery that a record of a recipient's topic is; None where it names no event and no agreement."""
    headers = headers_of(record)
    event_id, agreement = header(headers, "ce_id"), header(headers, "ce_agreement")
    if not event_id or not agreement:
        return None
    replay = header(headers, REPLAY_HEADER)
    return Made(
        agreement=agreement.decode("utf-8", "replace"),
        event_id=event_id.decode("utf-8", "replace"),
        place=Place(str(record.topic()), record.partition() or 0, record.offset() or 0),
        at_ms=record.timestamp()[1],
        replay=replay.decode("utf-8", "replace") if replay else None,
    )


def deliveries_of(
    scan: Scan, topics: Iterable[str], since_ms: int, wanted: Callable[[bytes], bool], advance: Advance
) -> Iterator[Made]:
    """The deliveries of wanted events on recipients' topics.

    Args:
        scan: reads the bus.
        topics: which.
        since_ms: when the oldest of the events was published.
        wanted: event id -> whether it is one of them.
        advance: is told how far it has got.
    """
    looked_at = 0
    for record in scan.records(scan.stretches(topics, since_ms - CLOCKS_MS)):
        looked_at += 1
        if looked_at % 1_000 == 0:
            advance(1_000)
        event_id = header(headers_of(record), "ce_id")
        if event_id and wanted(event_id) and (made := made_of(record)) is not None:
            yield made
    advance(looked_at % 1_000)
