"""A flow as it is declared: what opens a case, whom it asks what by when, how answers are judged, and how it ends.

Fields stand in the order in which a case meets them. Neighbours: ``check`` holds a flow against the contracts, ``plan``
compiles it, ``step`` runs it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

__all__ = [
    "Answer",
    "Ask",
    "Duration",
    "Emission",
    "Escalation",
    "Event",
    "Expression",
    "Flow",
    "People",
    "Rule",
]

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Path = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z]\w*$", max_length=60)]
Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)]
Words = Annotated[dict[str, Text], Field(min_length=1)]


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Expression(_Declared):
    """Where a value comes from: a dotted path, a CEL expression, or a constant. A bare text in a file is a path."""

    path: Path | None = None
    cel: Text | None = None
    constant: bool | int | float | str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if [self.path is not None, self.cel is not None, self.constant is not None].count(True) != 1:
            raise ValueError("a value is a path, or has exactly one of: cel, constant")
        return self


Value = Annotated[Expression, BeforeValidator(lambda value: {"path": value} if isinstance(value, str) else value)]
Tree = dict[str, Any]
"""Field name -> a value's expression, or the same again for a nested record."""


class Duration(_Declared):
    """A time span: exactly one unit, of ten years at most. Working days and hours follow the bus's calendar."""

    seconds: Annotated[int | None, Field(ge=1, le=86_400)] = None
    minutes: Annotated[int | None, Field(ge=1, le=525_600)] = None
    hours: Annotated[int | None, Field(ge=1, le=87_600)] = None
    days: Annotated[int | None, Field(ge=1, le=3_650)] = None
    working_hours: Annotated[int | None, Field(ge=1, le=20_000)] = None
    working_days: Annotated[int | None, Field(ge=1, le=2_500)] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1 or None in (getattr(self, name) for name in self.model_fields_set):
            raise ValueError("a duration has exactly one of: seconds, minutes, hours, days, working_hours, working_days")
        return self


class Event(_Declared):
    """A contract whose events mean something to a case.

    Attributes:
        does: ``open`` a case (or stand beside what opened it), ``authorise`` and ``withdraw`` for one person, ``refer`` to a
            person's decision, ``resume`` after it, ``revoke`` what opened the case, ``note`` it.
        contract: whose events.
        when: CEL over the event; others are not the flow's.
        case: where the case's key is; several paths are several cases.
        given: CEL over ``case``, ``data`` and ``event``; where it is not true, the event is noted and does nothing.
        person: whose authorisation it is about.
        keep: what the case keeps of the event.
    """

    does: Literal["open", "authorise", "withdraw", "refer", "resume", "revoke", "note"]
    contract: Text
    when: Text | None = None
    case: Annotated[tuple[Path, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
    given: Text | None = None
    person: Value | None = None
    keep: dict[Name, Value] = {}

    @model_validator(mode="after")
    def _person_where_needed(self) -> Self:
        if (self.does in ("authorise", "withdraw")) != (self.person is not None):
            raise ValueError("person stands with authorise and withdraw, and only there")
        return self


class People(_Declared):
    """The persons whom a case is about: a list in its data.

    Attributes:
        each: path of the list, from ``data``.
        id: what tells them apart: a value over ``item``.
        authorisation: whether nothing is asked before each of them has authorised it.
        given: over ``item``: whether that person's authorisation came with the opening event.
    """

    each: Path
    id: Value
    authorisation: bool = False
    given: Value | None = None


class Answer(_Declared):
    """A contract whose events answer a question.

    Attributes:
        contract: the answering agency's.
        case: where the case's number is.
        question: where the question's number is.
        persons: whom the answer is about: one person's id or a list of them; all must be the case's.
        keep: what the case keeps of the answer.
    """

    contract: Text
    case: Path = "case_number"
    question: Path = "question_number"
    persons: Value | None = None
    keep: dict[Name, Value] = {}


class Escalation(_Declared):
    """Whom to tell of an answer that does not come.

    Attributes:
        after: how long after the question.
        to: the department that is told, through the flow's progress events.
    """

    after: Duration
    to: Text


class Ask(_Declared):
    """A question to an agency.

    Attributes:
        id: unique in the flow.
        stage: asked in the course of the case, or to ``undo`` it after it was revoked.
        agency: the department's code, or {path: ...} to it from ``data``, ``answers`` or ``item``.
        each: path of a list, from ``data`` or ``answers``: one question for each ``item``.
        after: the question whose answer comes first.
        when: CEL over ``data``, ``answers`` and ``item``; not asked where it is not true.
        required: whether the case is incomplete without the answer.
        question: the question in words, by language.
        within: by when it should be answered.
        remind: when to remind, counted from the question.
        escalate: when to tell somebody else, counted from the question.
        answer: what answers it; the first that comes counts.
    """

    id: Id
    stage: Literal["main", "undo"] = "main"
    agency: Text | Expression
    each: Path | None = None
    after: Id | None = None
    when: Text | None = None
    required: bool = True
    question: Words
    within: Duration
    remind: tuple[Duration, ...] = ()
    escalate: Escalation | None = None
    answer: Annotated[tuple[Answer, ...], Field(min_length=1)]


class Rule(_Declared):
    """A comparison of answers with what was declared, or with each other; a hit is a discrepancy.

    Attributes:
        id: unique in the flow.
        needs: questions that must have been answered.
        when: CEL over ``case``, ``data``, ``answers`` and ``figures``; true is a discrepancy.
        says: the discrepancy in words, by language.
        source: the question whose answer contradicts.
        declared: the one value.
        found: the other value.
    """

    id: Id
    needs: Annotated[tuple[Id, ...], Field(min_length=1)]
    when: Text
    says: Words
    source: Id
    declared: Value
    found: Value


class Emission(_Declared):
    """An event that the flow publishes in its owner's name.

    Attributes:
        contract: which.
        fields: the contract's fields; a mapping is a nested record.
    """

    contract: Text
    fields: Tree


class Flow(_Declared):
    """A procedure over several agencies.

    Attributes:
        id: unique on the bus.
        title: language code -> text.
        owner: the department in whose name questions, progress and report are published.
        prefix: what the numbers of its cases begin with.
        personal_key: whether the cases' key identifies a person; then their numbers do not show it.
        legal_basis: the provision that allows it.
        purpose: what answers and report may be used for, and nothing else.
        events: what opens cases and acts on them.
        people: whom a case is about.
        ask: the questions.
        figures: values worked out from the answers when the case closes, in order; later ones see earlier ones.
        rules: the comparisons.
        deadline: when a case ends with what there is.
        question: how a question is published.
        progress: how each step of a case is published.
        outcome: how the report is published.
    """

    id: Id
    title: Words
    owner: Text
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,6}$")]
    personal_key: bool = False
    legal_basis: Text
    purpose: Text
    events: Annotated[tuple[Event, ...], Field(min_length=1)]
    people: People | None = None
    ask: Annotated[tuple[Ask, ...], Field(min_length=1)]
    figures: dict[Name, Value] = {}
    rules: tuple[Rule, ...] = ()
    deadline: Duration
    question: Emission
    progress: Emission | None = None
    outcome: Emission
