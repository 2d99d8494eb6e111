"""Flows tried without a bus: events, cases and a simulated clock on the in-memory bus; months of working days pass in seconds.

What a flow publishes goes through contracts, agreements, channels and quarantine as on Kafka: an agency that no agreement serves
gets no question here either. Neighbours: ``testing`` is the bus, ``intake`` and ``step`` do what the coordinator does with them;
``scenario`` plays files on this.

    simulation = Simulation.of("schemas", datetime(2026, 3, 2, 9, tzinfo=UTC))
    simulation.publish("mca.assistance.application_submitted", {...})
    simulation.advance(by=Duration(working_days=11))
    assert simulation.case("DC-2026-0001")["status"] == "open"
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from hutong.agreements.agreement import Agreement
from hutong.agreements.grant import CodeLists
from hutong.catalogue.catalogue import Catalogue
from hutong.catalogue.load import load
from hutong.contracts.schema import EventSchema
from hutong.errors import ContractViolation, UnknownContract
from hutong.event import Attributes
from hutong.flows.case import Case, Question, event_id, next_due
from hutong.flows.flow import Duration, Flow
from hutong.flows.intake import Intake, Meant
from hutong.flows.plan import EventPlan, FlowPlan
from hutong.flows.shape import compile_shape
from hutong.flows.step import Stimulus, step
from hutong.flows.worktime import StateCouncil, WorkTime
from hutong.memory import MemoryRecord
from hutong.simulation.listening import ListeningBus
from hutong.testing import QuarantinedEvent

__all__ = ["Simulation"]


class Simulation:
    """Flows on a bus in memory.

    Args:
        flows: the flows.
        contracts: every version of the bus's contracts.
        start: when it begins; without a zone it is in ``timezone``.
        agreements: who receives what.
        code_lists: code list id -> entries, for the agreements.
        timezone: the bus's.

    Attributes:
        bus: the bus. In ``with simulation.bus:`` an application's own publishers are on it; ``settle`` then lets flows react.
        plans, cases: the compiled flows by id, and all cases by number.
        reached: whether the bus has brought each question to its agency, by the question's number.
        on_question: called with the case and each question that has reached its agency; what a simulated agency hangs on.

    Raises:
        DeclarationError: a flow or an agreement does not suit the contracts.
    """

    def __init__(
        self,
        flows: Iterable[Flow],
        *,
        contracts: Iterable[EventSchema],
        start: datetime,
        agreements: Iterable[Agreement | Mapping[str, Any]] = (),
        code_lists: CodeLists | None = None,
        timezone: str = "UTC",
    ) -> None:
        self.zone = ZoneInfo(timezone)
        self.worktime = WorkTime(self.zone, StateCouncil())
        self._now_ms = _ms(start if start.tzinfo else start.replace(tzinfo=self.zone))
        every = sorted(contracts, key=lambda one: one.version)
        self.bus = ListeningBus(every, timezone, code_lists or {}, lambda: self.now)
        for agreement in agreements:
            self.bus.grant(agreement)
        schemas = {name: one.schema for name, one in self.bus.newest.items()}
        self.plans = {
            one.id: FlowPlan(one, schemas, self.worktime, hashlib.sha256(one.id.encode()).digest())  # a stable secret
            for one in flows
        }
        self._intake = Intake(self.plans.values())
        self.cases: dict[str, Case] = {}
        self.on_question: Callable[[Case, Question], object] | None = None
        self.reached: dict[str, bool] = {}
        self._agenda: list[tuple[int, int, int, Callable[[], object]]] = []
        self._counter = itertools.count()

    @classmethod
    def of(cls, declarations: Catalogue | Path | str, start: datetime, flows: Iterable[Flow] | None = None) -> Self:
        """A bus as it is declared.

        Args:
            declarations: the declarations, or their directory.
            start: when it begins; without a zone it is in the declarations'.
            flows: instead of those that are declared.

        Raises:
            DeclarationError: a declaration is wrong.
            ConfigurationError: there is no such directory.
        """
        catalogue = declarations if isinstance(declarations, Catalogue) else load(declarations)
        return cls(
            catalogue.flows.values() if flows is None else flows,
            contracts=[version for contract in catalogue.contracts.values() for version in contract.versions],
            start=start,
            agreements=catalogue.agreements.values(),
            code_lists={name: [dict(entry) for entry in one.entries] for name, one in catalogue.code_lists.items()},
            timezone=catalogue.timezone,
        )

    @property
    def now(self) -> datetime:
        """The simulated moment, in UTC."""
        return datetime.fromtimestamp(self._now_ms / 1000, UTC)

    @property
    def quarantined(self) -> list[QuarantinedEvent]:
        """What the router, or a flow, could not use; with the reason."""
        return self.bus.quarantined()

    def case(self, number: str) -> Case:
        """A case by its number or its key.

        Raises:
            LookupError: there is none, or more than one has the key.
        """
        if number in self.cases:
            return self.cases[number]
        found = [case for case in self.cases.values() if case["key"] == number]
        if len(found) != 1:
            raise LookupError(f"{len(found) or 'no'} cases have this number or key")
        return found[0]

    def publish(self, contract: str, data: Mapping[str, Any], *, id: str | None = None, by: str | None = None) -> str:
        """Publish an event now, and let everything happen that follows from it.

        Args:
            contract: whose event it is.
            data: the event; JSON's types do, dates and times as text.
            id: the event's id; by default a new one.
            by: who publishes; by default its department.

        Returns:
            The event's id.

        Raises:
            UnknownContract: the contract is not on this bus.
            ContractViolation: the event breaks it.
            NotAuthorised: it is another department's.
        """
        if contract not in self.bus.newest:
            raise UnknownContract(f"this bus has no contract {contract}: check the name")
        shaped = compile_shape(self.bus.newest[contract].parsed)(data)
        if lost := _lost(data, shaped):
            raise ContractViolation(contract, lost, "unknown_field", "is no field of the contract; correct its name")
        sent = self.bus.send(by or contract.rpartition(".")[0], contract, shaped, id=id, time=self.now, trace=None)
        self.settle()
        return sent

    def advance(self, *, to: datetime | None = None, by: Duration | None = None) -> None:
        """Let time pass, and everything happen on the way.

        Args:
            to: until when; without a zone it is in the bus's.
            by: or how much; working days end at 24:00, as in flows.

        Raises:
            ValueError: neither or both were given, or the moment has passed.
        """
        if (to is None) == (by is None):
            raise ValueError("time advances to a moment, or by a duration")
        until = self._moment(to) if to else self.worktime.after(self._now_ms, by).ms if by else 0
        if until < self._now_ms:
            raise ValueError(f"{to} has passed: it is {self.now.astimezone(self.zone).isoformat()} here")
        self.settle()
        while self._agenda and self._agenda[0][0] <= until:
            due, _, _, act = heapq.heappop(self._agenda)
            self._now_ms = max(self._now_ms, due)
            act()
            self.settle()
        self._now_ms = until

    def at(self, moment: datetime, act: Callable[[], object]) -> None:
        """Have something done when a moment comes; before deadlines that come at the same one.

        Args:
            moment: when; without a zone it is in the bus's.
            act: what; it may publish.
        """
        self._plan(self._moment(moment), 0, act)

    def settle(self) -> None:
        """Let flows react to everything published so far, and to what they publish themselves."""
        while self.bus.heard:
            self._hear(self.bus.heard.popleft())

    def _hear(self, record: MemoryRecord) -> None:
        contract = record.topic().removeprefix("pub.")
        if contract not in self._intake.contracts:
            return
        attributes, data = Attributes.from_headers(record.headers()), self.bus.data(record)
        meant, unusable = self._intake.meant(contract, data)
        for useless in unusable:
            self.bus.quarantine(useless.reason, useless.problem, record)
        for one in meant:
            self._take(
                self.plans[one.flow],
                Stimulus(
                    case=one.case,
                    does=one.does,
                    spec=one.spec,
                    key=one.key,
                    id=attributes.id,
                    contract=contract,
                    at_ms=record.timestamp()[1],
                    data=data,
                    receivers=self._receivers_for(one, data),
                    traceparent=attributes.traceparent,
                ),
                record,
            )

    def _receivers_for(self, meant: Meant, data: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """Who had got the event that this one objects to, where the flow keeps that."""
        event: EventPlan | None = self.plans[meant.flow].events[int(meant.spec)] if meant.does == "open" else None
        if event is None or "receivers" not in event.spec.keep:
            return None
        named = [event.keep[name](data) if name in event.keep else None for name in ("contract", "event_id")]
        return self.bus.receivers(str(named[0]), str(named[1]))

    def _take(self, plan: FlowPlan, stimulus: Stimulus, record: MemoryRecord | None = None) -> None:
        outcome = step(plan, self.cases.get(stimulus.case), stimulus)
        if outcome.refused and record:
            self.bus.quarantine(outcome.refused.reason, outcome.refused.problem, record)
        for event in outcome.events:
            self.bus.send(plan.flow.owner, event.contract, event.data, id=event.id, time=event.time, trace=event.traceparent)
        if (case := outcome.case) is None:
            return
        self.cases[stimulus.case] = case
        if (due := next_due(case)) is not None:
            self._plan(due, 1, lambda: self._wake(plan, stimulus.case, due))
        self._tell(plan, case)

    def _wake(self, plan: FlowPlan, number: str, due: int) -> None:
        if next_due(self.cases[number]) == due:  # else something has come meanwhile
            self._take(plan, Stimulus(case=number, does="clock", at_ms=due, data={}))

    def _tell(self, plan: FlowPlan, case: Case) -> None:
        """Let simulated agencies know of their questions, if the bus has brought them."""
        for number, question in case["questions"].items():
            if question["status"] != "open" or number in self.reached:
                continue
            got = self.bus.receivers(plan.question.contract, event_id(case["number"], number, 0))
            self.reached[number] = question["agency"] in [one["agency"] for one in got]
            if self.reached[number] and self.on_question:
                self.on_question(case, question)

    def _plan(self, at_ms: int, order: int, act: Callable[[], object]) -> None:
        heapq.heappush(self._agenda, (at_ms, order, next(self._counter), act))

    def _moment(self, moment: datetime) -> int:
        return _ms(moment if moment.tzinfo else moment.replace(tzinfo=self.zone))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _lost(data: Any, shaped: Any, path: str = "") -> str:
    """The first field of the data that its shape does not have."""
    if isinstance(data, Mapping) and isinstance(shaped, Mapping):
        for name, value in data.items():
            here = f"{path}.{name}" if path else str(name)
            if name not in shaped:
                return here
            if lost := _lost(value, shaped[name], here):
                return lost
    if isinstance(data, list) and isinstance(shaped, list):
        for at, (value, item) in enumerate(zip(data, shaped, strict=True)):
            if lost := _lost(value, item, f"{path}[{at}]"):
                return lost
    return ""
