"""Whether a run's deliveries are what they must be: every event, every destination, key, value and headers.

A contender whose output is wrong has no time. What is expected is kept as fingerprints (64 bits, keyed anew in each process), so
that a million deliveries fit the memory. Neighbours: ``workload`` knows what is right, ``measure`` asks before it reports.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from bench.bus import Declared, Place, quiet
from bench.workload import Delivered
from hutong.kafka.settings import Settings

__all__ = ["Expected", "Wrong", "deliveries"]

_BATCH = 10_000
_SILENCE_SECONDS = 30.0


class Wrong(Exception):
    """A contender's output is not what it must be; the message says where."""


class Expected:
    """All deliveries that a case must have.

    Args:
        declared: the case.
        copies: whether the contender copies the event's bytes.
    """

    def __init__(self, declared: Declared, *, copies: bool) -> None:
        self._declared, self._copies = declared, copies
        self._by_region = declared.by_region
        self._marks: dict[str, set[int]] = {topic: set() for topic in declared.destinations}
        for number in range(declared.workload.case.events):
            for delivered in self._of(number):
                self._marks[delivered.topic].add(hash(delivered))

    def _of(self, number: int) -> Iterator[Delivered]:
        workload = self._declared.workload
        if self._copies:
            return workload.copied(number, self._declared.frame, self._by_region)
        return workload.expected(number, self._by_region)

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(map(len, self._marks.values()))

    def compare(self, found: Iterable[Delivered], *, exactly_once: bool) -> int:
        """Hold all deliveries of a run against this.

        Args:
            found: the deliveries, in any order.
            exactly_once: whether a repetition is wrong too.

        Returns:
            How many came again.

        Raises:
            Wrong: one is missing, is not as it must be, or came again.
        """
        left = {topic: set(marks) for topic, marks in self._marks.items()}
        repeated = 0
        gc.freeze()  # a collection would walk over all marks, again and again
        for delivered in found:
            mark = hash(delivered)
            if mark in left[delivered.topic]:
                left[delivered.topic].remove(mark)
            elif mark not in self._marks[delivered.topic]:
                raise Wrong(self._difference(delivered))
            elif exactly_once:
                raise Wrong(f"a delivery on {delivered.topic} came twice: {_name(delivered)}")
            else:
                repeated += 1
        gc.unfreeze()
        for topic, marks in left.items():
            if marks:
                raise Wrong(f"{len(marks)} of {len(self._marks[topic])} deliveries are missing on {topic}")
        return repeated

    def _difference(self, delivered: Delivered) -> str:
        """In words, which part of a delivery is wrong."""
        attributes = dict(delivered.headers)
        try:
            number = int(attributes["ce_id"].rpartition(b"-")[2], 16)
            agreement = attributes["ce_agreement"]
            right = next(one for one in self._of(number) if dict(one.headers)["ce_agreement"] == agreement)
        except (KeyError, ValueError, StopIteration):
            return f"nobody expects this delivery on {delivered.topic}: {_name(delivered)}"
        parts = [name for name in Delivered._fields if getattr(delivered, name) != getattr(right, name)]
        what = "; ".join(f"{name} is {getattr(delivered, name)!r} and must be {getattr(right, name)!r}" for name in parts)
        return f"a delivery on {delivered.topic} is wrong: {what}"


def _name(delivered: Delivered) -> str:
    attributes = dict(delivered.headers)
    return f"event {attributes.get('ce_id', b'').decode()}, agreement {attributes.get('ce_agreement', b'').decode()}"


def deliveries(settings: Settings, starts: Mapping[Place, int]) -> Iterator[Delivered]:
    """All that ``read_committed`` readers see from some offsets to the present ends.

    Args:
        settings: the bus, as a principal that may read.
        starts: where to begin on each partition.
    """
    consumer = Consumer(
        quiet(settings)
        | {
            "group.id": "hutong.bench",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": 65_536,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, offset) for (topic, partition), offset in starts.items()])
        left = set(starts)
        while left:
            batch = consumer.consume(_BATCH, 0.2) or consumer.consume(1, _SILENCE_SECONDS)
            if not batch:
                raise Wrong(f"nothing more can be read from {len(left)} partitions: a transaction was left open there")
            for message in batch:
                error = message.error()
                if error is None:
                    headers: Any = message.headers() or ()
                    yield Delivered(str(message.topic()), message.key() or b"", message.value() or b"", tuple(headers))
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard((str(message.topic()), int(message.partition() or 0)))
                elif not error.retriable():
                    raise Wrong(f"the deliveries cannot be read: {error}")
    finally:
        consumer.close()
