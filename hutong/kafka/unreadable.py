"""Batches that cannot be unpacked: where they end, so that whoever reads a topic can pass them by.

Brokers bound how large a batch is packed. Unpacked, the same kilobytes may stand for any size, and librdkafka unpacks no zstd
beyond ``receive.message.max.bytes``: it reports an error, stays before the batch, and tries again for ever. Who sends one, by
mistake or not, would stop every reader of its partition. Neighbours: ``transaction`` passes them by and has them put into
quarantine; ``scan``, ``stretches`` and ``moments`` pass them by.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from hutong.errors import BrokerUnavailable
from hutong.kafka.chunk import Place
from hutong.kafka.settings import Settings
from hutong.kafka.topics import NO_GROUP

__all__ = ["UnreadableBatch", "is_unreadable", "unreadable_at"]

_LOG = logging.getLogger("hutong")

_SECONDS = 30.0  # for all that is asked about; a try unpacks 100 MB, and the brokers answer at once
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableBatch:
    """A batch that nobody can read.

    Attributes:
        place: its topic and partition.
        first: offset of its first record.
        last: offset of its last one.
    """

    place: Place
    first: int
    last: int

    @property
    def events(self) -> int:
        """How many records it has."""
        return self.last - self.first + 1


def is_unreadable(error: Any) -> bool:
    """Whether a client reports such a batch: it stays before it until it is told to go on elsewhere."""
    return isinstance(error, KafkaError) and error.code() == KafkaError._BAD_COMPRESSION


def unreadable_at(settings: Settings, positions: Mapping[Place, int]) -> list[UnreadableBatch]:
    """The batches among what comes next at these positions that cannot be unpacked.

    Args:
        settings: the bus.
        positions: of each partition, where its reader goes on.

    Raises:
        BrokerUnavailable: nobody tells now; try again.
    """
    deadline = time.monotonic() + _SECONDS
    with Consumer(settings.client() | _CONFIG, logger=_LOG) as consumer:
        begins = {place: first for place, first in _next(consumer, positions, deadline).items() if first is not None}
    if not begins:
        return []
    with Consumer(settings.client() | _CONFIG, logger=_LOG) as consumer:
        return [
            UnreadableBatch(place=place, first=first, last=_last(consumer, place, first, deadline))
            for place, first in begins.items()
        ]


def _next(consumer: Consumer, positions: Mapping[Place, int], deadline: float) -> dict[Place, int | None]:
    """What comes next at each position: the first offset of an unreadable batch, or None for a record or the end."""
    consumer.assign([TopicPartition(*place, at) for place, at in positions.items()])
    found: dict[Place, int | None] = {}
    while len(found) < len(positions):
        message = consumer.poll(_POLL_SECONDS)
        if message is None:
            if time.monotonic() > deadline:
                raise BrokerUnavailable("cannot look for a batch that cannot be unpacked; check that the bus is up")
            continue
        place, error = (str(message.topic()), int(message.partition() or 0)), message.error()
        if place in positions and place not in found and (error is None or not error.retriable()):
            found[place] = int(message.offset() or 0) if is_unreadable(error) else None
            if len(positions) > 1:
                consumer.pause([TopicPartition(*place)])  # however much lies there
    return found


def _last(consumer: Consumer, place: Place, first: int, deadline: float) -> int:
    """The last offset of the batch that begins there: whatever of it is asked for, brokers send it whole."""

    def is_inside(offset: int) -> bool:
        return _next(consumer, {place: offset}, deadline)[place] == first

    inside, beyond = first, first + 1
    while is_inside(beyond):
        inside, beyond = beyond, beyond + 2 * (beyond - first)
    while beyond - inside > 1:
        middle = (inside + beyond) // 2
        inside, beyond = (middle, beyond) if is_inside(middle) else (inside, middle)
    return inside


_CONFIG = {
    "group.id": NO_GROUP,
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",  # behind the end there is nothing, and no beginning is meant
    "allow.auto.create.topics": False,
    "fetch.wait.max.ms": 50,
    "queued.max.messages.kbytes": 1_024,
}
