"""Publishing: a department's event is checked, encoded and sent; its handle tells when the brokers have it.

Nothing is half-sent: an event that breaks its contract raises before a byte leaves. What was sent is confirmed once and in order
per key (idempotent producer), or ``flush`` and ``close`` name it. Neighbours: ``envelope`` makes the bytes, ``transport`` takes
them to Kafka or to the in-memory bus.
"""

from __future__ import annotations

import time as clock
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from hutong.contracts.avro import Schema
from hutong.envelope import Sealed, checked_id, checked_time, checked_trace, current_trace
from hutong.errors import ContractViolation, DeliveryFailed, EventTooLarge, HutongError, PublisherClosed, QueueFull
from hutong.handle import PublishHandle
from hutong.line import Line, Lines
from hutong.metrics import FAILURES, VIOLATIONS, count_pending
from hutong.model import ChangeEvent
from hutong.stamps import new_tail, rfc3339, stamp
from hutong.tracing import spans
from hutong.transport import Settle, Transport, transport_for

if TYPE_CHECKING:
    from hutong.kafka.settings import Settings

__all__ = ["Event", "PublishHandle", "Publisher"]

Event = ChangeEvent | Mapping[str, Any]
"""What can be published."""

_REMEMBERED_FAILURES = (
    100_000  # ids kept for flush(); beyond that the brokers have been away for long and the count is what matters
)
_FLUSH_SECONDS = 0.1  # a sender that another thread keeps busy is never done with all


def _time_header(moment: datetime) -> tuple[str, bytes]:
    return ("ce_time", rfc3339(moment).encode())


