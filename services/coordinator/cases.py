"""A batch of the inbox applied to cases: decoded, stepped, published and confirmed; then, and only then, the cases may be stored.

It may run any number of times over the same records and cases: what goes out has the same ids. Neighbours: ``serve`` hands
records in and stores; ``hutong.flows.step`` decides.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hutong.errors import EventTooLarge, HutongError, MalformedEvent
from hutong.flows.case import Case, restored
from hutong.flows.plan import FlowPlan
from hutong.flows.step import Refused, Stimulus, step
from hutong.kafka.changelog_writer import LARGEST_STATE
from hutong.kafka.positions import position_of, stamped
from hutong.tracing import Spans, Step
from services.coordinator.events import Events
from services.coordinator.flows import Flows
from services.coordinator.inbox import Inboxed, own_headers
from services.coordinator.metrics import Tally
from services.coordinator.outbound import Outbound

__all__ = ["Done", "Worker", "decode", "encode"]

_LOG = logging.getLogger("hutong")

_ROOM = 1_000_000  # bytes of the largest case that no event may fill: what falls due must still be able to close it
_HEAVY = 500_000  # a case of so many bytes is written down after every step, to know its size; a step adds far less than the rest
_ENTRIES = 50  # of the timeline of a case that is too large: its latest
_QUESTION = 1_000  # bytes of a question in its case: each goes out as an event
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)  # a case is a tree
_FACTOR = 4  # of the bytes of an event: what it may come to as text, in a case and once more in its report


def encode(case: Case, position: int = -1) -> bytes:
    """A case as it is stored. Its status comes before anything that an event has brought, see ``wakeups``.

    Args:
        case: the case.
        position: of the last record of the inbox that it was made with.
    """
    return stamped(_JSON.encode(case).encode(), position)


def decode(stored: bytes) -> Case:
    """The case back."""
    found: dict[str, Any] = json.loads(stored)
    found.pop("position", None)
    return restored(found)


@dataclass(slots=True, kw_only=True)
class Done:
    """What a batch has led to.

    Attributes:
        cases: number -> the case as it is now, for every case that was touched.
        encoded: the same as it is to be stored.
        tally: what happened.
    """

    cases: dict[str, Case] = field(default_factory=dict)
    encoded: dict[str, bytes] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True)
class _Open:
    """A case in hand: as it is stored, what was applied to it since, as it is now, how large about, and up to which record."""

    stored: bytes | None
    now: Case | None
    size: int
    applied: list[tuple[FlowPlan, Stimulus]] = field(default_factory=list)
    position: int = -1


class Worker:
    """Applies batches; used by one thread.

    Args:
        flows: the flows in force.
        events: reads events.
        outbound: publishes.
        spans: makes spans; None where nobody asked.
    """

    def __init__(self, flows: Flows, events: Events, outbound: Outbound, spans: Spans | None = None) -> None:
        self._flows, self._events, self._outbound, self._spans = flows, events, outbound, spans
        self._received: list[Step] = []
        self._now: Step | None = None  # the record's in hand

    def run(self, records: Sequence[Inboxed], stored: Mapping[str, bytes | None]) -> Done:
        """Apply records in their order; returns when the brokers have everything that goes out.

        Args:
            records: of whole partitions, in order.
            stored: number -> the case as it is stored, for every key among the records.

        Raises:
            HutongError: a retriable one; run the batch again.
        """
        done, cases = Done(), {number: _opened(value) for number, value in stored.items()}
        try:
            fields = [dict(one.headers) for one in records]
            self._events.fetch((_topic(about), one.value) for one, about in zip(records, fields, strict=True))
            for one, about in zip(records, fields, strict=True):
                self._one(one, about, cases, done)
            self._outbound.flush()
        except HutongError:
            self._outbound.give_up()
            self._end_steps("given up, and done again")
            raise
        self._end_steps()
        for number, case in cases.items():
            if case.now is None:
                continue
            encoded = encode(case.now, case.position)
            if len(encoded) > LARGEST_STATE:  # more than a step was thought to add: rather this case stands still than all
                _LOG.error("a case is too large to be stored, and stays as it was", extra={"facts": {"case": number}})
                continue
            done.cases[number], done.encoded[number] = case.now, encoded
        return done

    def _one(self, record: Inboxed, fields: Mapping[str, bytes], cases: dict[str, _Open], done: Done) -> None:
        plan = self._flows.plans.get(_text(fields, "hutong_flow"))
        number = (record.key or b"").decode(errors="replace")
        if plan is None:
            if _text(fields, "hutong_does") != "clock":
                flow = _text(fields, "hutong_flow") or "(none)"
                self._refuse(record, fields, Refused("no_flow", f"there is no flow {flow} any more, and its cases rest"), done)
            return
        case = cases[number]
        self._now = None
        try:
            refused = self._step(record, fields, plan, case, number, done)
        except MalformedEvent as error:
            refused = Refused(error.reason, error.problem)
        except Exception as error:
            if isinstance(error, HutongError) and error.retriable:
                raise
            # The last net: what nothing foresaw must not stop all other cases. The event is kept whole, and counted.
            _LOG.exception("a case failed in an unforeseen way", extra={"facts": {"case": number, "flow": plan.flow.id}})
            case.now = _again(case)
            refused = Refused("internal_error", f"unforeseen: {type(error).__name__}")
        if refused is not None:
            if self._now is not None:
                self._now.failed(refused.reason)
            self._refuse(record, fields, refused, done)

    def _step(
        self, record: Inboxed, fields: Mapping[str, bytes], plan: FlowPlan, case: _Open, number: str, done: Done
    ) -> Refused | None:
        stimulus = self._stimulus(record, fields, number)
        before = len(case.now["timeline"]) if case.now else 0
        outcome = step(plan, case.now, stimulus)
        case.size += _FACTOR * len(record.value or b"") + _QUESTION * len(outcome.events)
        if outcome.case is not None and case.size > _HEAVY and not _fits(case, outcome.case, stimulus.does):
            case.now = _again(case)
            return Refused("case_too_large", f"with this event the case would be larger than {LARGEST_STATE - _ROOM} bytes")
        for event in outcome.events:
            self._outbound.publish(plan.flow.owner, event)
        case.now = outcome.case
        case.applied.append((plan, stimulus))
        case.position = max(case.position, record.offset)  # a repetition knows no less than what it repeats
        if outcome.case is not None:
            done.tally.note(outcome.case, before)
        return outcome.refused

    def _stimulus(self, record: Inboxed, fields: Mapping[str, bytes], number: str) -> Stimulus:
        does = _text(fields, "hutong_does")
        if does == "clock":
            return Stimulus(case=number, does=does, at_ms=record.at_ms, data={})
        contract = _topic(fields).removeprefix("pub.")
        attributes = self._events.attributes(contract, record.headers)
        receivers: list[dict[str, Any]] | None = None
        if "hutong_receivers" in fields:
            receivers = json.loads(fields["hutong_receivers"])
        event_id = attributes["ce_id"].decode()
        return Stimulus(
            case=number,
            does=does,
            spec=_text(fields, "hutong_spec"),
            key=_text(fields, "hutong_case_key"),
            id=event_id,
            contract=contract,
            at_ms=record.at_ms,
            data=self._events.data(contract, record.value),
            receivers=receivers,
            traceparent=self._traced(contract, event_id, attributes.get("traceparent")),
        )

    def _traced(self, contract: str, event_id: str, trace: bytes | None) -> str | None:
        """The event's trace, with its arrival at its case as the newest step where it is sampled."""
        if not trace or self._spans is None:
            return trace.decode() if trace else None
        self._now = self._spans.receive(f"pub.{contract}", event_id, trace.decode(), None)
        if self._now is None:
            return trace.decode()
        self._received.append(self._now)
        return self._now.traceparent

    def _end_steps(self, problem: str = "") -> None:
        for one in self._received:
            if problem:
                one.failed(problem)
            one.end()
        self._received.clear()

    def _refuse(self, record: Inboxed, fields: Mapping[str, bytes], refused: Refused, done: Done) -> None:
        """Keep an event in quarantine, as it was published."""
        contract = _topic(fields).removeprefix("pub.")
        done.tally.quarantined.append(refused.reason)
        if not contract:  # no intake wrote it, and it belongs to nobody
            _LOG.error("a record of the inbox is no event", extra={"facts": {"partition": record.partition, "at": record.offset}})
            return
        facts = [
            ("hutong_reason", refused.reason.encode()),
            ("hutong_problem", refused.problem.encode()),
            ("hutong_source", fields["hutong_place"]),
            ("hutong_appended_ms", fields.get("hutong_appended_ms", str(record.at_ms).encode())),
            ("hutong_flow", fields.get("hutong_flow") or b"-"),
        ]
        topic, key = f"quarantine.{contract}", fields.get("hutong_key") or None
        try:
            self._outbound.send(topic, key, record.value, [*own_headers(record.headers), *facts])
        except EventTooLarge:  # its place says where the value lies
            self._outbound.send(topic, key, None, facts)


def _opened(stored: bytes | None) -> _Open:
    if stored is None:
        return _Open(None, None, 0)
    return _Open(stored, decode(stored), len(stored), position=position_of(stored))


def _fits(case: _Open, now: Case, does: str) -> bool:
    """Whether a case can still be stored as it is now; of the timeline of a very large one only the end is kept."""
    most = LARGEST_STATE - (0 if does == "clock" else _ROOM)
    size = len(encode(now))
    if size > most:
        del now["timeline"][:-_ENTRIES]
        size = len(encode(now))
    if size <= most:
        case.size = size
    return size <= most


def _again(case: _Open) -> Case | None:
    """The case as it was before a stimulus that cannot be kept: the others are applied to what is stored once more."""
    now = decode(case.stored) if case.stored else None
    for plan, stimulus in case.applied:
        now = step(plan, now, stimulus).case
    return now


def _topic(fields: Mapping[str, bytes]) -> str:
    """Where the event was published; empty where that is not said."""
    place = _text(fields, "hutong_place").split("/")
    return place[0] if len(place) == 3 and place[0].startswith("pub.") else ""


def _text(fields: Mapping[str, bytes], name: str) -> str:
    return (fields.get(name) or b"").decode(errors="replace")  # a header may be there without a value
