"""Time spans of a flow that make no sense beside each other. Pure.

They are compared as they run from an ordinary Monday morning: units differ, and a working day is no number of hours.
Neighbours: ``check`` calls this, ``worktime`` counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hutong.contracts.finding import Finding
from hutong.flows.flow import Duration, Flow
from hutong.flows.worktime import StateCouncil, WorkTime

__all__ = ["span_findings"]

_MONDAY_MS = int(datetime(2024, 3, 4, 9, tzinfo=UTC).timestamp() * 1000)  # before the next holiday, a month of plain weeks
_WORKTIME = WorkTime(ZoneInfo("UTC"), StateCouncil())


def span_findings(flow: Flow) -> Iterator[Finding]:
    """Reminders of what is overdue, and what would come after the case has ended."""
    end = _ms(flow.deadline)
    for at, ask in enumerate(flow.ask):
        due = _ms(ask.within)
        if due > end:
            problem = "the answer would be due after the case's deadline; ask for it sooner, or give the case longer"
            yield Finding(problem=problem, place=("ask", at, "within"), warning=True)
        for i, span in enumerate(ask.remind):
            if _ms(span) >= due:
                problem = "reminds of an answer that is due by then; remind sooner, and escalate what is overdue"
                yield Finding(problem=problem, place=("ask", at, "remind", i), warning=True)
        if ask.escalate is not None and _ms(ask.escalate.after) > end:
            problem = "the case has ended by then; escalate sooner"
            yield Finding(problem=problem, place=("ask", at, "escalate", "after"), warning=True)


def _ms(span: Duration) -> int:
    return _WORKTIME.after(_MONDAY_MS, span).ms