class Publisher:
    """Publishes one department's events. May be used from several threads.

    Args:
        department: the department's code; it is the Kafka principal too.
        settings: where the bus is; by default from the environment or the embedded bus.
        contracts: contract name -> annotated Avro schema, for events given as mappings; by default the registry's newest.
        transport: another bus than Kafka, for tests.

    Raises:
        ConfigurationError: nothing says where the bus is.
    """

    def __init__(
        self,
        department: str,
        *,
        settings: Settings | None = None,
        contracts: Mapping[str, Schema] | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.department = department
        self._transport = transport or transport_for(department, settings)
        self.limits = self._transport.limits
        self._sender = self._transport.sender()
        self._lines = Lines(department, self._transport.schemas(), contracts or {})
        self.pending_handles: dict[PublishHandle, None] = {}
        self._failed: dict[str, HutongError] = {}
        self._polled = 0
        self._closed = False
        self._spans = spans()
        count_pending(self)

    def publish(
        self,
        event: Event,
        contract: str | None = None,
        *,
        id: str | None = None,
        time: datetime | None = None,
        traceparent: str | None = None,
        corrects: str | None = None,
        block: bool = True,
    ) -> PublishHandle:
        """Check, encode and send an event; returns at once unless the queue is full.

        Args:
            event: a model written by ``hutong codegen``, or a mapping.
            contract: the contract's name, for a mapping.
            id: the event id; the same id again marks a repetition. By default a new UUID.
            time: when the change happened; by default now.
            traceparent: W3C trace context; by default OpenTelemetry's current span, if there is one.
            corrects: id of the event of this contract that this one puts right; recipients see it beside the event's own id.
            block: whether to wait for room in a full queue.

        Raises:
            ContractViolation: the event breaks its contract; nothing was sent.
            UnknownContract: the bus does not have the contract.
            NotAuthorised: the contract is another department's.
            EventTooLarge: the encoded event is over the limit.
            QueueFull: no room in the queue for ``HUTONG_BLOCK_SECONDS``.
            RegistryUnavailable: the contract's first event needs the registry.
            PublisherClosed: ``close`` was called.
        """
        self._open()
        kind = type(event)
        line = self._lines.get(contract if kind is dict else kind)
        if line is None or (contract is not None and contract != line.contract):
            line = self._lines.of(event, contract)
        now = stamp()
        try:
            key, body = line.pack(event)  # type: ignore[misc]
            event_id = now.prefix + new_tail() if id is None else checked_id(line.contract, id)
            moment = now.header if time is None else _time_header(checked_time(line.contract, time))
            trace = current_trace() if traceparent is None else checked_trace(line.contract, traceparent)
            wrong = None if corrects is None else checked_id(line.contract, corrects)
        except ContractViolation as violation:
            VIOLATIONS.labels(violation.contract, violation.rule).inc()
            raise
        handle = self._send(line, key, body, event_id, moment, trace, self.limits.block_seconds if block else 0.0, wrong)
        # Confirmations come in while the application only publishes; looking more often than this costs more than it gives.
        if now.millisecond != self._polled:
            self._polled = now.millisecond
            self._sender.poll(0)
        return handle

    def forward(self, contract: str, version: int, shape: str, event: Sealed) -> PublishHandle:
        """Send an event that was sealed before, as the outbox relay does. Raises as ``publish`` does."""
        self._open()
        line = self._lines.get((contract, version, shape)) or self._lines.of_sealed(contract, version, shape)
        moment = _time_header(event.time)
        block = self.limits.block_seconds
        handle = self._send(line, event.key, event.body, event.id, moment, event.traceparent, block, event.corrects)
        self._sender.poll(0)
        return handle

    def prepare(self, event: Event, contract: str | None = None) -> None:
        """Look up what the contract's first event needs, so that ``publish`` does not."""
        self._lines.of(event, contract)

    def is_prepared(self, event: Event, contract: str | None = None) -> bool:
        """Whether ``publish`` would need no look-up."""
        return (type(event) if isinstance(event, ChangeEvent) else contract) in self._lines

    @property
    def pending(self) -> int:
        """Events that are neither confirmed nor refused yet."""
        return len(self.pending_handles)

    def poll(self, seconds: float) -> None:
        """Take confirmations in; ``publish``, ``flush`` and ``PublishHandle.result`` do it too."""
        self._sender.poll(seconds)

    def flush(self, timeout: float = 30.0) -> None:
        """Wait until every event is confirmed that was published before; not for what another thread publishes meanwhile.

        Raises:
            DeliveryFailed: with the ids of all events that are not confirmed, since the last flush.
        """
        waiting = self._wait_for(list(self.pending_handles), clock.monotonic() + timeout)
        ids = list(dict.fromkeys([*self._failed, *(handle.event_id for handle in waiting)]))
        if not ids:
            return
        cause = next(iter(self._failed.values()), None) or self._sender.trouble()
        self._failed = {}
        because = f": {cause}" if cause else f" within {timeout:g} s; they are still being sent"
        raise DeliveryFailed(f"{len(ids)} events of {self.department} are not confirmed{because}", ids) from cause

    def _wait_for(self, handles: list[PublishHandle], deadline: float) -> list[PublishHandle]:
        """Those of some events that are neither confirmed nor refused by then."""
        handles.reverse()  # the oldest last: it is settled first, and each is looked at once
        while True:
            left = deadline - clock.monotonic()
            self._sender.flush(max(0.0, min(left, _FLUSH_SECONDS)))
            while handles and handles[-1] not in self.pending_handles:
                handles.pop()
            if not handles or left <= 0:
                return [one for one in handles if one in self.pending_handles]

    def close(self, timeout: float = 30.0) -> None:
        """Flush and end. Closing twice does nothing.

        Raises:
            DeliveryFailed: as ``flush``; what was still pending is given up.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self.flush(timeout)
        finally:
            if self.pending_handles:
                self._sender.discard()

    def trouble(self) -> HutongError | None:
        """Why nothing gets through at the moment, if that is known."""
        return self._sender.trouble()

    def refused(self, handle: PublishHandle, line: Line, error: Any) -> HutongError:
        """The brokers do not have this event; the answer is the error in Hutong's words."""
        explained = self._sender.explain(error, line.topic)
        FAILURES.labels(line.contract).inc()
        if len(self._failed) < _REMEMBERED_FAILURES:
            self._failed[handle.event_id] = explained
        return explained

    def seen(self, handle: PublishHandle) -> None:
        """The application knows of this failure: ``flush`` need not tell it again."""
        self._failed.pop(handle.event_id, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, _: object) -> None:
        try:
            self.close()
        except DeliveryFailed as failure:
            if exc is None:
                raise
            exc.add_note(str(failure))  # the block's own error stays the one that is raised

    def _send(
        self,
        line: Line,
        key: str,
        body: bytes,
        event_id: str,
        moment: tuple[str, bytes],
        trace: str | None,
        block_seconds: float,
        corrects: str | None = None,
    ) -> PublishHandle:
        value = line.frame + body
        if len(value) > self.limits.max_event_bytes:
            raise EventTooLarge(
                f"{line.contract}: the encoded event has {len(value)} bytes, over the limit of {self.limits.max_event_bytes}; "
                f"send a reference instead of the content, or raise HUTONG_MAX_EVENT_BYTES and the topic's max.message.bytes"
            )
        handle = PublishHandle(self, line, event_id)
        settle: Settle = handle.settle
        step = None if self._spans is None else self._spans.publish(line.contract, event_id, trace)
        if step is not None:
            trace, settle = step.traceparent, step.ending(settle)
        headers = line.headers(event_id, moment, trace, corrects)
        self.pending_handles[handle] = None
        try:
            self._queue(line, key.encode(), value, headers, settle, block_seconds)
        except BaseException:
            self.pending_handles.pop(handle, None)
            raise
        return handle

    def _queue(
        self, line: Line, key: bytes, value: bytes, headers: list[tuple[str, bytes]], settle: Settle, block_seconds: float
    ) -> None:
        deadline: float | None = None
        while True:
            try:
                return self._sender.send(line.topic, key, value, headers, settle)
            except QueueFull:
                deadline = deadline or clock.monotonic() + block_seconds
                if clock.monotonic() >= deadline:
                    FAILURES.labels(line.contract).inc()
                    raise
                self._sender.poll(0.05)

    def _open(self) -> None:
        if self._closed:
            raise PublisherClosed(f"the publisher of {self.department} is closed; make a new one")
