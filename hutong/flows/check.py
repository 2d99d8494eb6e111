"""What is wrong with a flow, held against everything else that is declared. Pure.

Neighbours: ``catalogue.flows`` adds file and line; ``names``, ``fields``, ``spans`` and ``reach`` look at one side each; ``plan``
compiles the expressions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from hutong.agreements.agreement import Agreement
from hutong.contracts.avro import kind
from hutong.contracts.contract import Contract
from hutong.contracts.finding import Finding
from hutong.contracts.wellformed import Place
from hutong.errors import DeclarationError
from hutong.flows.compiling import expression_findings
from hutong.flows.fields import emission_findings, is_personal, is_text, type_at
from hutong.flows.flow import Answer, Event, Expression, Flow
from hutong.flows.names import name_findings
from hutong.flows.plan import contracts_of
from hutong.flows.reach import agency_of, reach_findings
from hutong.flows.spans import span_findings

__all__ = ["Surroundings", "flow_findings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a flow is held against.

    Attributes:
        contracts: those that are right.
        declared: the names of all contracts, right or not: a flow with one that is wrong is not blamed for it.
        departments: all codes, or None where the parties could not be read.
        agreements: those that are right in themselves.
    """

    contracts: Mapping[str, Contract]
    declared: Set[str]
    departments: Set[str] | None
    agreements: Sequence[Agreement]


def flow_findings(flow: Flow, around: Surroundings) -> Iterator[Finding]:
    """Everything that is wrong with one flow, as far as it can be seen without a case."""
    yield from _order_findings(flow)
    yield from _deed_findings(flow)
    yield from _party_findings(flow, around)
    yield from _purpose_findings(flow, around)
    yield from span_findings(flow)
    yield from name_findings(flow)
    pathed = list(_event_findings(flow, around)) + list(_answer_findings(flow, around))
    yield from pathed
    for name in ("question", "progress", "outcome"):
        emission = getattr(flow, name)
        if emission is not None and emission.contract in around.contracts:
            parsed = around.contracts[emission.contract].newest.parsed
            yield from emission_findings(parsed, emission.fields, (name, "fields"))
    told = {finding.place for finding in pathed}
    yield from (one for one in expression_findings(flow, around.contracts) if one.place not in told)
    yield from reach_findings(flow, around.contracts, around.agreements)


def _order_findings(flow: Flow) -> Iterator[Finding]:
    """Ids, and which question waits for which."""
    after = {}
    for kind_, ids in (("ask", [one.id for one in flow.ask]), ("rules", [one.id for one in flow.rules])):
        for at, id_ in enumerate(ids):
            if id_ in ids[:at]:
                yield Finding(problem=f"{id_} stands twice; give each its own id", place=(kind_, at, "id"))
    known = {one.id: one for one in flow.ask}
    asks = ", ".join(known)
    for at, ask in enumerate(flow.ask):
        if ask.after is not None and ask.after not in known:
            yield Finding(problem=f"there is no question {ask.after}; there is {asks}", place=("ask", at, "after"))
        after[ask.id] = ask.after
    for at, ask in enumerate(flow.ask):
        if _circles(ask.id, after):
            problem = f"{ask.id} waits for itself, by what its 'after' waits for, and would never be asked; break the circle"
            yield Finding(problem=problem, place=("ask", at, "after"))
    for at, rule in enumerate(flow.rules):
        for where, needed in [*((("needs", i), one) for i, one in enumerate(rule.needs)), (("source",), rule.source)]:
            if needed not in known:
                yield Finding(problem=f"there is no question {needed}; there is {asks}", place=("rules", at, *where))


def _circles(start: str, after: Mapping[str, str | None]) -> bool:
    """Whether following ``after`` from a question comes back to it."""
    seen: set[str] = set()
    here = after.get(start)
    while here is not None and here not in seen:
        if here == start:
            return True
        seen.add(here)
        here = after.get(here)
    return False


def _deed_findings(flow: Flow) -> Iterator[Finding]:
    """Events without which others, or the case, make no sense."""
    deeds = {event.does for event in flow.events}
    if "open" not in deeds:
        yield Finding(problem="no event opens a case; add one that does: open", place=("events",))
    people = flow.people
    if people is not None and not people.each.startswith("data."):
        yield Finding(problem=f"the list of people is in the case's data: write data.{people.each}", place=("people", "each"))
    for at, event in enumerate(flow.events):
        if event.person is not None and people is None:
            problem = "it is about one person of the case, and the flow has no 'people'; add them"
            yield Finding(problem=problem, place=("events", at, "does"))
    if people is not None and people.authorisation and people.given is None and "authorise" not in deeds:
        problem = "nobody could ever authorise: give 'given', or an event that does: authorise"
        yield Finding(problem=problem, place=("people", "authorisation"))
    for at, ask in enumerate(flow.ask):
        for i, answer in enumerate(ask.answer):
            if answer.persons is not None and people is None:
                problem = "it names persons, and the flow has no 'people', so that every answer would be refused; add them"
                yield Finding(problem=problem, place=("ask", at, "answer", i, "persons"))
    if "refer" in deeds and not deeds & {"resume", "revoke"}:
        problem = "a case that is referred would rest for ever; add an event that does: resume or revoke"
        at = next(at for at, event in enumerate(flow.events) if event.does == "refer")
        yield Finding(problem=problem, place=("events", at, "does"), warning=True)
    for at, ask in enumerate(flow.ask):
        if ask.stage == "undo" and "revoke" not in deeds:
            problem = "it is never asked: no event does: revoke"
            yield Finding(problem=problem, place=("ask", at, "stage"), warning=True)


