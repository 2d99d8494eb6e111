"""Transactions that have stood open for too long: everything behind their first record waits for them (KIP-664).

Neighbours: ``lookout`` says where committed records end and where all records do; ``hutong.doctor`` tells of what this finds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition

from hutong.kafka.chunk import Place
from hutong.kafka.lookout import Lookout
from hutong.kafka.settings import Settings
from hutong.kafka.topics import NO_GROUP

__all__ = ["Stalled", "stalled"]

_LOG = logging.getLogger("hutong.kafka.stalled")
_LOG.propagate = False
_LOG.addHandler(logging.NullHandler())
_MOST = 50  # partitions whose open transaction is looked at; where there are more, these say enough
_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Stalled:
    """A partition whose readers of committed records wait.

    Attributes:
        topic: the topic.
        partition: the partition.
        offset: of the open transaction's first record.
        age_seconds: since that record was written.
        behind: offsets that wait behind it.
    """

    topic: str
    partition: int
    offset: int
    age_seconds: float
    behind: int


def stalled(settings: Settings, lookout: Lookout, places: Iterable[Place], *, older_than: float) -> list[Stalled]:
    """The partitions whose last stable offset is that of an old record.

    Args:
        settings: where, and as whom; the principal must be allowed to read the topics.
        lookout: asks the brokers.
        places: the partitions.
        older_than: seconds that a transaction may take.
    """
    asked = sorted(places)
    stable, tops = lookout.ends(asked), lookout.tops(asked)
    open_ = {place: at for place, at in stable.items() if at < tops.get(place, at)}
    times = _times(settings, dict(sorted(open_.items())[:_MOST]))
    now = time.time()
    found = [
        Stalled(
            topic=place[0],
            partition=place[1],
            offset=open_[place],
            age_seconds=now - written_ms / 1000,
            behind=tops[place] - open_[place],
        )
        for place, written_ms in times.items()
    ]
    return [one for one in found if one.age_seconds > older_than]


def _times(settings: Settings, places: dict[Place, int]) -> dict[Place, int]:
    """When the record at each of these offsets was written, committed or not."""
    if not places:
        return {}
    config = {
        "group.id": NO_GROUP,
        "isolation.level": "read_uncommitted",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "log_level": 0,
    }
    found: dict[Place, int] = {}
    consumer = Consumer(settings.client() | config, logger=_LOG)
    try:
        consumer.assign([TopicPartition(*place, offset) for place, offset in places.items()])
        deadline = time.monotonic() + _SECONDS
        while len(found) < len(places) and time.monotonic() < deadline:
            for message in consumer.consume(500, 0.5):
                if message.error() is None:
                    found.setdefault((message.topic() or "", message.partition() or 0), message.timestamp()[1])
    except KafkaException:
        return found
    finally:
        consumer.close()
    return found
