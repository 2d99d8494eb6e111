"""What events do to a case: open it, authorise it, take that back, refer it to a person, go on, undo it.

Neighbours: ``step`` says when; ``asking`` and ``report`` do what follows.
"""

from __future__ import annotations

from hutong.flows import asking
from hutong.flows.case import Held, Person, Source, rfc3339_ms
from hutong.flows.plan import EventPlan
from hutong.flows.report import close
from hutong.flows.work import Work

__all__ = ["happen"]


def happen(work: Work, plan: EventPlan, event: Held) -> None:
    """Let an event do to a case what its flow says."""
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
            happen(work, plan, one)


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
