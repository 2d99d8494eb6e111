"""What a published event means to flows: which cases, and what it does to each.

Neighbours: ``services/coordinator`` forwards events under the cases' numbers with this, ``simulation`` too; ``step`` does what is
meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hutong.flows.plan import EventPlan, FlowPlan

__all__ = ["Intake", "Meant", "Unusable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What an event does to one case.

    Attributes:
        flow: the case's flow.
        case: the case's number.
        key: the case's key; empty for an answer, which knows the number.
        does: see ``step.Stimulus``.
        spec: see ``step.Stimulus``.
    """

    flow: str
    case: str
    key: str
    does: str
    spec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Why an event that a flow takes cannot be brought to a case: it belongs into quarantine.

    Attributes:
        flow: the flow.
        reason: ``flow_key_missing`` or ``flow_rule_failed``.
        problem: the same in words.
    """

    flow: str
    reason: str
    problem: str


class Intake:
    """All flows of a bus, by the contracts that they take.

    Args:
        plans: the flows.

    Attributes:
        contracts: whose events mean something to a flow.
        answers: those among them whose events answer questions.
    """

    def __init__(self, plans: Iterable[FlowPlan]) -> None:
        self._events: dict[str, list[tuple[FlowPlan, str, EventPlan]]] = {}
        self._answers: dict[str, list[tuple[FlowPlan, str, Any]]] = {}
        for plan in plans:
            for at, event in enumerate(plan.events):
                self._events.setdefault(event.spec.contract, []).append((plan, str(at), event))
            for ask in plan.asks.values():
                for at, answer in enumerate(ask.answers):
                    self._answers.setdefault(answer.spec.contract, []).append((plan, f"{ask.spec.id}/{at}", answer))
        self.answers = frozenset(self._answers)
        self.contracts = frozenset(self._events) | self.answers

    def meant(self, contract: str, data: Mapping[str, Any]) -> tuple[list[Meant], list[Unusable]]:
        """What an event does, and to which flows it is of no use.

        Args:
            contract: the event's contract.
            data: its data, decoded.
        """
        found: list[Meant] = []
        unusable: list[Unusable] = []
        for plan, spec, event in self._events.get(contract, ()):
            flow = plan.flow.id
            try:
                if event.when is not None and not event.when(data):
                    continue
            except ValueError as error:
                unusable.append(Unusable(flow=flow, reason="flow_rule_failed", problem=f"flow {flow}, event {spec}: {error}"))
                continue
            keys = dict.fromkeys(str(key) for value in event.keys if (key := value(data)) not in (None, ""))
            if not keys and event.spec.does == "open":
                where = " or ".join(event.spec.case)
                problem = f"flow {flow}: the event has no {where}, which is the key of its case"
                unusable.append(Unusable(flow=flow, reason="flow_key_missing", problem=problem))
            found += [Meant(flow=flow, case=plan.number(key), key=key, does=event.spec.does, spec=spec) for key in keys]
        return found + list(self._answered(contract, data, unusable)), unusable

    def _answered(self, contract: str, data: Mapping[str, Any], unusable: list[Unusable]) -> Iterable[Meant]:
        """Of all questions that events of a contract may answer, the one whose number the answer has."""
        fitting: Meant | None = None
        for plan, spec, answer in self._answers.get(contract, ()):
            number, question = answer.case(data), answer.question(data)
            flow = plan.flow
            if not number or not question:
                problem = f"flow {flow.id}: the answer has no {answer.spec.case} or no {answer.spec.question}"
                unusable.append(Unusable(flow=flow.id, reason="flow_key_missing", problem=problem))
                return
            if str(number).startswith(f"{flow.prefix}-"):
                asked = _asked_as(str(question), str(number), spec)
                if asked or fitting is None:  # an answer to nothing is the case's to refuse
                    fitting = Meant(flow=flow.id, case=str(number), key="", does="answer", spec=spec)
                if asked:
                    break
        if fitting is not None:
            yield fitting
        elif contract in self._answers:
            problem = "no flow numbers its cases so; answer with the numbers that the question has"
            unusable.append(Unusable(flow="", reason="unknown_case", problem=problem))


def _asked_as(question: str, number: str, spec: str) -> bool:
    """Whether a question's number says that it was asked as this one: ``<case>-<ask>``, with ``-<n>`` for one of many."""
    ask = spec.partition("/")[0]
    rest = question.removeprefix(f"{number}-")
    return rest == ask or (rest.startswith(f"{ask}-") and rest[len(ask) + 1 :].isdigit())
