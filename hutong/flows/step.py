"""The step of a case: what it was, and what came, give what it is and what goes out.

Pure, and the same however often and by whomever it is repeated: time is the stimulus's own, ids follow from what they name, and
a stimulus that a case has seen changes nothing. Before a stimulus is looked at, everything that was due by its time has happened,
so it does not matter when the clock's own stimuli come, or whether the service was down meanwhile.

Neighbours: ``intake`` makes the stimuli; ``asking``, ``answering`` and ``report`` do the parts; ``services/coordinator``
publishes and stores what comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hutong.agreements.cel import plain
from hutong.flows import asking
from hutong.flows.answering import answer
from hutong.flows.case import Case, Held, Person, Source, new_case, open_questions, rfc3339_ms
from hutong.flows.plan import EventPlan, FlowPlan
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
    asking.take_back(work, status="late")
    close(work, "REVOKED" if work.case["stage"] == "undo" else "PARTIAL")


def _go_on(work: Work) -> None:
    """Ask what can be asked now, and close where nothing is left to wait for."""
    case = work.case
    if case["status"] == "waiting" and all(one["authorised_ms"] is not None for one in case["people"].values()):
        case["status"] = "open"
    if case["status"] != "open":
        return
    asking.ask(work)
    waiting = any(one["status"] == "open" or one["required"] for one in open_questions(case))
    if not waiting and not asking.has_more_to_ask(work):
        close(work, "REVOKED" if case["stage"] == "undo" else "COMPLETE")


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
    _happen(work, plan, held)


def _hold(work: Work, event: Held) -> None:
    """Keep what overtakes the event that opens its case; whoever signed long ago and takes it back must not be missed."""
    if event["does"] not in _AWAITED:
        return  # of somebody without a case, as it is where nothing is awaited
    case = work.case
    case["held"].append(event)
    if case["status"] == "closed":
        case["status"], case["closed_ms"] = "expected", None
        case["due_ms"] = work.plan.worktime.after(work.at_ms, work.plan.flow.deadline).ms


def _happen(work: Work, plan: EventPlan, event: Held) -> None:
    case = work.case
    try:
        applies = plan.given is None or not case["sources"] or plan.given(work.context(event=event["kept"]))
    except ValueError as error:
        work.failed(f"{event['contract']}: {error}")
        return
    if not applies:
        work.note("NOTED", detail=event["contract"])
        return
    _DEEDS[event["does"]](work, event)


def _open(work: Work, event: Held) -> None:
    case = work.case
    source = Source(contract=event["contract"], id=event["id"], at=rfc3339_ms(event["at_ms"]) or "", kept=event["kept"])
    case["sources"].append(source)
    if case["status"] != "expected" and len(case["sources"]) > 1:
        work.note("CONFIRMED", detail=event["contract"])
        return
    case["status"], case["opened_ms"], case["closed_ms"], case["data"] = "open", work.at_ms, None, dict(event["kept"])
    moment = work.plan.worktime.after(work.at_ms, work.plan.flow.deadline)
    case["due_ms"], case["calendar_assumed"] = moment.ms, case["calendar_assumed"] or moment.assumed
    work.note("OPENED", detail=event["contract"])
    _meet_people(work)
    held, case["held"] = case["held"], []
    for one in held:
        if (plan := work.plan.event_of(one["spec"], one["does"], one["contract"])) is not None:
            _happen(work, plan, one)


def _meet_people(work: Work) -> None:
    people, plan, case = work.plan.flow.people, work.plan, work.case
    if people is None or plan.people_each is None or plan.people_id is None:
        return
    found = plan.people_each(work.context())
    for position, item in enumerate(found if isinstance(found, list) else []):
        context = {"item": item}
        try:
            given = bool(plan.people_given(context)) if plan.people_given else False
            id_ = plan.people_id(context)
        except ValueError as error:
            work.failed(f"people: {error}")
            continue
        authorised = work.at_ms if given or not people.authorisation else None
        id_ = f"#{position}" if id_ in (None, "") else str(id_)  # has no number to be known by; the other members do
        if id_ in case["people"]:
            work.failed("people: two of them have the same id; both must have authorised")
            authorised = authorised and case["people"][id_]["authorised_ms"]
        case["people"][id_] = Person(item=item, authorised_ms=authorised, withdrawn_ms=None, authorisation=None)
    if people.authorisation:
        case["status"] = "waiting"  # until ``_go_on`` finds that all have authorised


def _authorise(work: Work, event: Held) -> None:
    person = work.case["people"].get(str(event["person"]))
    if person is None or work.case["status"] == "closed" or person["authorised_ms"] is not None:
        work.note("NOTED", detail=f"{event['contract']}: {'not of this case' if person is None else 'nothing to authorise'}")
        return
    person["authorised_ms"], person["authorisation"] = work.at_ms, event["kept"]
    work.note("AUTHORISED")


def _withdraw(work: Work, event: Held) -> None:
    person = work.case["people"].get(str(event["person"]))
    if person is None or work.case["status"] == "closed":
        work.note("NOTED", detail=f"{event['contract']}: {'not of this case' if person is None else 'the case is closed'}")
        return
    person["withdrawn_ms"], person["authorised_ms"] = work.at_ms, None
    work.note("AUTHORISATION_WITHDRAWN")
    asking.take_back(work)
    close(work, "WITHDRAWN")


def _refer(work: Work, event: Held) -> None:
    if work.case["status"] not in ("waiting", "open"):
        work.note("NOTED", detail=event["contract"])
        return
    work.case["status"] = "review"
    work.note("REFERRED", detail=event["contract"])


def _resume(work: Work, event: Held) -> None:
    if work.case["status"] != "review":
        work.note("NOTED", detail=event["contract"])
        return
    work.case["status"] = "waiting" if work.plan.flow.people else "open"
    work.note("RESUMED", detail=event["contract"])
    work.case["now_ms"] = work.at_ms
    _pass_time(work, work.at_ms)  # what was due meanwhile is due now


def _revoke(work: Work, event: Held) -> None:
    case = work.case
    if case["stage"] == "undo":
        work.note("NOTED", detail=event["contract"])
        return
    work.note("REVOKED", detail=event["contract"])
    asking.take_back(work)
    case["stage"], case["status"], case["closed_ms"] = "undo", "open", None
    moment = work.plan.worktime.after(work.at_ms, work.plan.flow.deadline)
    case["due_ms"], case["calendar_assumed"] = moment.ms, case["calendar_assumed"] or moment.assumed


def _note(work: Work, event: Held) -> None:
    work.note("NOTED", detail=event["contract"])


_DEEDS = {
    "open": _open,
    "authorise": _authorise,
    "withdraw": _withdraw,
    "refer": _refer,
    "resume": _resume,
    "revoke": _revoke,
    "note": _note,
}
