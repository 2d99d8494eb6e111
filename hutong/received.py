"""An event as its recipient gets it, and what is noted when it is handed over: that it was, how old it is, and its span.

Neighbours: ``subscription`` makes these and hands them over.
"""

from __future__ import annotations

import time as clock
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

from hutong.event import Attributes
from hutong.frozen import maker
from hutong.metrics import RECEIVED, RECEIVED_SECONDS
from hutong.tracing import Step, spans

__all__ = ["Data", "HandedOver", "ReceivedEvent", "received"]

Data = TypeVar("Data")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent(Generic[Data]):
    """An event as its recipient gets it.

    Attributes:
        attributes: id, source, type, time, agreement, trace (where it is traced, that of the receiving).
        data: a mapping, or the subscription's model.
        key: the Kafka key as text.
        topic: where it lies.
        partition: where it lies.
        offset: where it lies.
        timestamp_ms: when it was delivered, ms since the epoch.
    """

    attributes: Attributes
    data: Data
    key: str | None
    topic: str
    partition: int
    offset: int
    timestamp_ms: int

    @property
    def timestamp(self) -> datetime:
        """When it was delivered."""
        return datetime.fromtimestamp(self.timestamp_ms / 1000, UTC)


received = maker(ReceivedEvent)


class HandedOver:
    """The events that one subscription has handed to the application.

    Args:
        topic: the subscription's.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._count = 0
        self._ages: dict[str | None, list[float]] = {}
        self._spans = spans()
        self._step: Step | None = None

    def note(self, event: ReceivedEvent[Data]) -> ReceivedEvent[Data]:
        """The application gets this event; as the answer says, if it is traced."""
        self._count += 1
        attributes = event.attributes
        if attributes.replay is None:  # what comes once more is as old as it is
            self._ages.setdefault(attributes.agreement, []).append(clock.time() - attributes.time.timestamp())
        if self._spans is None or attributes.traceparent is None:
            return event
        self._step = self._spans.receive(self._topic, attributes.id, attributes.traceparent, attributes.agreement)
        if self._step is None:
            return event
        return replace(event, attributes=replace(attributes, traceparent=self._step.traceparent))

    def done(self, problem: str | None = None) -> None:
        """The application is done with the last one; ``problem`` says that it did not process it."""
        if self._step is not None:
            if problem:
                self._step.failed(problem)
            self._step.end()
            self._step = None

    def count(self) -> None:
        """Put into the metrics what was noted: now and then, since each has a lock."""
        RECEIVED.labels(self._topic).inc(self._count)
        self._count = 0
        ages, self._ages = self._ages, {}
        for agreement, some in ages.items():
            RECEIVED_SECONDS.labels(agreement or "").observe_all(some)
