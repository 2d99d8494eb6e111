"""What ``sdk`` measures beside Hutong: confluent-kafka's own Avro serializer and deserializer, doing the same work.

They need what ``pip install 'confluent-kafka[avro,schemaregistry]'`` brings, and nothing else here does.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, Producer

from bench.sample import CONTRACT
from hutong.event import rfc3339
from hutong.home import Home
from hutong.kafka.settings import Settings

__all__ = ["CHANNEL", "DEPARTMENT", "RECIPIENT", "Peer"]

DEPARTMENT, TOPIC = "mca.funeral", f"pub.{CONTRACT}"
RECIPIENT, CHANNEL = "mohrss.insurance", "deaths"


class Peer:
    """confluent-kafka's own serializers, set up as well as they can be: no look-up per message, the same client settings."""

    def __init__(self, home: Home) -> None:
        from confluent_kafka.schema_registry import SchemaRegistryClient
        from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
        from confluent_kafka.serialization import MessageField, SerializationContext

        self.context = SerializationContext
        self.field = MessageField.VALUE
        self.home = home
        registry = SchemaRegistryClient({"url": self.settings(DEPARTMENT).registry_url})
        by_topic = {"subject.name.strategy.type": "TOPIC"}
        write: dict[str, Any] = by_topic | {"auto.register.schemas": False}
        text = registry.get_latest_version(f"{TOPIC}-value").schema.schema_str
        # A schema given as text costs it a third of what asking for the newest version does, and has to be got from somewhere.
        self.given = AvroSerializer(registry, text, conf=write)
        self.latest = AvroSerializer(registry, conf=write | {"use.latest.version": True})
        self.deserialize = AvroDeserializer(registry, conf=by_topic)

    def settings(self, principal: str) -> Settings:
        """Where the bus is."""
        return Settings.resolve(principal, {"HUTONG_HOME": str(self.home.root)})

    def publish(self, made: list[dict[str, Any]], count: int, serialize: Callable[..., bytes]) -> float:
        """Seconds for ``count`` events with ids, times, keys and confirmations."""
        producer = Producer(
            self.settings(DEPARTMENT).client()
            | {"enable.idempotence": True, "acks": "all", "linger.ms": 5, "compression.type": "lz4"}
        )
        confirmed, size = 0, len(made)

        def settle(error: Any, _: Any) -> None:
            nonlocal confirmed
            confirmed += error is None

        serialize(made[0], self.context(TOPIC, self.field))
        began = time.perf_counter()
        for number in range(count):
            data = made[number % size]
            headers: Any = [
                ("ce_specversion", b"1.0"),
                ("ce_id", str(uuid.uuid4()).encode()),
                ("ce_source", b"urn:hutong:mca.funeral"),
                ("ce_type", CONTRACT.encode()),
                ("ce_time", rfc3339(datetime.now(UTC)).encode()),
                ("content-type", b"application/avro"),
            ]
            value = serialize(data, self.context(TOPIC, self.field))
            while True:
                try:
                    producer.produce(TOPIC, value, data["certificate_number"], headers=headers, on_delivery=settle)
                    break
                except BufferError:
                    producer.poll(0.05)
            producer.poll(0)
        producer.flush(60)
        took = time.perf_counter() - began
        if confirmed != count:
            raise SystemExit(f"{confirmed} confirmations where {count} are right")
        return took

    def receive(self, count: int, group: str) -> float:
        """Seconds for ``count`` deliveries: value, headers and key."""
        topic = f"sub.{RECIPIENT}.{CHANNEL}"
        consumer = Consumer(
            self.settings(RECIPIENT).client()
            | {"group.id": group, "isolation.level": "read_committed", "auto.offset.reset": "earliest", "fetch.wait.max.ms": 100}
        )
        consumer.subscribe([topic])
        batch, deadline = [consumer.poll(1.0)], time.monotonic() + 30
        while batch[0] is None and time.monotonic() < deadline:
            batch = [consumer.poll(1.0)]
        found, began = 0, time.perf_counter()
        while found < count and time.monotonic() < deadline + 120:
            for message in batch:
                if message is None or message.error():
                    continue
                data: Any = self.deserialize(message.value(), self.context(topic, self.field))
                if data["source_system"] != DEPARTMENT or not dict(message.headers() or ())["ce_id"] or not message.key():
                    raise SystemExit("a delivery is not as its agreement says")
                found += 1
                if found == count:
                    break
            first = consumer.poll(0.2)
            batch = [first, *consumer.consume(1000, 0)] if first else []
        took = time.perf_counter() - began
        consumer.close()
        if found != count:
            raise SystemExit(f"the peer found {found} deliveries where {count} are right")
        return took
