"""Quarantine delivered: what can go through now goes to its recipients, each delivery once, with the record of who did it.

Whoever comes later fences whoever is at it; what was delivered before is known from ``ctl.replays`` and from the recipients'
topics, read after that. So two at once, or one that was killed and started again, deliver everything once. Neighbours: ``survey``
says what there is to do.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from hutong.event import rfc3339
from hutong.recovery.bus import Bus
from hutong.recovery.judge import Judgement
from hutong.recovery.ledger import QUARANTINE, SETTLED, Author, Entry, Ledger, new_replay
from hutong.recovery.lot import Lot
from hutong.recovery.selection import Selection
from hutong.recovery.survey import Survey, judged, selected, survey

__all__ = ["replay_quarantine", "settle_quarantine"]

Advance = Callable[[int], None]


def replay_quarantine(
    bus: Bus,
    selection: Selection,
    author: Author,
    *,
    rate: float | None = None,
    again: bool = False,
    advance: Advance = lambda _: None,
) -> tuple[str, Survey]:
    """Deliver again what is meant and can be delivered.

    Args:
        bus: the bus.
        selection: which records.
        author: who, and why.
        rate: most deliveries a second.
        again: whether to try what was settled, or has failed too often.
        advance: is told of records that were looked at, or dealt with.

    Returns:
        The replay's id, and what became of the records.

    Raises:
        Fenced: another replay has begun meanwhile.
        HutongError: the bus could not do it; what was delivered until then stands, and the rest can be replayed again.
    """
    replay = new_replay(QUARANTINE)
    facts = {"kind": "quarantine", "at": rfc3339(datetime.now(UTC)), "selection": selection.to_json()}
    with bus.writer() as writer:
        ledger = bus.ledger()
        there = survey(bus, selection, ledger, again=again, advance=advance).done
        result, lot = Survey(done=there), Lot(writer, replay, rate)

        def write(status: str) -> None:
            lot.note(ledger.run(replay, author, **facts, status=status, counts=_counts(result)))
            lot.write()

        for record in selected(bus, selection):
            judgement = judged(bus, record, ledger, lambda *key: key in ledger.done or key in there, again=again)
            result.add(judgement)
            for one in judgement.deliveries:
                lot.deliver(one)
            lot.note(_entries(judgement, ledger, replay))
            lot.read()
            if lot.is_full:
                write("open")
                lot.pause()
            advance(1)
        if result.records:
            write("done")
    return replay, result


def settle_quarantine(bus: Bus, selection: Selection, author: Author) -> int:
    """Note that nothing is left to do about what is meant: its publisher has put it right, say. Nothing is delivered.

    Returns:
        How many records were noted.

    Raises:
        Fenced: a replay has begun meanwhile.
        HutongError: the bus could not do it; settle again.
    """
    settled = new_replay(SETTLED)
    with bus.writer() as writer:
        ledger, lot, number = bus.ledger(), Lot(writer, settled), 0
        facts = {"kind": "settled", "at": rfc3339(datetime.now(UTC)), "selection": selection.to_json()}
        for record in selected(bus, selection):
            if ledger.is_settled(record):
                continue
            number += 1
            lot.note(ledger.settle(record, settled))
            lot.read()
            if lot.is_full:
                lot.write()
        if number:
            lot.note(ledger.run(settled, author, **facts, status="done", counts={"settled": number}))
            lot.write()
    return number


def _entries(judgement: Judgement, ledger: Ledger, replay: str) -> list[Entry]:
    """What is to be known of a record from now on."""
    record, found = judgement.record, list[Entry]()
    for one in judgement.deliveries:
        found += ledger.deliver(one.agreement, record.event_id, record.source, replay)
    if judgement.is_settled:
        found += ledger.settle(record, replay)
    elif judgement.failed:
        found += ledger.fail(record, judgement.failed[0].reason, replay)
    return found


def _counts(result: Survey) -> dict[str, int]:
    return {outcome.value: count for (_, outcome) in result.counts if (count := result.total(outcome))}
