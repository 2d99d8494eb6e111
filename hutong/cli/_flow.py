"""A flow in words: what opens a case, whom it asks what by when, how answers are judged, how it ends.

Neighbours: ``hutong flow show`` prints this; ``_case`` shows what became of one case.
"""

from __future__ import annotations

from collections.abc import Iterator

from hutong.flows.flow import Ask, Duration, Event, Flow
from hutong.language import chosen, said, said_many

__all__ = ["flow_lines", "words"]


def flow_lines(flow: Flow) -> Iterator[tuple[str, str]]:
    """The flow, line by line: what it is about, and what there is to say."""
    yield flow.id, words(flow.title)
    number = f"{flow.prefix}-" + (said("..., which hides the key") if flow.personal_key else "<key>")
    yield said("owner"), said("{owner}; cases are numbered {number}", owner=flow.owner, number=number)
    yield said("legal basis"), flow.legal_basis
    yield said("purpose"), flow.purpose
    for event in flow.events:
        yield said(event.does), _event(event)
    if people := flow.people:
        waits = said("asks nothing before each has authorised it") if people.authorisation else said("needs no authorisation")
        yield said("people"), f"{people.each}; {waits}"
    for ask in flow.ask:
        yield from _ask(ask)
    for name in flow.figures:
        yield said("figure"), name
    for rule in flow.rules:
        yield said("rule"), f"{rule.id}: {words(rule.says)}"
        yield "", said("when {condition}; needs {fields}", condition=rule.when, fields=", ".join(rule.needs))
    yield said("deadline"), said("{span}, then it ends with what there is", span=_span(flow.deadline))
    parts = [("question", flow.question), ("progress", flow.progress), ("report", flow.outcome)]
    for name, emission in parts:
        if emission:
            yield said("publishes"), f"{emission.contract} ({said(name)})"


def words(texts: dict[str, str]) -> str:
    """The reader's language where there is any, and the others behind it."""
    first = chosen()
    ordered = sorted(texts, key=lambda language: (language != first, language != "en", language))
    return " / ".join(texts[language] for language in ordered)


def _event(event: Event) -> str:
    text = said("{contract}, by {fields}", contract=event.contract, fields=said(" and ").join(event.case))
    text += said(", where {condition}", condition=event.when) if event.when else ""
    return text + (said(", given {field}", field=event.given) if event.given else "")


def _ask(ask: Ask) -> Iterator[tuple[str, str]]:
    if isinstance(ask.agency, str):
        agency = ask.agency
    else:
        agency = said("whom {field} names", field=ask.agency.path or ask.agency.cel or ask.agency.constant)
    text = f"{ask.id}: " + said("{agency}, within {span}", agency=agency, span=_span(ask.within))
    text += said(", for each of {field}", field=ask.each) if ask.each else ""
    text += said(", after {ask}", ask=ask.after) if ask.after else ""
    text += said(", where {condition}", condition=ask.when) if ask.when else ""
    text += "" if ask.required else said(", optional")
    yield said("undo") if ask.stage == "undo" else said("ask"), text
    yield "", words(ask.question)
    if ask.remind:
        yield "", said("reminds after {spans}", spans=", ".join(map(_span, ask.remind)))
    if ask.escalate:
        yield "", said("tells {department} after {span}", department=ask.escalate.to, span=_span(ask.escalate.after))
    yield "", said("answered by {contracts}", contracts=", ".join(one.contract for one in ask.answer))


def _span(duration: Duration) -> str:
    ((unit, number),) = duration.model_dump(exclude_unset=True).items()
    noun = unit.removesuffix("s").replace("_", " ")
    return said_many(number, f"{{number}} {noun}", f"{{number}} {noun}s")
