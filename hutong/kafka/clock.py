"""What time is it for the brokers? The append time of a record says; for that one record a topic is made, and taken away again.

No answer of Kafka carries the brokers' time but that of a write on a topic that stamps what it gets, and the bus's own topics are
not for trying. Neighbour: ``hutong.doctor`` compares the clocks.
"""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin import NewTopic as KafkaNewTopic  # type: ignore[attr-defined]  # it exports it, without saying so

from hutong.kafka.errors import translate
from hutong.kafka.settings import Settings

__all__ = ["Clock", "broker_clock"]

_LOG = logging.getLogger("hutong")
_SECONDS = 10.0
_TRIES = 3  # the first write also waits for the client to find the topic; the quickest says most


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The brokers' clock against ours.

    Attributes:
        ahead_seconds: by how much it is ahead of ours; negative where it is behind.
        within_seconds: how far the truth may be from that: half the time that the write took.
    """

    ahead_seconds: float
    within_seconds: float


def broker_clock(settings: Settings) -> Clock:
    """Compare the clock of the broker that happens to lead a new topic with this machine's.

    Raises:
        HutongError: the topic cannot be made, or written.
    """
    admin = AdminClient(settings.client() | {"log_level": 0}, logger=_LOG)
    topic = f"hutong.doctor.{secrets.token_hex(4)}"
    config = {"message.timestamp.type": "LogAppendTime", "retention.ms": "3600000"}
    try:
        new = KafkaNewTopic(topic, num_partitions=1, replication_factor=-1, config=config)
        admin.create_topics([new], operation_timeout=_SECONDS, request_timeout=_SECONDS)[topic].result()
        try:
            producer = Producer(settings.client() | {"acks": "1", "linger.ms": 0, "log_level": 0}, logger=_LOG)
            return min((_asked(producer, topic) for _ in range(_TRIES)), key=lambda clock: clock.within_seconds)
        finally:
            admin.delete_topics([topic], operation_timeout=_SECONDS, request_timeout=_SECONDS)[topic].result()
    except KafkaException as error:
        raise translate(error, "ask for the time", principal=settings.username, servers=settings.bootstrap_servers) from error


def _asked(producer: Producer, topic: str) -> Clock:
    stamped: list[int] = []
    failed: list[KafkaError] = []

    def settled(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(error)
        else:
            stamped.append(message.timestamp()[1])

    before = time.time()
    producer.produce(topic, b"", on_delivery=settled)
    producer.flush(_SECONDS)
    after = time.time()
    if not stamped:
        raise KafkaException(failed[0] if failed else KafkaError(KafkaError._TIMED_OUT))
    return Clock(ahead_seconds=stamped[0] / 1000 - (before + after) / 2, within_seconds=(after - before) / 2)
