"""A period delivered again to one recipient: what was published in it, under today's agreement, marked as a replay.

Every transaction stores how far it has got beside its deliveries, so a replay that was killed goes on where its last one ended.
What fails is counted, and does not go into quarantine: it is there since the first time. Neighbours: ``quarantine`` delivers what
never was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hutong.agreements.grant import Grant
from hutong.errors import ConfigurationError
from hutong.event import rfc3339
from hutong.recovery.bus import Bus, now_ms
from hutong.recovery.ledger import PERIOD, Author, Entry, Ledger, new_replay
from hutong.recovery.lot import Lot
from hutong.recovery.record import headers_of
from hutong.transcode.routing import Inbound, Routed, RoutingTable

__all__ = ["Period", "PeriodCounts", "before", "count_period", "most_events", "replay_period"]

Advance = Callable[[int], None]
Spans = dict[int, tuple[int, int]]
"""Partition -> the first offset, and the one behind the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What is to be delivered again.

    Attributes:
        agreement: under which agreement, and so to whom.
        since_ms: published at this moment or later, by the broker's clock.
        until_ms: published before this moment.
    """

    agreement: str
    since_ms: int
    until_ms: int


_NUMBERS = ("published", "delivered", "filtered", "left")


@dataclass(slots=True, kw_only=True)
class PeriodCounts:
    """What became of the events of a period.

    Attributes:
        published: how many there were.
        delivered: went to the recipient.
        filtered: the agreement does not grant them: their rows, or the moment they were published at.
        failed: reason -> how many the agreement cannot take.
        left: at most so many were left to the routers, which had not come to them.
    """

    published: int = 0
    delivered: int = 0
    filtered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    left: int = 0

    def add(self, routed: Routed) -> None:
        """Count an event in."""
        self.published += 1
        self.delivered += len(routed.deliveries)
        self.failed.update(one.reason for one in routed.quarantined)
        self.filtered += not routed.deliveries and not routed.quarantined

    def to_json(self) -> dict[str, Any]:
        """As numbers by name."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        return {**numbers, "failed": dict(sorted(self.failed.items()))}

    @classmethod
    def read(cls, document: dict[str, Any]) -> PeriodCounts:
        """Read them back."""
        numbers = {name: int(document[name]) for name in _NUMBERS}
        return cls(**numbers, failed=Counter(document["failed"]))


def count_period(bus: Bus, period: Period, group: str, advance: Advance = lambda _: None) -> PeriodCounts:
    """What a replay of a period would do, exactly.

    Raises:
        ConfigurationError: there is no such agreement in force.
    """
    grant = _agreement(bus, bus.table, period.agreement)
    spans, left = _spans(bus, grant, period, group)
    counts = PeriodCounts(left=left)
    for _, _, routed in _routed(bus, grant, spans):
        counts.add(routed)
        advance(1)
    return counts


def most_events(bus: Bus, period: Period, group: str) -> int:
    """Not fewer than the events of a period: offsets, some of which mark the ends of transactions.

    Raises:
        ConfigurationError: there is no such agreement in force.
    """
    spans, _ = _spans(bus, _agreement(bus, bus.table, period.agreement), period, group)
    return sum(end - start for start, end in spans.values())


def before(ledger: Ledger, period: Period, *, until_now: bool) -> tuple[str, bool] | None:
    """The replay that the same command began before, and whether it came to its end; None where there is none.

    Args:
        ledger: what was replayed.
        period: what is to be delivered again.
        until_now: whether the period ends now because no other end was given: then it goes on with one that ended before.

    Raises:
        ConfigurationError: another replay under this agreement did not come to its end: somebody has to say what is meant.
    """
    runs = {
        replay: facts
        for replay, facts in sorted(ledger.runs.items())  # ids are in the order of time
        if facts["kind"] == "period" and facts["agreement"] == period.agreement
    }
    open_runs = [replay for replay, facts in runs.items() if facts["status"] == "open"]
    same = [
        replay for replay, facts in runs.items() if (facts["since_ms"], facts["until_ms"]) == (period.since_ms, period.until_ms)
    ]
    if open_runs:
        last = open_runs[-1]
        if last in same or (until_now and runs[last]["since_ms"] == period.since_ms):
            return last, False
        raise ConfigurationError(
            f"the replay {last} of {period.agreement} did not come to its end: --resume {last} goes on, --anew gives it up"
        )
    return (same[-1], True) if same and runs[same[-1]]["status"] == "done" else None


def replay_period(
    bus: Bus,
    period: Period,
    author: Author,
    *,
    group: str,
    rate: float | None = None,
    resume: str | None = None,
    advance: Advance = lambda _: None,
) -> tuple[str, PeriodCounts]:
    """Deliver a period again. Replays under the same agreement that did not come to their end are given up.

    Args:
        bus: the bus.
        period: which, and to whom.
        author: who, and why.
        group: the routers' consumer group; what it has not come to is left to it.
        rate: most deliveries a second.
        resume: the replay to go on with, with its own period.
        advance: is told of events that were dealt with.

    Returns:
        The replay's id, and what became of the events, those of before it was resumed included.

    Raises:
        ConfigurationError: there is no such agreement in force, or no such replay to go on with.
        Fenced: another replay has begun meanwhile.
        HutongError: the bus could not do it; resume it to go on.
    """
    grant = _agreement(bus, bus.table, period.agreement)
    with bus.writer() as writer:
        ledger = bus.ledger()
        progress = _resumed(ledger, resume, period) if resume else _begun(bus, grant, period, group)
        replay = resume or new_replay(PERIOD)
        lot = Lot(writer, replay, rate)

        def write(status: str) -> None:
            lot.note(ledger.run(replay, author, **progress.to_json(), status=status))
            lot.write()

        lot.note(_given_up(ledger, replay, period.agreement))
        write("open")  # whoever is killed before the first lot is full finds it all the same
        for partition, offset, routed in _routed(bus, grant, progress.left()):
            progress.counts.add(routed)
            progress.positions[partition] = offset + 1
            for one in routed.deliveries:
                lot.deliver(one)
            lot.read()
            if lot.is_full:
                write("open")
                lot.pause()
            advance(1)
        write("done")
    return replay, progress.counts


