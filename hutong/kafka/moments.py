"""The records of a topic from a moment on, to its end: for whoever looks for one event whose time is known.

Neighbours: ``reader`` follows a topic in a group; ``changelog`` reads one whole.
"""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from hutong.errors import BrokerUnavailable
from hutong.kafka.errors import translate
from hutong.kafka.settings import Settings

__all__ = ["records_since"]

_SECONDS = 10.0
_GROUP = "hutong.moments"


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
        "group.id": _GROUP,  # never joined; the client insists on one
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
    }
    try:
        with Consumer(settings.client() | config) as consumer:
            yield from _records(consumer, topic, max(0, moment_ms), most)
    except KafkaException as error:
        problem = translate(error, f"read {topic}", principal=settings.username, servers=settings.bootstrap_servers)
        raise (problem if problem.retriable else BrokerUnavailable(str(problem))) from error


def _records(consumer: Consumer, topic: str, moment_ms: int, most: int) -> Iterator[Message]:
    found = consumer.list_topics(topic, _SECONDS).topics[topic]
    if not found.partitions:
        return
    consumer.assign(consumer.offsets_for_times([TopicPartition(topic, one, moment_ms) for one in found.partitions], _SECONDS))
    waiting, seen = set(found.partitions), 0
    while waiting and seen < most:
        messages = consumer.consume(1_000, _SECONDS) if seen else [one for one in [consumer.poll(_SECONDS)] if one]
        if not messages:
            raise BrokerUnavailable(f"{topic} cannot be read to its end; trying again")
        for message in messages:
            error = message.error()
            if error is None:
                seen += 1
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                waiting.discard(message.partition())
            elif not error.retriable():
                raise KafkaException(error)
