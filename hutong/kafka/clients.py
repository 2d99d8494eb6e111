"""The Kafka side of the SDK: one sender, one reader, and the settings each needs to keep the guarantees.

Neighbours: ``transport`` says what these must do, ``errors`` translates what goes wrong, ``publisher`` and ``subscription`` drive
them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, ThrottleEvent

from hutong.errors import BrokerUnavailable, HutongError, QueueFull
from hutong.kafka.errors import tells, translate
from hutong.kafka.passwords import follow
from hutong.kafka.reader import KafkaReader
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from hutong.transport import Limits, Settle, Start

__all__ = ["KafkaSender", "KafkaTransport"]

_LOG = logging.getLogger("hutong")

_SLOWED_SECONDS = 5.0  # whoever was slowed down so recently has a full queue because of that


class KafkaTransport:
    """A bus on Kafka and a schema registry.

    Args:
        settings: where, and as whom.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._registry: Registry | None = None

    def sender(self) -> KafkaSender:
        """A new idempotent producer."""
        return KafkaSender(self._settings)

    def reader(
        self, topic: str, group: str, start: Start, on_revoked: Callable[[Sequence[tuple[str, int]]], None]
    ) -> KafkaReader:
        """A new ``read_committed`` consumer."""
        return KafkaReader(self._settings, topic, group, start, on_revoked)

    def schemas(self) -> Registry:
        """The registry's client, one per transport so that its cache is shared."""
        if self._registry is None:
            self._registry = Registry.of(self._settings)
        return self._registry

    @property
    def limits(self) -> Limits:
        """The publisher's bounds."""
        return self._settings.limits


class KafkaSender:
    """An idempotent producer: what it confirms lies on the topic once, on all in-sync replicas, in the order sent per key.

    Args:
        settings: the bus.
        refusals_only: whether ``settle`` is only called for what is refused; ``waiting`` says when all is confirmed.
    """

    def __init__(self, settings: Settings, *, refusals_only: bool = False) -> None:
        self._settings = settings
        self._trouble: HutongError | None = None
        self._slowed_until = 0.0
        self._producer = Producer(
            settings.client()
            | {
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 2,  # mere waiting, of the time that an event takes to its recipient; under load batches fill anyhow
                "compression.type": "lz4",
                "message.timeout.ms": int(settings.delivery_seconds * 1000),
                # The publisher refuses larger events itself, naming the contract; this keeps librdkafka from doing it first.
                "message.max.bytes": settings.max_event_bytes + 100_000,
                # Keys are hashed as the Java client does, so that a stream processor of any kind finds co-partitioned topics.
                "partitioner": "murmur2_random",
                "error_cb": self._on_error,
                "throttle_cb": self._on_throttle,
                "delivery.report.only.error": refusals_only,
            },
            logger=_LOG,
        )
        follow(self, settings, lambda sender: sender._producer)

    def send(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]], settle: Settle) -> None:
        """Queue one record."""
        try:
            self._producer.produce(topic, value, key, on_delivery=settle, headers=headers)  # type: ignore[arg-type]
        except BufferError as error:
            raise QueueFull(f"cannot publish to {topic}: {self._why_full()}") from error
        except KafkaException as error:
            raise self.explain(error, topic) from error

    def poll(self, seconds: float) -> None:
        """Serve delivery reports."""
        self._producer.poll(seconds)

    def flush(self, seconds: float) -> None:
        """Wait for delivery reports."""
        self._producer.flush(seconds)

    @property
    def waiting(self) -> int:
        """Records that are neither confirmed nor refused yet."""
        return len(self._producer)

    def discard(self) -> None:
        """Give up what is not confirmed."""
        self._producer.purge()
        self._producer.flush(1.0)

    def explain(self, error: Any, topic: str) -> HutongError:
        """A delivery report's error in Hutong's words."""
        return translate(
            error, f"publish to {topic}", principal=self._settings.username, servers=self._settings.bootstrap_servers
        )

    def trouble(self) -> HutongError | None:
        """Why nothing gets through, as the client's error callback last said it."""
        return self._trouble

    def _why_full(self) -> str:
        if time.monotonic() < self._slowed_until:
            return (
                f"{self._settings.username} is over its quota, and the local queue is full; slow down, or ask for a larger quota"
            )
        return "the local queue is full; slow down, or wait for confirmations"

    def _on_throttle(self, event: ThrottleEvent) -> None:
        self._slowed_until = time.monotonic() + event.throttle_time + _SLOWED_SECONDS

    def _on_error(self, error: KafkaError) -> None:
        if tells(error):
            problem = translate(error, "publish", principal=self._settings.username, servers=self._settings.bootstrap_servers)
            # "All brokers are down" follows a refused login and would hide it.
            if not (isinstance(problem, BrokerUnavailable) and self._trouble is not None):
                self._trouble = problem
