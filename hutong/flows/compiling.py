"""Every expression of a flow that does not compile, not only the first. Pure.

A plan stops at what it cannot compile, so each part of the flow is compiled by itself. Neighbours: ``check`` calls this, ``plan``
knows what each expression may see.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from hutong.contracts.contract import Contract
from hutong.contracts.finding import Finding
from hutong.contracts.wellformed import Place
from hutong.errors import DeclarationError
from hutong.flows.flow import Emission, Flow
from hutong.flows.plan import FlowPlan, contracts_of
from hutong.flows.worktime import StateCouncil, WorkTime

__all__ = ["expression_findings"]

_WORKTIME = WorkTime(ZoneInfo("UTC"), StateCouncil())


def expression_findings(flow: Flow, contracts: Mapping[str, Contract]) -> Iterator[Finding]:
    """The first thing that does not compile in each part; parts with a contract that is not right are left out."""
    schemas = {name: one.newest.schema for name, one in contracts.items()}
    for place, part in _parts(flow, next(iter(contracts), "")):
        if not all(name in schemas for name in contracts_of(part)):
            continue
        try:
            FlowPlan(part, schemas, _WORKTIME)
        except DeclarationError as error:
            yield Finding(problem=error.problem, place=_place(error.field, place))


def _parts(flow: Flow, any_contract: str) -> Iterator[tuple[Place, Flow]]:
    """The flow again and again with one part alone, and that part's place."""
    silent = Emission.model_construct(contract=any_contract, fields={})
    nothing: dict[str, Any] = {"events": (), "people": None, "ask": (), "figures": {}, "rules": (), "progress": None}
    nothing |= {"question": silent, "outcome": silent}

    def only(**part: Any) -> Flow:
        return flow.model_copy(update={**nothing, **part})

    yield ("people",), only(people=flow.people)
    for at, event in enumerate(flow.events):
        yield ("events", at), only(events=(event.model_copy(update={"keep": {}}),))
        bare = event.model_copy(update={"when": None, "case": (), "given": None, "person": None})
        for name, value in event.keep.items():
            yield ("events", at), only(events=(bare.model_copy(update={"keep": {name: value}}),))
    for at, ask in enumerate(flow.ask):
        yield ("ask", at), only(ask=(ask.model_copy(update={"answer": ()}),))
        for i, answer in enumerate(ask.answer):
            alone = ask.model_copy(update={"agency": "", "each": None, "when": None, "answer": (answer,)})
            yield ("ask", at, "answer", i), only(ask=(alone,))
    for name, value in flow.figures.items():
        yield ("figures",), only(figures={name: value})
    for at, rule in enumerate(flow.rules):
        yield ("rules", at), only(rules=(rule,))
    for name in ("question", "progress", "outcome"):
        emission: Emission | None = getattr(flow, name)
        for field, value in emission.fields.items() if emission else ():
            yield (name,), only(**{name: emission.model_copy(update={"fields": {field: value}})})  # type: ignore[union-attr]


def _place(field: str, part: Place) -> Place:
    """``events.0.when`` of a part as the place in the whole flow."""
    place: list[str | int] = [int(one) if one.isdigit() else one for one in field.split(".")]
    return (*part, *place[len(part) :])
