"""Whether what a flow publishes reaches those whom it is meant for: by the agreements, as everything on the bus.

Pure. Neighbours: ``check`` calls this; ``hutong.agreements.rows`` tests the row conditions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hutong.agreements.agreement import Agreement, CelRow
from hutong.agreements.rows import compile_row
from hutong.contracts.contract import Contract
from hutong.contracts.finding import Finding
from hutong.errors import DeclarationError
from hutong.flows.fields import is_expression
from hutong.flows.flow import Ask, Flow

__all__ = ["agency_of", "reach_findings"]


def agency_of(ask: Ask) -> str | None:
    """The agency that a question always goes to; None where the case decides."""
    agency = ask.agency if isinstance(ask.agency, str) else ask.agency.constant
    return agency if isinstance(agency, str) else None


def reach_findings(flow: Flow, contracts: Mapping[str, Contract], agreements: Sequence[Agreement]) -> Iterator[Finding]:
    """Questions that would reach nobody or too many, escalations and reports that nobody would get."""
    on = _by_contract(agreements)
    questions = on.get(flow.question.contract, [])
    if flow.question.contract in contracts:
        for at, ask in enumerate(flow.ask):
            if (agency := agency_of(ask)) is not None:
                mine = [one for one in questions if one.recipient == agency]
                yield from _question_findings(flow, ask, at, mine, contracts[flow.question.contract])
    for at, ask in enumerate(flow.ask):
        if ask.escalate is not None:
            yield from _escalation_findings(flow, ask.escalate.to, at, on)
    if not on.get(flow.outcome.contract):
        problem = f"no agreement delivers {flow.outcome.contract}, so nobody gets the reports; grant it to whoever acts on them"
        yield Finding(problem=problem, place=("outcome", "contract"), warning=True)


def _by_contract(agreements: Sequence[Agreement]) -> dict[str, list[Agreement]]:
    found: dict[str, list[Agreement]] = {}
    for agreement in agreements:
        found.setdefault(agreement.contract, []).append(agreement)
    return found


def _question_findings(flow: Flow, ask: Ask, at: int, mine: list[Agreement], contract: Contract) -> Iterator[Finding]:
    agency, place = agency_of(ask), ("ask", at, "agency")
    where = f"agreements/{agency}/<id>.yaml (contract: {contract.name})"
    known = _known(flow, ask)
    field = next((name for name, value in known.items() if value == agency), None)
    rows = f", with the row {{field: {field}, equals: {agency}}}" if field else ""
    if not mine:
        problem = f"{agency} would never see the question: no agreement grants it {contract.name}; write {where}{rows}"
        yield Finding(problem=problem, place=place)
    elif not any(_passes(one, known, contract) for one in mine):
        problem = f"{agency} would never see the question: the rows of {mine[0].id} let none of them pass; correct them{rows}"
        yield Finding(problem=problem, place=place)
    elif field and len({agency_of(one) for one in flow.ask}) > 1 and all(_open_to_all(one, field) for one in mine):
        problem = f"{mine[0].id} has no row on {field}, so {agency} gets the questions to all others too{rows}"
        yield Finding(problem=problem, place=place, warning=True)


def _open_to_all(agreement: Agreement, field: str) -> bool:
    return all(not isinstance(row, CelRow) and row.field != field for row in agreement.rows)


def _passes(agreement: Agreement, known: Mapping[str, Any], contract: Contract) -> bool:
    """Whether a question may pass, as far as is known before there is one."""
    for row in agreement.rows:
        if isinstance(row, CelRow) or row.field not in known:
            continue
        data: Any = known[row.field]
        for segment in reversed(row.field.split(".")):
            data = {segment: data}
        try:
            if not compile_row(row, contract.newest.parsed)(data):
                return False
        except (DeclarationError, TypeError, AttributeError):
            continue  # the agreement's own check tells of it
    return True


def _known(flow: Flow, ask: Ask) -> dict[str, Any]:
    """The fields of a question whose value the declaration alone decides: dotted path -> value."""
    said = {
        **{"question.ask": ask.id, "question.agency": agency_of(ask), "question.stage": ask.stage},
        **{"question.required": ask.required, "flow.id": flow.id, "flow.purpose": flow.purpose},
        "flow.legal_basis": flow.legal_basis,
    }
    return dict(_known_in(flow.question.fields, said, ""))


def _known_in(tree: Mapping[str, Any], said: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, part in tree.items():
        if not is_expression(part):
            yield from _known_in(part, said, f"{prefix}{name}.")
            continue
        path = part.get("path") if isinstance(part, Mapping) else part
        if isinstance(part, Mapping) and part.get("constant") is not None:
            yield prefix + name, part["constant"]
        elif isinstance(path, str) and path in said:
            yield prefix + name, said[path]


def _escalation_findings(flow: Flow, to: str, at: int, on: Mapping[str, list[Agreement]]) -> Iterator[Finding]:
    place = ("ask", at, "escalate", "to")
    if flow.progress is None:
        yield Finding(
            problem="an escalation is told through the flow's progress, which it has none of; add 'progress'", place=place
        )
    elif not any(one.recipient == to for one in on.get(flow.progress.contract, [])):
        problem = f"{to} would not hear of it: no agreement grants it {flow.progress.contract}; write agreements/{to}/<id>.yaml"
        yield Finding(problem=problem, place=place, warning=True)
