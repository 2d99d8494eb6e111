"""The step of a case: what it was, and what came, give what it is and what goes out.

Pure, and the same however often and by whomever it is repeated: time is the stimulus's own, ids follow from what they name, and
a stimulus that a case has seen changes nothing. Before a stimulus is looked at, everything that was due by its time has happened,
so it does not matter when the clock's own stimuli come, or whether the service was down meanwhile.

Neighbours: ``intake`` makes the stimuli; ``deeds``, ``asking``, ``answering`` and ``report`` do the parts;
``services/coordinator`` publishes and stores what comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hutong.agreements.cel import plain
from hutong.flows import asking
from hutong.flows.answering import answer
from hutong.flows.case import Case, Held, new_case, open_questions
from hutong.flows.deeds import happen
from hutong.flows.plan import FlowPlan
from hutong.flows.report import close
from hutong.flows.work import Emitted, Work

__all__ = ["Outcome", "Refused", "Stimulus", "step"]

_SEEN = 512  # ids of stimuli that a case remembers; a repetition comes within seconds
_AWAITED = frozenset({"authorise", "withdraw", "revoke"})
"""What may overtake the event that opens its case, being on another topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stimulus:
    """Something that happens to a case.

    Attributes:
        case: the case's number.
        does: what it does: an event spec's ``does``, ``answer``, or ``clock``.
        spec: which of the flow's events, or ``<ask>/<which answer>``.
        key: the case's key, for what may open it.
        id: the event's id.
        contract: the event's contract.
        at_ms: when the broker had it.
        data: the event's data; empty for the clock.
        receivers: who had got the event that this one objects to, where the flow asks for it.
        traceparent: the event's trace.
    """

    case: str
    does: str
    spec: str = ""
    key: str = ""
    id: str = ""
    contract: str = ""
    at_ms: int
    data: Mapping[str, Any]
    receivers: list[dict[str, Any]] | None = None
    traceparent: str | None = None

    @property
    def department(self) -> str:
        """Who published it."""
        return self.contract.rpartition(".")[0]

    @property
    def mark(self) -> str:
        """What a case knows it again by: one event may mean two things to it."""
        return f"{self.id}/{self.spec}"


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the event of a stimulus belongs into quarantine."""

    reason: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a step gives.

    Attributes:
        case: the case as it is now; None where there is none.
        events: what to publish, in order, before the case is stored.
        refused: set where the stimulus's event belongs to no case.
        changed: whether the case has to be stored.
    """

    case: Case | None
    events: tuple[Emitted, ...] = ()
    refused: Refused | None = None
    changed: bool = False


def step(plan: FlowPlan, case: Case | None, stimulus: Stimulus) -> Outcome:
    """Apply a stimulus to a case; the case is changed in place.

    Args:
        plan: the case's flow.
        case: the case as it was stored, or None.
        stimulus: what has come.
    """
    if case is None:
        if stimulus.does != "open" and stimulus.does not in _AWAITED:
            return _without_case(stimulus)
        moment = plan.worktime.after(stimulus.at_ms, plan.flow.deadline)
        case = new_case(plan.flow.id, stimulus.case, stimulus.key, at_ms=stimulus.at_ms, due_ms=moment.ms)
        case["calendar_assumed"] = moment.assumed
    elif stimulus.does != "clock" and stimulus.mark in case["seen"]:
        return Outcome(case=case)
    # The brokers' clocks may differ by some milliseconds; a case's time does not go back.
    work = Work(plan=plan, case=case, at_ms=max(case["now_ms"], stimulus.at_ms))
    before = case["entries"]
    asking.drop_gone(work)
    _pass_time(work, work.at_ms)
    if stimulus.does != "clock":
        case["seen"] = [*case["seen"][-(_SEEN - 1) :], stimulus.mark]
        _take(work, stimulus)
        _go_on(work)
    case["now_ms"] = work.at_ms
    changed = stimulus.does != "clock" or case["entries"] != before
    return Outcome(case=case, events=tuple(work.emitted), changed=changed)


def _without_case(stimulus: Stimulus) -> Outcome:
    if stimulus.does == "answer":
        problem = f"there is no case {stimulus.case}; answer with the numbers that the question has"
        return Outcome(case=None, refused=Refused("unknown_case", problem))
    return Outcome(case=None)  # somebody without a case married, moved, ...


