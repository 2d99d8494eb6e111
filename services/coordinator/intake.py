"""Some published events in, what they mean to cases out: records of the inbox, or quarantine. It neither polls nor commits.

What is malformed is the router's to quarantine; here it is passed over. Neighbours: ``hutong.flows.intake`` says what an event
means; ``hutong.kafka.transaction`` makes it exactly once.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hutong.errors import BrokerUnavailable, EventTooLarge, MalformedEvent, NoSuchDestination
from hutong.event import Headers
from hutong.flows.intake import Intake, Meant, Unusable
from hutong.kafka.chunk import Chunk
from hutong.kafka.transaction import Output
from hutong.runtime.logs import event_facts
from hutong.transport import Record
from services.coordinator import metrics
from services.coordinator.events import Events
from services.coordinator.flows import Flows
from services.coordinator.inbox import INBOX, own_headers, to_inbox
from services.coordinator.receivers import Receivers

__all__ = ["IntakeHandler"]

_LOG = logging.getLogger("hutong")

_TOLD = 20  # quarantine records of a transaction that the log names; their topic holds them all


class IntakeHandler:
    """The intake's handler and what it needs.

    Args:
        flows: the flows in force.
        events: reads events.
        receivers: finds who had got an event.
    """

    def __init__(self, flows: Flows, events: Events, receivers: Receivers) -> None:
        self._flows, self._events, self._receivers = flows, events, receivers
        self._brought: Counter[str] = Counter()
        self._quarantined: Counter[str] = Counter()
        self._told: list[dict[str, str]] = []

    def begin(self) -> None:
        """A transaction begins: forget what was counted in one that failed."""
        self._brought, self._quarantined, self._told = Counter(), Counter(), []
        self._receivers.begin()

    def handle(self, chunk: Chunk, output: Output) -> bool:
        """Produce what some events mean into the open transaction.

        Raises:
            RegistryUnavailable: a schema cannot be looked up now; the batch must come again.
        """
        intake = self._flows.intake
        records = [one for at in range(len(chunk)) if (one := chunk[at]) is not None and self._concerns(one, intake)]
        self._events.fetch((str(one.topic()), one.value()) for one in records)
        for one in records:
            self._one(one, output)
        return True

    def committed(self) -> None:
        """Count and tell what was handled since ``begin``, once its transaction has been committed."""
        for does, number in self._brought.items():
            metrics.INTAKE_RECORDS.labels(does).inc(number)
        for reason, number in self._quarantined.items():
            metrics.QUARANTINED.labels(reason).inc(number)
        for facts in self._told:
            _LOG.warning("quarantined", extra={"facts": facts})
        if (more := self._quarantined.total() - len(self._told)) > 0:
            _LOG.warning("quarantined, and not named one by one", extra={"facts": {"records": more}})

    def _concerns(self, record: Record, intake: Intake) -> bool:
        """Whether an event may mean something to a case, as far as can be said without reading it."""
        contract = _contract(record)
        # An answer names a case and a question: whenever it came, it is meant for a case that the flow has opened.
        is_answer = contract in intake.answers
        return is_answer or (contract in intake.contracts and self._flows.looks_at("", record.timestamp()[1]))

    def _one(self, record: Record, output: Output) -> None:
        contract, headers = _contract(record), _headers(record)
        try:
            self._events.attributes(contract, headers)
            data = self._events.data(contract, record.value())
        except MalformedEvent:
            return
        try:
            meant, unusable = self._flows.intake.meant(contract, data)
        except Exception as error:  # noqa: BLE001 - an event that no flow foresaw must not stop all others
            _LOG.exception("an event failed in an unforeseen way", extra={"facts": event_facts(headers, _place(record))})
            meant, unusable = [], [Unusable(flow="", reason="internal_error", problem=f"unforeseen: {type(error).__name__}")]
        appended_ms = record.timestamp()[1]
        for one in meant:
            if one.does == "answer" or self._flows.looks_at(one.flow, appended_ms):
                self._bring(record, headers, one, data, output)
        for problem in unusable:
            if self._flows.looks_at(problem.flow, appended_ms):
                self._quarantine(record, headers, problem, output)

    def _bring(self, record: Record, headers: Headers, meant: Meant, data: Mapping[str, Any], output: Output) -> None:
        receivers = None
        if self._flows.wants_receivers(meant.flow, meant.spec):
            receivers = self._receivers.of(data)
        made = to_inbox(
            meant,
            headers,
            key=record.key(),
            place="{}/{}/{}".format(*_place(record)),
            appended_ms=record.timestamp()[1],
            receivers=receivers,
        )
        try:
            output.produce(INBOX, meant.case.encode(), record.value(), made)
        except EventTooLarge:
            problem = "with what it means to its case the event is larger than the brokers take"
            self._quarantine(record, headers, Unusable(flow=meant.flow, reason="too_large", problem=problem), output)
        except NoSuchDestination as error:
            raise BrokerUnavailable(f"an event cannot be brought to its case: {error}") from None
        else:
            self._brought[meant.does] += 1

    def _quarantine(self, record: Record, headers: Headers, problem: Unusable, output: Output) -> None:
        facts = [
            ("hutong_reason", problem.reason.encode()),
            ("hutong_problem", problem.problem.encode()),
            ("hutong_source", "{}/{}/{}".format(*_place(record)).encode()),
            ("hutong_appended_ms", str(record.timestamp()[1]).encode()),
            ("hutong_flow", (problem.flow or "-").encode()),  # whose: what a flow could not take, recipients have had
        ]
        topic = f"quarantine.{_contract(record)}"
        try:
            try:
                output.produce(topic, record.key(), record.value(), [*own_headers(headers), *facts])
            except EventTooLarge:  # its place says where the value lies
                output.produce(topic, record.key(), None, facts)
        except NoSuchDestination as error:
            raise BrokerUnavailable(f"an event cannot even be quarantined: {error}") from None
        self._quarantined[problem.reason] += 1
        if len(self._told) < _TOLD:
            self._told.append({"reason": problem.reason, "flow": problem.flow or "-"} | event_facts(headers, _place(record)))


def _contract(record: Record) -> str:
    return str(record.topic()).removeprefix("pub.")


def _place(record: Record) -> tuple[str, int, int]:
    return str(record.topic()), int(record.partition() or 0), int(record.offset() or 0)


def _headers(record: Record) -> Headers:
    try:
        return record.headers() or []
    except Exception:  # noqa: BLE001 - the client raises SystemError where a header's name is not UTF-8
        return []  # which is no CloudEvent