def _given_up(ledger: Ledger, but: str, agreement: str) -> Iterator[Entry]:
    for replay, facts in list(ledger.runs.items()):
        if replay != but and facts["kind"] == "period" and facts["agreement"] == agreement and facts["status"] == "open":
            kept = {name: value for name, value in facts.items() if name not in ("format", "who", "why", "status")}
            yield from ledger.run(replay, Author(who=facts["who"], why=facts["why"]), **kept, status="given_up")


@dataclass(slots=True, kw_only=True)
class _Progress:
    """A replay of a period, and how far it has got."""

    period: Period
    contract: str
    at: str
    spans: Spans
    positions: dict[int, int] = field(default_factory=dict)
    counts: PeriodCounts = field(default_factory=PeriodCounts)

    def left(self) -> Spans:
        return {one: (max(start, self.positions.get(one, start)), end) for one, (start, end) in self.spans.items()}

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "period",
            "at": self.at,
            "agreement": self.period.agreement,
            "contract": self.contract,
            "since_ms": self.period.since_ms,
            "until_ms": self.period.until_ms,
            "spans": {str(one): list(span) for one, span in self.spans.items()},
            "positions": {str(one): at for one, at in self.positions.items()},
            "counts": self.counts.to_json(),
        }


def _begun(bus: Bus, grant: Grant, period: Period, group: str) -> _Progress:
    spans, left = _spans(bus, grant, period, group)
    at, counts = rfc3339(datetime.now(UTC)), PeriodCounts(left=left)
    return _Progress(period=period, contract=grant.agreement.contract, at=at, spans=spans, counts=counts)


def _resumed(ledger: Ledger, replay: str, period: Period) -> _Progress:
    facts = ledger.runs.get(replay)
    if facts is None or facts["kind"] != "period" or facts["agreement"] != period.agreement:
        raise ConfigurationError(f"no replay of {period.agreement} has the id {replay}; begin one without --resume")
    if facts["status"] != "open":
        raise ConfigurationError(f"the replay {replay} came to its end, or was given up; begin one without --resume")
    return _Progress(
        period=Period(agreement=period.agreement, since_ms=facts["since_ms"], until_ms=facts["until_ms"]),
        contract=facts["contract"],
        at=facts["at"],
        spans={int(one): (span[0], span[1]) for one, span in facts["spans"].items()},
        positions={int(one): at for one, at in facts["positions"].items()},
        counts=PeriodCounts.read(facts["counts"]),
    )


def _agreement(bus: Bus, table: RoutingTable, name: str) -> Grant:
    """The agreement as a table has it."""
    grant = table.grants.get(name)
    if name in table.unusable:
        raise ConfigurationError(f"the agreement {name} cannot be applied: {table.unusable[name]}")
    if grant is None:
        raise ConfigurationError(f"there is no agreement {name} on the bus; see `hutong plan`")
    moment = now_ms()
    if not grant.in_force((moment, moment)):
        raise ConfigurationError(f"the agreement {name} is not in force today: it delivers nothing")
    if grant.agreement.topic not in bus.destinations:
        raise ConfigurationError(f"there is no topic {grant.agreement.topic}; run `hutong apply` first")
    return grant


def _spans(bus: Bus, grant: Grant, period: Period, group: str) -> tuple[Spans, int]:
    """Where the period's events lie, as far as the routers have passed them, and how many offsets are left to the routers.

    What they have not passed they will deliver themselves: it must not come twice.
    """
    found = bus.scan.stretches([f"pub.{grant.agreement.contract}"], period.since_ms, period.until_ms)
    passed = bus.scan.committed(group, list(found))
    spans = {place[1]: (start, max(start, min(end, passed[place]))) for place, (start, end) in found.items()}
    return spans, sum(end - spans[place[1]][1] for place, (_, end) in found.items())


def _routed(bus: Bus, grant: Grant, spans: Spans) -> Iterator[tuple[int, int, Routed]]:
    """Partition, offset and what becomes of each event, in order per partition.

    The agreement is asked for again with every event: what is revoked while a replay runs is not delivered any more.
    """
    name, contract = grant.agreement.id, grant.agreement.contract
    topic, known, table = f"pub.{contract}", bus.table, bus.only(grant)
    for record in bus.scan.records({(topic, partition): span for partition, span in spans.items()}):
        now = bus.table
        if now is not known:
            known, grant = now, _agreement(bus, now, name)
            if grant.agreement.contract != contract:
                raise ConfigurationError(f"the agreement {name} is on another contract now; begin anew")
            table = bus.only(grant)
        event = Inbound(topic, record.key(), record.value(), headers_of(record), record.timestamp()[1])
        yield record.partition() or 0, record.offset() or 0, bus.route(event, now_ms(), table)