def _pass_time(work: Work, until_ms: int) -> None:
    """Let everything happen that was due, in its order and at its time."""
    case = work.case
    while case["status"] in ("expected", "waiting", "open"):
        ahead = [
            (when, number, what)
            for number, question in case["questions"].items()
            for when, what in asking.due(question, until_ms)
        ]
        first = min(ahead, default=None)
        if case["due_ms"] <= until_ms and (first is None or case["due_ms"] <= first[0]):
            work.at_ms = max(case["now_ms"], case["due_ms"])
            _end_of_time(work)
            break
        if first is None:
            break
        work.at_ms = max(case["now_ms"], first[0])
        asking.act(work, case["questions"][first[1]], first[2])
        _go_on(work)
    work.at_ms = until_ms


def _end_of_time(work: Work) -> None:
    if work.case["status"] == "expected":
        work.case["status"], work.case["closed_ms"] = "closed", work.at_ms
        work.note("CLOSED", detail="NEVER_OPENED")
        return
    # The last answer may have come while a person decided: a case that lacks nothing is complete, however long that took.
    lacks = not _all_authorised(work) or _waits(work) or asking.would_ask(work)
    if lacks:
        asking.take_back(work, status="late")
    close(work, "REVOKED" if work.case["stage"] == "undo" else "PARTIAL" if lacks else "COMPLETE")


def _go_on(work: Work) -> None:
    """Ask what can be asked now, and close where nothing is left to wait for."""
    case = work.case
    if case["status"] == "waiting" and _all_authorised(work):
        case["status"] = "open"
    if case["status"] != "open":
        return
    asking.ask(work)
    if not _waits(work):
        close(work, "REVOKED" if case["stage"] == "undo" else "COMPLETE")


def _all_authorised(work: Work) -> bool:
    return all(one["authorised_ms"] is not None for one in work.case["people"].values())


def _waits(work: Work) -> bool:
    """Whether an answer is awaited: of a question that is not late, or of any that is required, or that others follow."""
    waiting = any(one["status"] == "open" or one["required"] for one in open_questions(work.case))
    return waiting or asking.has_more_to_ask(work)


def _take(work: Work, stimulus: Stimulus) -> None:
    if stimulus.does == "answer":
        ask = stimulus.spec.partition("/")[0]
        if (taken := work.plan.answer_of(ask, stimulus.contract)) is None:
            work.note("REFUSED", detail=f"unknown_question from {stimulus.department}")
        else:
            answer(work, ask, taken, stimulus.data, stimulus.id, stimulus.department)
        return
    plan = work.plan.event_of(stimulus.spec, stimulus.does, stimulus.contract)
    if plan is None:
        work.note("NOTED", detail=f"{stimulus.contract}: the flow does not take it any more")
        return
    try:
        kept = {name: plain(value(stimulus.data)) for name, value in plan.keep.items()}
        person = plain(plan.person(stimulus.data)) if plan.person else None
    except ValueError as error:
        work.failed(f"{stimulus.contract}: {error}")
        return
    if stimulus.receivers is not None:
        kept["receivers"] = stimulus.receivers
    held = Held(
        does=stimulus.does,
        spec=stimulus.spec,
        id=stimulus.id,
        contract=stimulus.contract,
        at_ms=work.at_ms,
        person=person,
        kept=kept,
    )
    if not work.case["sources"] and stimulus.does != "open":
        _hold(work, held)
        return
    if stimulus.does == "open" and not work.case["sources"]:
        work.case["trace"] = stimulus.traceparent
    in_review = work.case["status"] == "review"
    happen(work, plan, held)
    if in_review and work.case["status"] != "review":
        work.case["now_ms"] = work.at_ms
        _pass_time(work, work.at_ms)  # what was due meanwhile is due now


def _hold(work: Work, event: Held) -> None:
    """Keep what overtakes the event that opens its case; whoever signed long ago and takes it back must not be missed."""
    if event["does"] not in _AWAITED:
        return  # of somebody without a case, as it is where nothing is awaited
    case = work.case
    case["held"].append(event)
    if case["status"] == "closed":
        case["status"], case["closed_ms"] = "expected", None
        case["due_ms"] = work.plan.worktime.after(work.at_ms, work.plan.flow.deadline).ms
