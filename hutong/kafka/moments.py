"""The records of a topic from a moment on, to its end: for whoever looks for one event whose time is known.

Neighbours: ``reader`` follows a topic in a group; ``changelog`` reads one whole.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from hutong.errors import BrokerUnavailable
from hutong.kafka.errors import translate
from hutong.kafka.settings import Settings
from hutong.kafka.topics import NO_GROUP
from hutong.kafka.unreadable import is_unreadable, unreadable_at

__all__ = ["records_since"]

_LOG = logging.getLogger("hutong")

_SECONDS = 10.0
_AT_ONCE = 1_000


def records_since(settings: Settings, topic: str, moment_ms: int, *, most: int) -> Iterator[Message]:
    """Committed records that the brokers got at a moment or later, in order per partition.

    Args:
        settings: the bus, and as whom it is read.
        topic: which; nothing comes of one that is not there.
        moment_ms: since the epoch.
        most: stop after so many.

    Raises:
        HutongError: a retriable one: the topic cannot be read to its end now.
    """
    config = {
        "group.id": NO_GROUP,
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
    }
    try:
        with Consumer(settings.client() | config, logger=_LOG) as consumer:
            yield from _records(settings, consumer, topic, max(0, moment_ms), most)
    except KafkaException as error:
        problem = translate(error, f"read {topic}", principal=settings.username, servers=settings.bootstrap_servers)
        raise (problem if problem.retriable else BrokerUnavailable(str(problem))) from error


def _records(settings: Settings, consumer: Consumer, topic: str, moment_ms: int, most: int) -> Iterator[Message]:
    found = consumer.list_topics(topic, _SECONDS).topics[topic]
    if not found.partitions:
        return
    consumer.assign(consumer.offsets_for_times([TopicPartition(topic, one, moment_ms) for one in found.partitions], _SECONDS))
    waiting, seen = set(found.partitions), 0
    while waiting and seen < most:
        first = consumer.poll(_SECONDS)
        if first is None:
            raise BrokerUnavailable(f"{topic} cannot be read to its end; trying again")
        for message in [first, *consumer.consume(_AT_ONCE, 0)]:  # one that waited would wait for as many as it was asked for
            error = message.error()
            if error is None:
                seen += 1
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                waiting.discard(message.partition())
            elif is_unreadable(error):
                for batch in unreadable_at(settings, {(topic, message.partition() or 0): message.offset() or 0}):
                    consumer.seek(TopicPartition(*batch.place, batch.last + 1))
            elif not error.retriable():
                raise KafkaException(error)
