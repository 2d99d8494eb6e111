"""A scenario: what departments publish and when, how agencies answer, and what must be so at each point; played on a simulation.

Neighbours: ``simulation`` is the bus and its clock, ``expectation`` judges; ``hutong flow test`` plays a file and prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from hutong.catalogue.collected import Collected
from hutong.catalogue.document import Document, Path
from hutong.errors import ContractViolation, DeclarationError, NotAuthorised, UnknownContract
from hutong.flows.case import Case, Question, rfc3339_ms
from hutong.flows.flow import Duration, Flow
from hutong.simulation.expectation import Expectation, Judged, judge
from hutong.simulation.simulation import Simulation

__all__ = ["Player", "Reply", "Scenario", "Step", "read_scenario"]


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be a moment such as 2026-03-02T09:00")  # noqa: TRY004 - pydantic takes only ValueError
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a moment such as 2026-03-02T09:00") from None


def _replies(value: Any) -> Any:
    if value == "silent":
        return ()
    return value if isinstance(value, (list, tuple)) else (value,)


Moment = Annotated[datetime, BeforeValidator(_moment)]


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reply(_Declared):
    """How an agency answers a question.

    Attributes:
        agency: which; by default every one that is asked this.
        after: how long after the question; by default at once.
        contract: which of the question's answers; by default the agency's first.
        sample: what ``data`` adds to.
        data: the answer, without the numbers of case and question.
    """

    agency: str | None = None
    after: Duration | None = None
    contract: str | None = None
    sample: str | None = None
    data: dict[str, Any] = {}


class Step(_Declared):
    """Something that happens.

    Attributes:
        at: when; by default as soon as what came before.
        after: or how long after what came before.
        publish: the contract whose event is published.
        answer: or the question that is answered, by an agency that does not do so by itself.
        case: whose question; number or key. May be left out while there is one case.
        agency: of a question to many: which agency answers.
        by: who publishes; by default whose contract it is.
        id: the event's id.
        sample: what ``data`` adds to.
        data: the event.
        expect: what must be so afterwards.
    """

    at: Moment | None = None
    after: Duration | None = None
    publish: str | None = None
    answer: str | None = None
    case: str | None = None
    agency: str | None = None
    by: str | None = None
    id: str | None = None
    sample: str | None = None
    data: dict[str, Any] = {}
    expect: tuple[Expectation, ...] = ()

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if self.at is not None and self.after is not None:
            raise ValueError("a step has a moment (at) or a time span (after), not both")
        if self.publish is not None and self.answer is not None:
            raise ValueError("a step publishes an event or an answer, not both")
        if self.publish is None and self.answer is None and (self.data or self.sample):
            raise ValueError("data needs publish or answer beside it")
        return self


class Scenario(_Declared):
    """A file of them.

    Attributes:
        title: what it shows.
        start: when it begins, in the bus's time zone.
        samples: data to start from, by name.
        answers: how agencies answer, by question; who is not here stays silent, as with ``silent``.
        steps: what happens, in order.
    """

    title: str
    start: Moment
    samples: dict[str, dict[str, Any]] = {}
    answers: dict[str, Annotated[tuple[Reply, ...], BeforeValidator(_replies)]] = {}
    steps: tuple[Step, ...]


def read_scenario(document: Document, flow: Flow) -> Scenario:
    """A scenario from its file.

    Raises:
        DeclarationError: it is wrong; the first thing, with its line.
    """
    collected = Collected()
    scenario = collected.model(Scenario, document)
    if scenario is None:
        raise _first(collected.errors)
    asks = {one.id: one for one in flow.ask}
    for ask, replies in scenario.answers.items():
        if ask not in asks:
            raise document.error(f"flow {flow.id} asks no {ask}; it asks {', '.join(asks)}", ("answers", ask))
        for at, reply in enumerate(replies):
            _known_sample(document, scenario, reply.sample, ("answers", ask, at, "sample"))
            known = [one.contract for one in asks[ask].answer]
            if reply.contract not in (None, *known):
                raise document.error(f"{ask} is answered by {', '.join(known)}", ("answers", ask, at, "contract"))
    for at, step in enumerate(scenario.steps):
        _known_sample(document, scenario, step.sample, ("steps", at, "sample"))
        if step.answer not in (None, *asks):
            raise document.error(f"flow {flow.id} asks no {step.answer}; it asks {', '.join(asks)}", ("steps", at, "answer"))
    return scenario


def _first(errors: tuple[DeclarationError, ...]) -> DeclarationError:
    first, more = errors[0], len(errors) - 1
    problem = f"{first.problem} (and {more} more)" if more else first.problem
    return DeclarationError(problem, file=first.file, line=first.line, field=first.field)


def _known_sample(document: Document, scenario: Scenario, name: str | None, place: Path) -> None:
    if name is not None and name not in scenario.samples:
        raise document.error(f"there is no sample {name}; the file has {', '.join(scenario.samples) or 'none'}", place)


class Player:
    """Plays a scenario.

    Args:
        scenario: what happens.
        document: its file, for lines.
        flow: the flow that it is about.
        simulation: the bus that it happens on.
    """

    def __init__(self, scenario: Scenario, document: Document, flow: Flow, simulation: Simulation) -> None:
        self._scenario, self._document, self._flow, self._simulation = scenario, document, flow, simulation
        self._asks = {one.id: one for one in flow.ask}
        simulation.on_question = self._asked

    def play(self) -> list[Judged]:
        """Let it all happen.

        Returns:
            Every expectation, and whether it holds.

        Raises:
            DeclarationError: a step cannot be done: its event breaks a contract, its moment has passed, there is no such case.
        """
        judged: list[Judged] = []
        for at, step in enumerate(self._scenario.steps):
            try:
                self._do(step)
            except (ValueError, LookupError) as error:
                raise self._document.error(str(error), ("steps", at)) from None
            except (ContractViolation, UnknownContract, NotAuthorised) as error:
                raise self._document.error(str(error), ("steps", at, "data" if step.data else "publish")) from None
            for number, expectation in enumerate(step.expect):
                found = judge(self._simulation, self._flow.id, expectation, self._document, ("steps", at, "expect", number))
                judged += sorted(found, key=lambda one: one.line)
        return judged

    def _do(self, step: Step) -> None:
        if step.at is not None or step.after is not None:
            self._simulation.advance(to=step.at, by=step.after)
        data = self._data(step.sample, step.data)
        if step.publish is not None:
            self._simulation.publish(step.publish, self._filled(data, step.case), id=step.id, by=step.by)
        elif step.answer is not None:
            case = self._case(step.case)
            question = self._question(case, step)
            reply = Reply(data=data)
            self._answer(case, question, reply, id_=step.id, by=step.by)

    def _asked(self, case: Case, question: Question) -> None:
        """An agency has got its question; if it answers by itself, its answer is on its way."""
        replies = self._scenario.answers.get(question["ask"], ()) if case["flow"] == self._flow.id else ()
        for at, reply in enumerate(replies):
            if reply.agency in (None, question["agency"]):
                asked = question["asked_ms"]
                moment = self._simulation.worktime.after(asked, reply.after).ms if reply.after else asked
                when = datetime.fromisoformat(str(rfc3339_ms(moment)))
                self._simulation.at(when, partial(self._by_itself, case["number"], question, reply, at))
                return

    def _by_itself(self, number: str, question: Question, reply: Reply, at: int) -> None:
        data = self._data(reply.sample, reply.data)
        try:
            self._answer(self._simulation.cases[number], question, reply.model_copy(update={"data": data}))
        except (ContractViolation, NotAuthorised) as error:
            raise self._document.error(str(error), ("answers", question["ask"], at)) from None

    def _answer(self, case: Case, question: Question, reply: Reply, *, id_: str | None = None, by: str | None = None) -> None:
        possible = self._asks[question["ask"]].answer
        own = [one for one in possible if one.contract.rpartition(".")[0] == question["agency"]]
        named = [one for one in possible if one.contract == reply.contract]
        answer = (named or own or list(possible))[0]
        data = self._filled(reply.data, case["number"])
        for path, value in ((answer.case, case["number"]), (answer.question, question["number"])):
            _set_missing(data, path, value)
        self._simulation.publish(answer.contract, data, id=id_, by=by)

    def _case(self, wanted: str | None) -> Case:
        if wanted is not None:
            return self._simulation.case(wanted)
        cases = [one for one in self._simulation.cases.values() if one["flow"] == self._flow.id]
        if len(cases) != 1:
            raise LookupError(f"there are {len(cases)} cases; name one with case")
        return cases[0]

    def _question(self, case: Case, step: Step) -> Question:
        found = [one for one in case["questions"].values() if one["ask"] == step.answer and step.agency in (None, one["agency"])]
        if len(found) != 1:
            raise LookupError(f"case {case['number']} has {len(found)} questions {step.answer}; name one with agency")
        return found[0]

    def _data(self, sample: str | None, data: Mapping[str, Any]) -> dict[str, Any]:
        return _merged(self._scenario.samples[sample] if sample else {}, data)

    def _filled(self, data: Any, case: str | None) -> Any:
        """The data with ``$now``, ``$today`` and ``$case_number`` replaced, wherever they stand for a value."""
        if isinstance(data, Mapping):
            return {name: self._filled(value, case) for name, value in data.items()}
        if isinstance(data, list):
            return [self._filled(value, case) for value in data]
        match data:
            case "$now":
                return self._simulation.now.isoformat()
            case "$today":
                return self._simulation.now.astimezone(self._simulation.zone).date().isoformat()
            case "$case_number":
                return self._case(case)["number"]
        return data


def _merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(base)
    for name, value in more.items():
        here = found.get(name)
        found[name] = _merged(here, value) if isinstance(here, Mapping) and isinstance(value, Mapping) else value
    return found


def _set_missing(data: dict[str, Any], path: str, value: str) -> None:
    *inner, last = path.split(".")
    for name in inner:
        data = data.setdefault(name, {})
    data.setdefault(last, value)
