"""A flow compiled against its contracts: every expression a function, every event that it emits made and checked in one call.

Neighbours: ``flow`` is what was declared; ``intake`` and ``step`` run what is compiled here; ``check`` compiles to find what is
wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hutong.contracts.avro import Schema
from hutong.contracts.schema import EventSchema
from hutong.contracts.shape import fingerprint
from hutong.errors import DeclarationError
from hutong.flows.case import number_of
from hutong.flows.expressions import Context, Value, compile_condition, compile_tree, compile_value, follow
from hutong.flows.flow import Answer, Ask, Emission, Event, Expression, Flow, Rule
from hutong.flows.shape import compile_shape
from hutong.flows.worktime import WorkTime

__all__ = ["AnswerPlan", "AskPlan", "EmissionPlan", "EventPlan", "FlowPlan", "RulePlan", "contracts_of"]

Condition = Callable[[Context], bool]

_ITEM = frozenset({"item"})
_CASE = frozenset({"case", "data"})
_ASKING = _CASE | {"answers", "item"}
_JUDGING = _CASE | {"answers", "figures"}
_QUESTION = _ASKING | {"flow", "people", "question"}
_PROGRESS = _CASE | {"flow", "step"}
_OUTCOME = _JUDGING | {"flow", "report"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPlan:
    """An event that means something to a case: see ``flow.Event``."""

    spec: Event
    when: Condition | None
    keys: tuple[Value, ...]
    given: Condition | None
    person: Value | None
    keep: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPlan:
    """What answers a question: see ``flow.Answer``."""

    spec: Answer
    case: Value
    question: Value
    persons: Value | None
    keep: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPlan:
    """A question: see ``flow.Ask``; ``answerers`` are the departments whose events may answer it."""

    spec: Ask
    agency: Value
    each: Value | None
    when: Condition | None
    answers: tuple[AnswerPlan, ...]
    answerers: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePlan:
    """A comparison: see ``flow.Rule``."""

    spec: Rule
    when: Condition
    declared: Value
    found: Value


class EmissionPlan:
    """An event that the flow publishes.

    Attributes:
        contract, version, shape: its contract, which version of it, and the fingerprint of that.

    Raises:
        DeclarationError: an expression is wrong.
    """

    def __init__(self, spec: Emission, schema: EventSchema, known: frozenset[str]) -> None:
        self.contract = spec.contract
        self.version, self.shape = schema.version, fingerprint(schema.parsed)
        self._schema = schema
        self._tree, self._fit = compile_tree(spec.fields, known), compile_shape(schema.parsed)

    def make(self, context: Context) -> tuple[dict[str, Any], str, bytes]:
        """The event's data, as its contract wants it, and their key and Avro value.

        Raises:
            ValueError: an expression has no value.
            ContractViolation: what came out breaks the contract.
        """
        made: dict[str, Any] = self._fit(self._tree(context))
        return made, *self._schema.pack(made)


class FlowPlan:
    """A flow, ready to run.

    Args:
        flow: the flow.
        schemas: the newest annotated schema of every contract that it names.
        worktime: counts its deadlines.
        secret: hides its cases' keys; only for a flow whose key is personal.

    Raises:
        DeclarationError: the first thing that is wrong; ``field`` is its place in the document.
    """

    def __init__(self, flow: Flow, schemas: Mapping[str, Schema], worktime: WorkTime, secret: bytes | None = None) -> None:
        self.flow, self.worktime = flow, worktime
        self._secret = secret if flow.personal_key else None
        self.contracts = {name: EventSchema(schemas[name]) for name in contracts_of(flow)}
        self.about: dict[str, Any] = {
            **{"id": flow.id, "purpose": flow.purpose, "legal_basis": flow.legal_basis},
            **{f"title_{language}": text for language, text in flow.title.items()},
        }
        self.events = tuple(_event(spec, self._names(spec.contract), f"events.{at}") for at, spec in enumerate(flow.events))
        people = flow.people
        self.people_each = follow(people.each) if people else None
        self.people_id = _value(people.id, _ITEM, "people.id") if people else None
        self.people_given = _value(people.given, _ITEM, "people.given") if people and people.given else None
        self.asks = {spec.id: self._ask(spec, f"ask.{at}") for at, spec in enumerate(flow.ask)}
        self.figures = {name: _value(one, _JUDGING, f"figures.{name}") for name, one in flow.figures.items()}
        self.rules = tuple(_rule(spec, f"rules.{at}") for at, spec in enumerate(flow.rules))
        self.question = self._emission(flow.question, _QUESTION, "question")
        self.progress = self._emission(flow.progress, _PROGRESS, "progress") if flow.progress else None
        self.outcome = self._emission(flow.outcome, _OUTCOME, "outcome")

    def number(self, key: str) -> str:
        """The number of the case of a key."""
        return number_of(self.flow.prefix, key, self._secret)

    def event_of(self, spec: str, does: str, contract: str) -> EventPlan | None:
        """The event that a stimulus means; the flow may have been edited since it was forwarded."""
        fitting = [one for one in self.events if (one.spec.does, one.spec.contract) == (does, contract)]
        meant = self.events[int(spec)] if spec.isdigit() and int(spec) < len(self.events) else None
        return meant if meant in fitting else next(iter(fitting), None)

    def answer_of(self, ask: str, contract: str) -> AnswerPlan | None:
        """What answers a question by events of a contract, if anything does now."""
        answers = self.asks[ask].answers if ask in self.asks else ()
        return next((one for one in answers if one.spec.contract == contract), None)

    def _names(self, contract: str) -> frozenset[str]:
        return frozenset(field["name"] for field in self.contracts[contract].parsed.root["fields"])

    def _ask(self, spec: Ask, place: str) -> AskPlan:
        agency = spec.agency
        return AskPlan(
            spec=spec,
            agency=_value(Expression(constant=agency) if isinstance(agency, str) else agency, _ASKING, f"{place}.agency"),
            each=_value(Expression(path=spec.each), _ASKING, f"{place}.each") if spec.each else None,
            when=_condition(spec.when, _ASKING, f"{place}.when"),
            answers=tuple(_answer(one, self._names(one.contract), f"{place}.answer.{at}") for at, one in enumerate(spec.answer)),
            answerers=frozenset(one.contract.rpartition(".")[0] for one in spec.answer),
        )

    def _emission(self, spec: Emission, known: frozenset[str], place: str) -> EmissionPlan:
        try:
            return EmissionPlan(spec, self.contracts[spec.contract], known)
        except DeclarationError as error:
            raise DeclarationError(error.problem, field=f"{place}.fields.{error.field}") from None


def contracts_of(flow: Flow) -> Iterator[str]:
    """The contracts that a flow takes or emits, each once."""
    named = [event.contract for event in flow.events]
    named += [answer.contract for ask in flow.ask for answer in ask.answer]
    named += [one.contract for one in (flow.question, flow.progress, flow.outcome) if one]
    return iter(dict.fromkeys(named))


def _event(spec: Event, fields: frozenset[str], place: str) -> EventPlan:
    return EventPlan(
        spec=spec,
        when=_condition(spec.when, fields, f"{place}.when", of_event=True),
        keys=tuple(_value(Expression(path=path), fields, f"{place}.case", of_event=True) for path in spec.case),
        given=_condition(spec.given, _CASE | {"event"}, f"{place}.given"),
        person=_value(spec.person, fields, f"{place}.person", of_event=True) if spec.person else None,
        keep={
            name: _value(one, fields, f"{place}.keep.{name}", of_event=True)
            for name, one in spec.keep.items()
            if name != "receivers"
        },
    )


def _answer(spec: Answer, fields: frozenset[str], place: str) -> AnswerPlan:
    return AnswerPlan(
        spec=spec,
        case=_value(Expression(path=spec.case), fields, f"{place}.case", of_event=True),
        question=_value(Expression(path=spec.question), fields, f"{place}.question", of_event=True),
        persons=_value(spec.persons, fields, f"{place}.persons", of_event=True) if spec.persons else None,
        keep={name: _value(one, fields, f"{place}.keep.{name}", of_event=True) for name, one in spec.keep.items()},
    )


def _rule(spec: Rule, place: str) -> RulePlan:
    when = _condition(spec.when, _JUDGING, f"{place}.when")
    assert when is not None  # noqa: S101 - a rule has one
    declared, found = _value(spec.declared, _JUDGING, f"{place}.declared"), _value(spec.found, _JUDGING, f"{place}.found")
    return RulePlan(spec=spec, when=when, declared=declared, found=found)


def _condition(text: str | None, known: frozenset[str], place: str, *, of_event: bool = False) -> Condition | None:
    if text is None:
        return None
    try:
        return compile_condition(text, known, converted=not of_event)
    except DeclarationError as error:
        raise DeclarationError(error.problem, field=place) from None


def _value(expression: Expression, known: frozenset[str], place: str, *, of_event: bool = False) -> Value:
    try:
        return compile_value(expression, known, converted=not of_event)
    except DeclarationError as error:
        raise DeclarationError(error.problem, field=place) from None
