"""The questions of a case: asked when their turn comes, reminded, escalated, overdue, taken back.

Neighbours: ``step`` calls this after every stimulus and as time passes; ``answering`` takes what comes back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from hutong.flows.case import Person, Question, open_questions, rfc3339_ms
from hutong.flows.expressions import MEMO
from hutong.flows.plan import AskPlan
from hutong.flows.work import Work

__all__ = ["act", "ask", "drop_gone", "due", "has_more_to_ask", "take_back", "would_ask"]


def ask(work: Work) -> None:
    """Ask everything whose turn has come."""
    if not (ready := [plan for plan in _unasked(work) if _turn(work, plan)]):
        return
    shared = _shared(work)  # no question changes what the others see of the case
    while ready:
        for plan in ready:
            work.case["done"].append(plan.spec.id)
            _ask(work, plan, shared)
        ready = [plan for plan in _unasked(work) if _turn(work, plan)]


def has_more_to_ask(work: Work) -> bool:
    """Whether something will be asked once an open question has been answered."""
    awaited = {one["ask"] for one in open_questions(work.case)}
    return any(_leads_to(work, plan, awaited) for plan in _unasked(work))


def would_ask(work: Work) -> bool:
    """Whether the turn of a question has come that would be asked; also where that cannot be worked out."""
    ready = [plan for plan in _unasked(work) if _turn(work, plan)]
    shared = _shared(work) if ready else {}
    try:
        return any(
            plan.when is None or plan.when({**work.context(**shared), "item": item})
            for plan in ready
            for item in _items(work, plan, shared)
        )
    except (ValueError, TypeError):
        return True


def take_back(work: Work, *, status: Literal["withdrawn", "late"] = "withdrawn") -> None:
    """Tell the agencies that no answer is wanted any more.

    Args:
        work: the case in hand.
        status: of the questions afterwards: ``late`` where the time was up, which the report has to say.
    """
    for question in list(open_questions(work.case)):
        question["status"] = status
        _tell_withdrawn(work, question)


def drop_gone(work: Work) -> None:
    """Withdraw the open questions that the flow does not have any more; what was answered to them counts no longer."""
    for question in list(open_questions(work.case)):
        if question["ask"] not in work.plan.asks:
            question["status"] = "withdrawn"
            _tell_withdrawn(work, question, detail="the flow does not ask this any more")


def _tell_withdrawn(work: Work, question: Question, detail: str | None = None) -> None:
    if question["withdrawn_ms"] is None:  # else its agency has been told, when the time was up
        question["withdrawn_ms"] = work.at_ms
        _publish(work, question, "withdrawn")
        work.note("WITHDRAWN", question, detail=detail)


def due(question: Question, until_ms: int) -> Iterator[tuple[int, str]]:
    """What an unanswered question is due for by a moment: ``(when, what)``."""
    if question["status"] not in ("open", "late"):
        return
    remind = question["remind_ms"][question["reminded"] :][:1]
    if remind and remind[0] <= until_ms:
        yield remind[0], "remind"
    if question["escalate_ms"] is not None and question["escalate_ms"] <= until_ms:
        yield question["escalate_ms"], "escalate"
    if question["status"] == "open" and question["due_ms"] <= until_ms:
        yield question["due_ms"], "late"


def act(work: Work, question: Question, what: str) -> None:
    """Do what a question is due for."""
    match what:
        case "remind":
            question["reminded"] += 1
            _publish(work, question, question["reminded"])
            work.note("REMINDED", question)
        case "escalate":
            question["escalate_ms"] = None
            escalation = work.plan.asks[question["ask"]].spec.escalate
            work.note("ESCALATED", question, to=escalation.to if escalation else None)
        case "late":
            question["status"] = "late"
            work.note("LATE", question)


def _unasked(work: Work) -> Iterator[AskPlan]:
    case = work.case
    return (one for one in work.plan.asks.values() if one.spec.stage == case["stage"] and one.spec.id not in case["done"])


def _turn(work: Work, plan: AskPlan) -> bool:
    """Whether what comes before it has been answered, wholly."""
    if plan.spec.after is None:
        return True
    before = [one for one in work.case["questions"].values() if one["ask"] == plan.spec.after]
    return bool(before) and all(one["status"] == "answered" for one in before)


def _leads_to(work: Work, plan: AskPlan, awaited: set[str]) -> bool:
    after: str | None = plan.spec.after
    while after is not None:
        if after in awaited:
            return True
        after = work.plan.asks[after].spec.after if after not in work.case["done"] else None
    return False


def _shared(work: Work) -> dict[str, Any]:
    """What every question of a moment may say."""
    people = [_as_asked(person) for person in work.case["people"].values()]
    return {"answers": work.answers(), "people": people, MEMO: {}}


def _items(work: Work, plan: AskPlan, shared: Mapping[str, Any]) -> list[Any]:
    """What a question is asked for, once for each."""
    return [None] if plan.each is None else list(plan.each(work.context(**shared)) or [])


def _ask(work: Work, plan: AskPlan, shared: Mapping[str, Any]) -> None:
    spec = plan.spec
    try:
        items = _items(work, plan, shared)
    except (ValueError, TypeError) as error:
        work.failed(f"ask {spec.id}: {error}")
        return
    for number, item in enumerate(items, 1):
        context = work.context(**shared)
        context["item"] = item
        try:
            if plan.when is not None and not plan.when(context):
                continue
            agency = plan.agency(context)
        except ValueError as error:
            work.failed(f"ask {spec.id}: {error}")
            continue
        if not isinstance(agency, str) or not agency:
            work.failed(f"ask {spec.id}: no agency is named")
            continue
        question = _question(work, plan, agency, item, number if plan.each else None)
        work.case["questions"][question["number"]] = question
        if not _publish(work, question, 0, shared):
            question["status"] = "failed"
            continue
        work.note("ASKED", question)
        if agency not in plan.answerers:  # named by the case's data; it may still be asked, and told of to others
            work.note("NOTED", question, detail=f"the flow takes no answer of {agency}: no contract of its own is among them")


def _question(work: Work, plan: AskPlan, agency: str, item: Any, number: int | None) -> Question:
    spec = plan.spec

    def after(duration: Any) -> int:
        moment = work.plan.worktime.after(work.at_ms, duration)
        work.case["calendar_assumed"] |= moment.assumed
        return int(moment.ms)

    suffix = "" if number is None else f"-{number}"
    return Question(
        number=f"{work.case['number']}-{spec.id}{suffix}",
        ask=spec.id,
        agency=agency,
        stage=spec.stage,
        required=spec.required,
        item=item,
        status="open",
        asked_ms=work.at_ms,
        due_ms=after(spec.within),
        remind_ms=sorted(after(one) for one in spec.remind),
        reminded=0,
        escalate_ms=after(spec.escalate.after) if spec.escalate else None,
        withdrawn_ms=None,
        answer_id=None,
        answered_ms=None,
        answer=None,
    )


def _as_asked(person: Person) -> Any:
    """Somebody as questions see them: the item, with what was kept of an authorisation that came by itself."""
    item = person["item"]
    return {**item, "authorisation": person["authorisation"]} if isinstance(item, dict) else item


def _publish(work: Work, question: Question, what: int | str, shared: Mapping[str, Any] | None = None) -> bool:
    """The question as the agency gets it: at first (0), as a reminder (1, 2, ...), or ``withdrawn``."""
    plan = work.plan.asks.get(question["ask"])
    words = plan.spec.question if plan else work.plan.flow.title
    about = {
        **{name: question[name] for name in ("number", "ask", "agency", "stage", "required")},
        **{f"words_{language}": text for language, text in words.items()},
        "asked_at": rfc3339_ms(question["asked_ms"]),
        "due_at": rfc3339_ms(question["due_ms"]),
        "reminder": what if isinstance(what, int) else question["reminded"],
        "withdrawn": what == "withdrawn",
    }
    context = work.context(**(_shared(work) if shared is None else shared), question=about)
    context["item"] = question["item"]
    return work.emit(work.plan.question, context, question["number"], what)
