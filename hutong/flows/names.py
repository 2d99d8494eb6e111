"""The names that a flow's paths may go on with: a path that leads nowhere is null, and would only be noticed on a real case.

Pure. Which name a path may begin with is compiled by ``plan``; this says what is behind it. Neighbour: ``check``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hutong.contracts.finding import Finding
from hutong.contracts.wellformed import Place
from hutong.flows.fields import is_expression
from hutong.flows.flow import Ask, Emission, Expression, Flow

__all__ = ["name_findings"]

_CASE = ("number", "key", "status", "opened_at", "due_at", "sources")
_FLOW = ("id", "purpose", "legal_basis")
_QUESTION = ("number", "ask", "agency", "stage", "required", "asked_at", "due_at", "reminder", "withdrawn")
_STEP = ("what", "ask", "agency", "to", "detail", "at", "number")
_REPORT = ("result", "discrepancies", "missing", "unjudged", "conflicts", "confirmed", "at", "calendar_assumed")
_ANSWER = ("agency", "answered_at", "late")


def name_findings(flow: Flow) -> Iterator[Finding]:
    """Paths that go on with a name that is never there."""
    names = _names(flow)
    asks = {ask.id: ask for ask in flow.ask}
    for place, path in _paths(flow):
        root, _, rest = path.partition(".")
        first, _, inner = rest.partition(".")
        if not first or root not in names:
            continue
        if first not in names[root]:
            problem = f"nothing is called {root}.{first}; there is {', '.join(names[root]) or 'nothing'}"
            yield Finding(problem=problem, place=place)
        elif root == "answers" and inner:
            yield from _answer_findings(asks[first], inner.partition(".")[0], place)


def _answer_findings(ask: Ask, name: str, place: Place) -> Iterator[Finding]:
    if ask.each is not None:
        yield Finding(problem=f"answers.{ask.id} is a list, since many are asked; use a cel expression", place=place)
        return
    kept = [one for answer in ask.answer for one in answer.keep]
    if name not in (*kept, *_ANSWER):
        yield Finding(problem=f"no answer to {ask.id} keeps {name}; add it to its 'keep', or correct the name", place=place)


def _names(flow: Flow) -> dict[str, tuple[str, ...]]:
    """What there is under each name; names of which anything may be under are left out."""
    kept = dict.fromkeys(name for event in flow.events if event.does == "open" for name in event.keep)
    languages = [language for language in flow.ask[0].question if all(language in ask.question for ask in flow.ask)]
    return {
        "case": _CASE,
        "data": (*kept, "receivers"),
        "answers": tuple(ask.id for ask in flow.ask),
        "figures": tuple(flow.figures),
        "flow": (*_FLOW, *(f"title_{language}" for language in flow.title)),
        "question": (*_QUESTION, *(f"words_{language}" for language in languages)),
        "step": _STEP,
        "report": _REPORT,
    }


def _paths(flow: Flow) -> Iterator[tuple[Place, str]]:
    """Every path over a case, with its place; those over an event are held against its contract instead."""
    if flow.people is not None:
        yield ("people", "each"), flow.people.each
    for at, ask in enumerate(flow.ask):
        if ask.each is not None:
            yield ("ask", at, "each"), ask.each
        if isinstance(ask.agency, Expression) and ask.agency.path is not None:
            yield ("ask", at, "agency"), ask.agency.path
    values: dict[Place, Expression] = {("figures", name): value for name, value in flow.figures.items()}
    for at, rule in enumerate(flow.rules):
        values |= {("rules", at, "declared"): rule.declared, ("rules", at, "found"): rule.found}
    yield from ((place, value.path) for place, value in values.items() if value.path is not None)
    for name in ("question", "progress", "outcome"):
        emission: Emission | None = getattr(flow, name)
        if emission is not None:
            yield from _tree_paths(emission.fields, (name, "fields"))


def _tree_paths(tree: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, str]]:
    for name, part in tree.items():
        here = (*place, name)
        path = part.get("path") if isinstance(part, Mapping) and is_expression(part) else part
        if isinstance(path, str):
            yield here, path
        elif isinstance(part, Mapping) and not is_expression(part):
            yield from _tree_paths(part, here)
