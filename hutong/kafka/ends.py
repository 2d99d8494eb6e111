"""Is a topic there, and where do its partitions end? For whoever waits for a topic, or holds a reader's position against its end.

Neighbours: ``admin`` makes topics; ``probe`` asks after the brokers themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from hutong.kafka.errors import translate
from hutong.kafka.passwords import follow_in_turn
from hutong.kafka.settings import Settings
from hutong.kafka.topics import NO_GROUP

__all__ = ["Ends", "is_there"]

_LOG = logging.getLogger("hutong")

_SECONDS = 10.0
_END_SECONDS = 5.0


def is_there(settings: Settings, topic: str) -> bool:
    """Whether a topic can be used.

    Raises:
        HutongError: nobody says.
    """
    try:
        found = Producer(settings.client(), logger=_LOG).list_topics(topic, _SECONDS).topics[topic]
    except KafkaException as error:
        raise translate(error, f"look for {topic}", principal=settings.username, servers=settings.bootstrap_servers) from error
    return found.error is None and bool(found.partitions)


class Ends:
    """Asks for the ends of one topic's partitions, as a reader of committed records sees them.

    Args:
        settings: the bus.
        topic: which.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._topic = topic
        config = {"group.id": NO_GROUP, "isolation.level": "read_committed", "enable.auto.commit": False}
        self._consumer = Consumer(settings.client() | config, logger=_LOG)
        self._login = follow_in_turn(self, settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._consumer.close()

    def of(self, partitions: Iterable[int]) -> dict[int, int] | None:
        """Partition -> the offset behind its last record; None while the brokers are away."""
        self._login.refresh(self._consumer)
        try:
            return {
                one: self._consumer.get_watermark_offsets(TopicPartition(self._topic, one), _END_SECONDS)[1] for one in partitions
            }
        except KafkaException:
            return None
