"""What lies on the bus's topics at the end, read by the operator: when the brokers had each event, and what is in quarantine.

Neighbours: ``account`` compares this with what the sources committed; nothing is decoded but the register's changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from demo.account import Published, Quarantined
from hutong.kafka.settings import Settings

__all__ = ["published_on", "quarantined_on", "read_topics"]

_BATCH = 10_000


def read_topics(settings: Settings, topics: Iterable[str]) -> Iterator[Message]:
    """Every committed record of these topics, from the oldest to what was the newest at this moment."""
    consumer = Consumer(
        settings.client()
        | {
            "group.id": "demo.auditor",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        known = consumer.list_topics(timeout=10).topics
        waiting = {(topic, partition) for topic in topics if topic in known for partition in known[topic].partitions}
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in waiting])
        while waiting:
            messages = consumer.consume(_BATCH, 0.2)
            for message in messages:
                if (error := message.error()) is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard((message.topic() or "", message.partition() or 0))
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()


def published_on(messages: Iterable[Message]) -> Iterator[Published]:
    """The records that name an event; a record that names none can only be a broken one."""
    for message in messages:
        headers = _headers(message)
        if event_id := headers.get("ce_id", b""):
            yield Published(
                id=event_id.decode(),
                contract=(message.topic() or "").removeprefix("pub."),
                made_ms=_moment(headers),
                appended_ms=message.timestamp()[1],
            )


def quarantined_on(messages: Iterable[Message]) -> Iterator[Quarantined]:
    """The records in quarantine."""
    for message in messages:
        headers = _headers(message)
        yield Quarantined(
            contract=(message.topic() or "").removeprefix("quarantine."),
            reason=headers.get("hutong_reason", b"").decode(),
            id=headers.get("ce_id", b"").decode(),
        )


def _moment(headers: Mapping[str, bytes]) -> int:
    try:
        return int(datetime.fromisoformat(headers["ce_time"].decode()).timestamp() * 1000)
    except (KeyError, ValueError):
        return 0


def _headers(message: Message) -> dict[str, bytes]:
    headers: Any = message.headers()
    return dict(headers or ())