def _party_findings(flow: Flow, around: Surroundings) -> Iterator[Finding]:
    """Departments and contracts are there, and each contract is the right department's."""
    yield from _department(flow.owner, ("owner",), around)
    for at, event in enumerate(flow.events):
        yield from _contract(event.contract, ("events", at, "contract"), around)
    for at, ask in enumerate(flow.ask):
        agency = agency_of(ask)
        if agency is not None:
            yield from _department(agency, ("ask", at, "agency"), around)
        if ask.escalate is not None:
            yield from _department(ask.escalate.to, ("ask", at, "escalate", "to"), around)
        for i, answer in enumerate(ask.answer):
            place: Place = ("ask", at, "answer", i, "contract")
            yield from _contract(answer.contract, place, around)
            if agency is not None and answer.contract.rpartition(".")[0] != agency:
                problem = f"{answer.contract} is not a contract of {agency}, whose answer it should be; correct one of the two"
                yield Finding(problem=problem, place=place)
    for name in ("question", "progress", "outcome"):
        if (emission := getattr(flow, name)) is not None:
            place = (name, "contract")
            yield from _contract(emission.contract, place, around)
            if emission.contract.rpartition(".")[0] != flow.owner:
                problem = f"the flow publishes in the name of {flow.owner}, and {emission.contract} is another's contract"
                yield Finding(problem=problem, place=place)


def _department(code: str, place: Place, around: Surroundings) -> Iterator[Finding]:
    if around.departments is not None and code not in around.departments:
        yield Finding(problem=f"departments.yaml has no department {code!r}", place=place)


def _contract(name: str, place: Place, around: Surroundings) -> Iterator[Finding]:
    if name not in around.declared:
        yield Finding(problem=f"there is no contract {name!r} under contracts/", place=place)


def _purpose_findings(flow: Flow, around: Surroundings) -> Iterator[Finding]:
    limited: dict[str, list[str]] = {}
    for name in contracts_of(flow):
        only = around.contracts[name].only_for_purpose if name in around.contracts else None
        if only is not None and only != flow.purpose:
            limited.setdefault(only, []).append(name)
    for only, names in limited.items():
        problem = f"{', '.join(names)} may be used for '{only}' only; a flow that takes or publishes it has that purpose"
        yield Finding(problem=problem, place=("purpose",))


def _event_findings(flow: Flow, around: Surroundings) -> Iterator[Finding]:
    """Paths into events, and whether the case's key shows whose it is."""
    for at, event in enumerate(flow.events):
        if (contract := around.contracts.get(event.contract)) is None:
            continue
        place: Place = ("events", at, "case")
        if not event.case:
            yield Finding(problem="name at least one path: what cases are told apart by", place=place)
        for path in event.case:
            found = list(_single(contract, path, place))
            yield from found
            if not found and not flow.personal_key and is_personal(contract.newest.parsed, path):
                problem = f"{path} is personal, and the cases' numbers would show it; set personal_key: true for the flow"
                yield Finding(problem=problem, place=place)
        paths = _expressions(event, ("events", at))
        yield from (one for where, path in paths.items() for one in _exists(contract, path, where))


def _answer_findings(flow: Flow, around: Surroundings) -> Iterator[Finding]:
    for at, ask in enumerate(flow.ask):
        for i, answer in enumerate(ask.answer):
            if (contract := around.contracts.get(answer.contract)) is None:
                continue
            place: Place = ("ask", at, "answer", i)
            for name, path in (("case", answer.case), ("question", answer.question)):
                found = list(_exists(contract, path, (*place, name)))
                yield from found
                if not found and not is_text(type_at(contract.newest.parsed, path)):
                    yield Finding(problem=f"{path} must be plain text, as the numbers of cases are", place=(*place, name))
            paths = _expressions(answer, place)
            yield from (one for where, path in paths.items() for one in _exists(contract, path, where))


def _expressions(spec: Event | Answer, place: Place) -> dict[Place, str]:
    """The paths of what a spec keeps, and of the persons that it names."""
    values: dict[Place, Expression | None] = {(*place, "keep", name): value for name, value in spec.keep.items()}
    values.pop((*place, "keep", "receivers"), None)  # who got the event is found out by the coordinator
    if isinstance(spec, Event):
        values[(*place, "person")] = spec.person
    else:
        values[(*place, "persons")] = spec.persons
    return {where: value.path for where, value in values.items() if value is not None and value.path is not None}


def _exists(contract: Contract, path: str, place: Place) -> Iterator[Finding]:
    try:
        type_at(contract.newest.parsed, path)
    except DeclarationError as error:
        yield Finding(problem=f"{contract.name}: {error.problem}", place=place)


def _single(contract: Contract, path: str, place: Place) -> Iterator[Finding]:
    """A case's key is one value."""
    found = list(_exists(contract, path, place))
    yield from found
    if not found and kind(type_at(contract.newest.parsed, path)) in ("record", "array", "map", "union"):
        yield Finding(problem=f"{path} is not one value; the key of a case is", place=place)
