"""What a replay of quarantine would do, worked out without doing it: every record judged, every delivery looked for.

It holds no event: what is to be delivered is read again when it is (``quarantine``). Neighbours: ``judge`` decides,
``deliveries`` looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hutong.recovery.bus import Bus, now_ms
from hutong.recovery.deliveries import deliveries_of
from hutong.recovery.judge import Judgement, Outcome, judge, left_out
from hutong.recovery.ledger import Ledger
from hutong.recovery.record import QuarantineRecord
from hutong.recovery.selection import Selection
from hutong.transcode.routing import Quarantined

__all__ = ["Advance", "Survey", "judged", "selected", "survey"]

Advance = Callable[[int], None]


@dataclass(slots=True, kw_only=True)
class Survey:
    """Counts.

    Attributes:
        records: records of quarantine that are meant.
        counts: (contract, outcome) -> how many.
        failed: (contract, reason) -> how many failed again.
        done: (agreement, event id) of deliveries that no replay has made, and that lie on their topics all the same.
    """

    records: int = 0
    counts: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    done: set[tuple[str, str]] = field(default_factory=set)

    def add(self, judgement: Judgement) -> None:
        """Count a record in."""
        self.records += 1
        for outcome, count in judgement.counts().items():
            self.counts[judgement.record.contract, outcome] += count
        for one in judgement.failed:
            self.failed[judgement.record.contract, one.reason] += 1

    def total(self, outcome: Outcome) -> int:
        """How many of all contracts."""
        return sum(count for (_, one), count in self.counts.items() if one == outcome)


def selected(bus: Bus, selection: Selection, advance: Advance = lambda _: None) -> Iterator[QuarantineRecord]:
    """The records of quarantine that are meant, in the order in which they came in, contract by contract."""
    topics = selection.topics(bus.quarantines())
    for (topic, partition), stretch in bus.scan.stretches(topics, selection.since_ms, selection.until_ms).items():
        for record in bus.scan.records({(topic, partition): stretch}):
            advance(1)
            found = QuarantineRecord.read(record)
            if selection.takes(found):
                yield found


def judged(
    bus: Bus, record: QuarantineRecord, ledger: Ledger, is_done: Callable[[str, str], bool], *, again: bool = False
) -> Judgement:
    """A record judged under today's agreements."""
    found = left_out(record, ledger, again=again)
    if found is not None:
        return found
    event = bus.original(record)
    if event is None:
        gone = Quarantined("original_gone", f"its value was left out, and the original is not at {record.source} any more", None)
        return Judgement(record=record, failed=(gone,))
    moment = now_ms()
    routed = bus.route(event, moment)
    return judge(
        record,
        routed,
        bus.grants(record.contract),
        moment,
        is_done=lambda agreement, event_id: is_done(agreement, event_id) or (agreement, str(record.source)) in ledger.done,
        destinations=bus.destinations,
    )


def survey(bus: Bus, selection: Selection, ledger: Ledger, *, again: bool = False, advance: Advance = lambda _: None) -> Survey:
    """Judge every record that is meant, and look whether what it lacks was delivered after all.

    Args:
        bus: the bus.
        selection: which records.
        ledger: what was replayed before.
        again: whether to try what was settled or given up.
        advance: is told of records that were looked at.
    """
    wanted: dict[tuple[str, str], str] = {}  # delivery -> the topic that it belongs to
    found, since_ms = Survey(), now_ms()
    for record in selected(bus, selection, advance):
        judgement = judged(bus, record, ledger, lambda *key: key in ledger.done or key in wanted, again=again)
        found.add(judgement)
        for one in judgement.deliveries:
            wanted[one.agreement, record.event_id] = one.topic
            since_ms = min(since_ms, record.appended_ms)
    there = _found(bus, wanted, since_ms, advance)
    return _once_more(bus, selection, ledger, there, again=again, advance=advance) if there else found


def _once_more(
    bus: Bus, selection: Selection, ledger: Ledger, there: set[tuple[str, str]], *, again: bool, advance: Advance
) -> Survey:
    """The same, where it is known that some deliveries lie on their topics already."""
    found = Survey(done=there)
    made: set[tuple[str, str]] = set()

    def is_done(*key: str) -> bool:
        return key in ledger.done or key in there or key in made

    for record in selected(bus, selection, advance):
        judgement = judged(bus, record, ledger, is_done, again=again)
        found.add(judgement)
        made |= {(one.agreement, record.event_id) for one in judgement.deliveries}
    return found


def _found(bus: Bus, wanted: dict[tuple[str, str], str], since_ms: int, advance: Advance) -> set[tuple[str, str]]:
    """Those of the wanted deliveries that lie on their topics."""
    if not wanted:
        return set()
    ids = {event_id.encode() for _, event_id in wanted}
    made = deliveries_of(bus.scan, set(wanted.values()), since_ms, ids.__contains__, advance)
    return {key for one in made if (key := (one.agreement, one.event_id)) in wanted}
