"""What the coordinator measures. Labels are bounded by the declarations and free of personal data.

Neighbours: ``cases`` counts what happened, ``wakeups`` says how cases stand.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from prometheus_client import Counter, Gauge, Histogram

from hutong.flows.case import Case

__all__ = ["INBOX_RECORDS", "INTAKE_RECORDS", "QUARANTINED", "STEP_SECONDS", "Standing", "Tally", "show"]

CASES_OPEN = Gauge("hutong_cases_open", "Cases that are not closed, of this coordinator.", ["flow"])
CASES_LATE = Gauge("hutong_cases_late", "Cases with an overdue question, of this coordinator.", ["flow"])
CASE_AGE = Gauge("hutong_case_age_seconds", "Age of the oldest open case, of this coordinator.", ["flow"])
CASES_CLOSED = Counter("hutong_cases_closed", "Cases closed, by result.", ["flow", "result"])
ANSWERS = Counter("hutong_answers", "Answers to questions: in_time, late, refused.", ["flow", "agency", "outcome"])
DEADLINES = Counter("hutong_deadlines", "Questions answered before they were due (kept), or not.", ["flow", "kept"])
INBOX_RECORDS = Counter("hutong_coordinator_inbox_records", "Records of the inbox that were worked off.")
INTAKE_RECORDS = Counter("hutong_coordinator_intake_records", "Published events brought to a case, by what they do.", ["does"])
QUARANTINED = Counter("hutong_coordinator_quarantined", "Events that could not be brought to a case.", ["reason"])
STEP_SECONDS = Histogram(
    "hutong_coordinator_step_seconds",
    "Time of one batch of the inbox, from the first record to its cases stored.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)


class Standing(NamedTuple):
    """How the open cases of a flow stand."""

    open: int
    late: int
    oldest_ms: int


class Tally:
    """What happened to cases in a batch; counted once the batch is stored."""

    def __init__(self) -> None:
        self._happened: list[tuple[str, str, str, str]] = []
        self.quarantined: list[str] = []

    def note(self, case: Case, before: int) -> None:
        """Take the new entries of a case's timeline.

        Args:
            case: as it is now.
            before: how many entries its timeline had.
        """
        flow = case["flow"]
        for entry in case["timeline"][before:]:
            self._happened.append((flow, entry["what"], entry["agency"] or "", entry["detail"] or ""))

    def enter(self) -> None:
        """Count it all."""
        for flow, what, agency, detail in self._happened:
            match what:
                case "ANSWERED":
                    ANSWERS.labels(flow, agency, "in_time").inc()
                    DEADLINES.labels(flow, "true").inc()
                case "ANSWERED_LATE":
                    ANSWERS.labels(flow, agency, "late").inc()
                case "REFUSED":
                    ANSWERS.labels(flow, agency, "refused").inc()
                case "LATE":
                    DEADLINES.labels(flow, "false").inc()
                case "CLOSED":
                    CASES_CLOSED.labels(flow, detail).inc()
        for reason in self.quarantined:
            QUARANTINED.labels(reason).inc()


def show(standing: dict[str, Standing], flows: Iterable[str], now_ms: int) -> None:
    """Set how the open cases stand; a flow without any shows zeros."""
    for flow in {*flows, *standing}:
        found = standing.get(flow, Standing(0, 0, now_ms))
        CASES_OPEN.labels(flow).set(found.open)
        CASES_LATE.labels(flow).set(found.late)
        CASE_AGE.labels(flow).set(max(0.0, (now_ms - found.oldest_ms) / 1000))
