"""What a second attempt makes of a record in quarantine, by the same function as the first one, under today's table. Pure.

Neighbours: ``routing`` decides; ``survey`` counts these, ``quarantine`` delivers what they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from hutong.agreements.grant import Grant
from hutong.recovery.ledger import MOST_ATTEMPTS, Ledger
from hutong.recovery.record import QuarantineRecord
from hutong.transcode.routing import Delivery, Quarantined, Routed

__all__ = ["Judgement", "Outcome", "judge", "left_out"]


class Outcome(StrEnum):
    """What becomes of a record, or of an agreement's part in it."""

    DELIVERED = "delivered"
    FILTERED = "filtered"
    NOT_GRANTED = "not_granted"
    """The agreement that it was quarantined for is revoked, or not in force."""
    FAILED = "failed_again"
    DONE = "already_done"
    GIVEN_UP = "given_up"
    """So many replays of it have failed that this one leaves it out."""
    OF_A_FLOW = "of_a_flow"
    """Recipients have had it; only a flow could not take it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A record, and all that becomes of it.

    Attributes:
        record: the record.
        deliveries: to be made.
        failed: why it failed again: for the event as a whole, or per agreement.
        filtered: how many agreements in force do not grant it.
        done: how many deliveries were made before.
        outcome: set where the record is not routed at all, or its agreement does not count any more.
    """

    record: QuarantineRecord
    deliveries: tuple[Delivery, ...] = ()
    failed: tuple[Quarantined, ...] = ()
    filtered: int = 0
    done: int = 0
    outcome: Outcome | None = None

    @property
    def is_settled(self) -> bool:
        """Whether, once its deliveries are made, nothing is left to do."""
        return self.outcome is None and not self.failed

    def counts(self) -> dict[Outcome, int]:
        """How many of each: deliveries, and where there is none of any kind the record itself."""
        if self.outcome is not None:
            return {self.outcome: 1}
        found = {
            Outcome.DELIVERED: len(self.deliveries),
            Outcome.FILTERED: self.filtered,
            Outcome.FAILED: len(self.failed),
            Outcome.DONE: self.done,
        }
        return {outcome: count for outcome, count in found.items() if count} or {Outcome.FILTERED: 1}


def left_out(record: QuarantineRecord, ledger: Ledger, *, again: bool) -> Judgement | None:
    """What need not be routed to be judged; None where it must.

    Args:
        record: the record.
        ledger: what was replayed before.
        again: whether to try what was settled or given up.
    """
    if record.is_of_a_flow:
        return Judgement(record=record, outcome=Outcome.OF_A_FLOW)
    if again:
        return None
    if ledger.is_settled(record):
        return Judgement(record=record, outcome=Outcome.DONE)
    if ledger.attempts(record).times >= MOST_ATTEMPTS:
        return Judgement(record=record, outcome=Outcome.GIVEN_UP)
    return None


def judge(
    record: QuarantineRecord,
    routed: Routed,
    grants: Mapping[str, Grant],
    now_ms: int,
    *,
    is_done: Callable[[str, str], bool],
    destinations: Collection[str],
) -> Judgement:
    """What becomes of a record that was routed.

    Args:
        record: the record.
        routed: what today's table makes of the whole event.
        grants: the agreements on its contract, by id.
        now_ms: the clock that it was routed by.
        is_done: (agreement, event id) -> whether this delivery was made already.
        destinations: the topics that are there.
    """
    only = record.agreement
    deliveries = [one for one in routed.deliveries if only in (None, one.agreement)]
    failed = [one for one in routed.quarantined if one.agreement is None or only in (None, one.agreement)]
    moments = (record.appended_ms, now_ms)
    asked = [name for name, grant in grants.items() if only in (None, name) and grant.in_force(moments)]
    if only is not None and not asked and not failed:
        return Judgement(record=record, outcome=Outcome.NOT_GRANTED)
    new = [one for one in deliveries if not is_done(one.agreement, record.event_id)]
    reachable = [one for one in new if one.topic in destinations]
    failed += [
        Quarantined("no_destination", f"there is no topic {one.topic}; run `hutong apply`", one.agreement)
        for one in new
        if one.topic not in destinations
    ]
    whole = any(one.agreement is None for one in failed)
    known = {one.agreement for one in deliveries} | {one.agreement for one in failed}
    return Judgement(
        record=record,
        deliveries=tuple(reachable),
        failed=tuple(failed),
        filtered=0 if whole else sum(name not in known for name in asked),
        done=len(deliveries) - len(new),
    )
