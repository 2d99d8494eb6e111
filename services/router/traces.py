"""The router's part of traces: each sampled event is noted with its deliveries, and told once they are committed.

An event that its publisher has not sampled costs nothing here, and switched off no event does. Deliveries of a sampled one carry
the trace on under their own spans: the lane writes them into the headers, as the other way does here. Neighbours: ``handler``
asks with every stretch, ``otlp`` makes spans of what is noted.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from typing import Protocol

from hutong.event import header
from hutong.kafka.chunk import Chunk
from hutong.tracing import is_sampled
from hutong.transcode.routing import Delivery, Inbound, Quarantined
from hutong.transport import Record
from services.router.otlp import RouteTrace

__all__ = ["Laned", "Traces"]

Laned = list[tuple[int, int, list[tuple[str, str, int]]]]
"""What the lane tells: number of the event, its span, and of each delivery agreement, topic and span."""


class _Sender(Protocol):
    def take(self, traces: list[RouteTrace]) -> None: ...


class Traces:
    """The traces of the open transaction.

    Args:
        sender: takes them; None where nobody asked.
    """

    def __init__(self, sender: _Sender | None) -> None:
        self._sender = sender
        self._open: list[RouteTrace] = []
        self._random = random.Random()  # noqa: S311 - names of spans are no secrets

    def begin(self) -> None:
        """A transaction begins; the traces of one that failed are forgotten, as its deliveries are."""
        self._open = []

    def committed(self) -> None:
        """All is visible now."""
        if self._sender is None or not self._open:
            return
        now = time.time_ns()
        for one in self._open:
            one.ended_ns = now
        self._sender.take(self._open)
        self._open = []

    def asked(self) -> Laned | None:
        """Where the lane is to put what it traces; None where it need not."""
        return None if self._sender is None else []

    def laned(self, chunk: Chunk, traced: Laned | None, now_ms: int) -> None:
        """The lane has routed these sampled events."""
        for at, span, deliveries in traced or ():
            message = chunk[at]
            headers = message.headers() or ()
            self._note(message, headers, message.timestamp()[1], now_ms * 1_000_000, span, deliveries)

    def route(self, message: Record, record: Inbound) -> RouteTrace | None:
        """The trace of an event that does not go through the lane; None where it has none."""
        if self._sender is None or not is_sampled(header(record.headers, "traceparent")):
            return None
        return self._note(message, record.headers, record.appended_ms, time.time_ns(), self._id(), [])

    def deliver(self, trace: RouteTrace, delivery: Delivery) -> list[tuple[str, bytes]]:
        """The headers of a delivery, under its own span."""
        span = self._id()
        trace.deliveries.append((delivery.agreement, delivery.topic, span))
        own = f"{trace.parent[:36]}{span:016x}{trace.parent[52:]}".encode()
        return [(name, own if name == "traceparent" else value) for name, value in delivery.headers]

    @staticmethod
    def quarantine(trace: RouteTrace, quarantined: Iterable[Quarantined]) -> None:
        """The event, or a delivery of it, went to quarantine."""
        for one in quarantined:
            trace.problem = f"quarantined: {one.reason}"

    def _note(
        self,
        message: Record,
        headers: Sequence[tuple[str, bytes]],
        appended_ms: int,
        began_ns: int,
        span: int,
        deliveries: list[tuple[str, str, int]],
    ) -> RouteTrace:
        facts = dict(headers)
        made = RouteTrace(
            parent=facts["traceparent"].decode("ascii", "replace"),
            event_id=facts.get("ce_id", b"").decode("ascii", "replace"),
            topic=str(message.topic()),
            partition=message.partition() or 0,
            offset=message.offset() or 0,
            appended_ms=appended_ms,
            began_ns=began_ns,
            span=span,
            deliveries=deliveries,
        )
        self._open.append(made)
        return made

    def _id(self) -> int:
        return self._random.getrandbits(64) or 1
