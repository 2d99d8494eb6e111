"""What the coordinator sends: the events of cases in their flow owners' names, and quarantine records.

Nothing counts as sent before ``flush`` has returned: confirmations are waited for together, and only refusals are told one by
one, since a case has three events for each that comes in. Neighbours: ``cases`` calls this, in the thread of the cases; the
cases' own states go through ``hutong.kafka.changelog_writer``.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from hutong.errors import BrokerUnavailable, ConfigurationError, EventTooLarge, HutongError, NotAuthorised, QueueFull
from hutong.event import rfc3339
from hutong.flows.work import Emitted
from hutong.kafka.clients import KafkaSender
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from hutong.line import Line, check_clock
from hutong.metrics import PUBLISHED
from hutong.tracing import Spans, Step
from hutong.transport import schema_id

__all__ = ["Outbound"]

_LOG = logging.getLogger("hutong")

_FLUSH_SECONDS = 30.0


@lru_cache(1_000)  # a step has several events of one moment
def _time_header(moment: datetime) -> tuple[str, bytes]:
    return ("ce_time", rfc3339(moment).encode())


class Outbound:
    """One producer, used by one thread.

    Args:
        settings: the bus, as the services' principal.
        spans: makes spans; None where nobody asked.
    """

    def __init__(self, settings: Settings, spans: Spans | None = None) -> None:
        self._settings, self._spans = settings, spans
        self._registry = Registry.of(settings)
        self._lines: dict[tuple[str, int, str], Line] = {}
        self._sender: KafkaSender | None = None
        self._failed: HutongError | None = None
        self._sent: Counter[str] = Counter()
        self._steps: list[Step] = []

    def publish(self, owner: str, event: Emitted) -> None:
        """Send an event in its flow owner's name.

        Raises:
            HutongError: it cannot be sent; where that is not retriable, nor later.
        """
        line = self._lines.get((event.contract, event.version, event.shape)) or self._line(owner, event)
        value, most = line.frame + event.body, self._settings.max_event_bytes
        if len(value) > most:
            raise EventTooLarge(f"{event.contract}: the encoded event has {len(value)} bytes, over the limit of {most}")
        headers = line.headers(event.id, _time_header(event.time), self._traced(event))
        self.send(line.topic, event.key.encode(), value, headers)
        self._sent[event.contract] += 1

    def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        """Send a record as it is."""
        if self._sender is None:
            self._sender = KafkaSender(self._settings, refusals_only=True)
        gives_up = 0.0
        while True:
            try:
                self._sender.send(topic, key, value, list(headers), self._settle)  # type: ignore[arg-type]  # it may lack both
            except QueueFull:
                gives_up = gives_up or time.monotonic() + self._settings.block_seconds
                if time.monotonic() >= gives_up:
                    raise
                self._sender.poll(0.05)
            else:
                return

    def flush(self) -> None:
        """Wait until the brokers have everything.

        Raises:
            BrokerUnavailable: they do not; send it all again. What was sent and not confirmed is given up.
        """
        if self._sender is not None:
            self._sender.flush(_FLUSH_SECONDS)
            failed = self._failed
            if failed is None and self._sender.waiting:
                failed = BrokerUnavailable(f"{self._sender.waiting} records are not confirmed within {_FLUSH_SECONDS:g} s")
            if failed is not None:
                self.give_up()
                if isinstance(failed, NotAuthorised | ConfigurationError):
                    _LOG.error("a topic may not be written", extra={"facts": {"error": str(failed)}})
                raise BrokerUnavailable(f"what a case has to say is not confirmed, and sent again: {failed}") from failed
        for contract, number in self._sent.items():
            PUBLISHED.labels(contract).inc(number)
        self._sent.clear()
        self._end_steps()

    def give_up(self) -> None:
        """Forget what is not confirmed, and begin with a new producer."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.discard()
        self._failed = None
        self._sent.clear()
        self._end_steps("not confirmed")

    def _traced(self, event: Emitted) -> str | None:
        """The event's trace, with its publication as the newest step where it is sampled; a case goes on with its opening's."""
        if self._spans is None or event.traceparent is None:
            return event.traceparent
        step = self._spans.publish(event.contract, event.id, event.traceparent)
        if step is None:
            return event.traceparent
        self._steps.append(step)
        return step.traceparent

    def _end_steps(self, problem: str = "") -> None:
        for step in self._steps:
            if problem:
                step.failed(problem)
            step.end()
        self._steps.clear()

    def _settle(self, error: Any, record: Any) -> None:
        if error is not None and self._sender is not None:
            self._failed = self._failed or self._sender.explain(error, str(record.topic()))

    def _line(self, owner: str, event: Emitted) -> Line:
        if event.contract.rpartition(".")[0] != owner:
            raise NotAuthorised(f"a flow of {owner} may not publish {event.contract}")
        check_clock(self._registry.clock_offset())
        registered = schema_id(self._registry, event.contract, event.version, event.shape)
        line = Line.of(event.contract, owner, registered)
        self._lines[event.contract, event.version, event.shape] = line
        return line
