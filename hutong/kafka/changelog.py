"""A compacted topic of several partitions as the stream of its changes: read to its end, or followed; nothing of it is kept.

States that are older than one that came before them are left out, see ``positions``. Neighbours: ``compacted`` reads a topic of
one partition as a map; ``hutong cases`` reads the table of cases with this.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from hutong.errors import BrokerUnavailable, ConfigurationError
from hutong.kafka.compacted import compacted_consumer
from hutong.kafka.errors import translate
from hutong.kafka.positions import Newest
from hutong.kafka.settings import Settings

__all__ = ["changes"]

_SECONDS = 30.0  # a broker that sends nothing for so long is not there


def changes(settings: Settings, topic: str, *, missing: str, follow: bool = False) -> Iterator[bytes | None]:
    """Every value on a topic, in order per key; of a key with several, the last one counts.

    Args:
        settings: the bus, and as whom it is read.
        topic: which.
        missing: what to say where there is no such topic.
        follow: whether to go on after the end, for ever; ``None`` then stands for the end.

    Raises:
        ConfigurationError: there is no such topic.
        BrokerUnavailable: no broker answers.
        NotAuthorised: the principal may not read it.
    """
    consumer = compacted_consumer(settings, wait_ms=100)
    try:
        partitions = _partitions(consumer, settings, topic, missing)
        # Offset 0, not OFFSET_BEGINNING: looking the beginning up costs librdkafka half a second on a new connection.
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        yield from _values(consumer, settings, topic, set(partitions), follow=follow)
    finally:
        consumer.close()


def _partitions(consumer: Consumer, settings: Settings, topic: str, missing: str) -> list[int]:
    try:
        found = consumer.list_topics(topic, timeout=_SECONDS).topics[topic]
    except KafkaException as error:
        raise translate(error, f"read {topic}", principal=settings.username, servers=settings.bootstrap_servers) from error
    if found.error is not None or not found.partitions:
        raise ConfigurationError(missing)
    return list(found.partitions)


def _values(consumer: Consumer, settings: Settings, topic: str, behind: set[int], *, follow: bool) -> Iterator[bytes | None]:
    deadline = time.monotonic() + _SECONDS
    newest = Newest()
    while behind or follow:
        message = consumer.poll(0.5)
        if message is None:
            if behind and time.monotonic() > deadline:
                raise BrokerUnavailable(f"cannot read {topic} to its end: nothing came for {_SECONDS:g} s; check the bus")
            continue
        deadline = time.monotonic() + _SECONDS
        error = message.error()
        if error is None:
            if (value := message.value()) is not None and newest.takes(message.key() or b"", value):
                yield value
        elif error.code() == KafkaError._PARTITION_EOF:
            if behind and not (behind := behind - {message.partition()}) and follow:
                yield None
        elif not error.retriable():
            raise translate(error, f"read {topic}", principal=settings.username, servers=settings.bootstrap_servers)
