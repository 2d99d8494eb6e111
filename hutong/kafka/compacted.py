"""A compacted topic of one partition as a map: read whole, or changed by key.

Neighbours: the control plane keeps ``ctl.agreements`` with it; ``control`` follows such a topic.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from hutong.errors import BrokerUnavailable
from hutong.kafka.errors import translate
from hutong.kafka.settings import Settings
from hutong.kafka.topics import NO_GROUP

__all__ = ["Entries", "compacted_consumer", "read_all", "take", "write"]

Entries = dict[str, bytes]

_LOG = logging.getLogger("hutong")
_SECONDS = 30.0
_MAX_BYTES = 4_000_000  # the topic's own bound decides; this only keeps the client from deciding first


def compacted_consumer(settings: Settings, *, wait_ms: int) -> Consumer:
    """A consumer for reading whole topics: partitions are assigned by hand, nothing is committed, the end is told.

    Args:
        settings: the bus.
        wait_ms: how long the broker holds a request when there is nothing new.
    """
    return Consumer(
        settings.client()
        | {
            "group.id": NO_GROUP,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": wait_ms,
            # Whoever asks for the end waits for half a second only. By default one question without an answer costs the
            # connection, and on a busy broker the next questions are over before there is a new one (seen: for a minute).
            "socket.max.fails": 20,
        },
        logger=_LOG,
    )


def take(message: Message, entries: Entries) -> None:
    """Apply one record to a map: a value replaces, a tombstone takes away."""
    key, value = (message.key() or b"").decode("utf-8", "replace"), message.value()
    entries.pop(key, None)
    if value is not None:
        entries[key] = value


def read_all(settings: Settings, topic: str) -> Entries:
    """The newest value of every key that has one.

    The topic must exist.

    Raises:
        BrokerUnavailable: the topic's end was not reached in time.
        NotAuthorised: the principal may not read it.
    """
    consumer = compacted_consumer(settings, wait_ms=20)
    try:
        # Offset 0, not OFFSET_BEGINNING: looking the beginning up costs librdkafka half a second on a new connection.
        consumer.assign([TopicPartition(topic, 0, 0)])
        return _drain(consumer, settings, topic)
    finally:
        consumer.close()


def _drain(consumer: Consumer, settings: Settings, topic: str) -> Entries:
    found: Entries = {}
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is None:
            continue
        error = message.error()
        if error is None:
            take(message, found)
        elif error.code() == KafkaError._PARTITION_EOF:
            return found
        elif not error.retriable():
            raise _explain(error, settings, f"read {topic}")
    raise BrokerUnavailable(f"cannot read {topic} to its end in {_SECONDS:g} s; check that the bus is up, then try again")


def write(settings: Settings, topic: str, changes: Mapping[str, bytes | None]) -> None:
    """Set values by key; None takes a key away. Returns when all in-sync replicas have them.

    Raises:
        BrokerUnavailable: not all were confirmed; writing the same again is safe.
    """
    failures: list[Any] = []
    # One request at a time keeps the order without idempotence, whose producer id costs half a second to get; a record that a
    # retry wrote twice is the same entry of the map.
    how = {"acks": "all", "max.in.flight": 1, "linger.ms": 0, "message.max.bytes": _MAX_BYTES}
    producer = Producer(settings.client() | how, logger=_LOG)

    def settled(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failures.append(error)

    try:
        for key, value in changes.items():
            producer.produce(topic, value, key.encode(), on_delivery=settled)
    except (KafkaException, BufferError) as error:
        raise _explain(error, settings, f"write {topic}") from error
    waiting = producer.flush(_SECONDS)
    if failures:
        raise _explain(failures[0], settings, f"write {topic}")
    if waiting:
        raise BrokerUnavailable(f"cannot write {topic}: {waiting} records are not confirmed after {_SECONDS:g} s; apply again")


def _explain(error: KafkaError | BaseException, settings: Settings, doing: str) -> Exception:
    return translate(error, doing, principal=settings.username, servers=settings.bootstrap_servers)
