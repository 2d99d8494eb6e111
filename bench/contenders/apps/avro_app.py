"""confluent-kafka's own Avro serializer and deserializer, doing what the SDK does; a program in an environment that has them.

They are set up as well as they can be: no look-up per message, the SDK's client settings. Prints one JSON object: how long it
took, and the processor time. Neighbour: ``bench/sdk_peer.py`` starts it, once for each measurement.
"""

from __future__ import annotations

import gc
import json
import pickle
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

_BY_TOPIC = {"subject.name.strategy.type": "TOPIC"}
_FLUSH_SECONDS, _JOIN_SECONDS, _READ_SECONDS = 60, 30, 120


def serializer(plan: dict[str, Any], registry: SchemaRegistryClient) -> Any:
    """With the schema given as text, which costs a third of asking for the newest version, and has to be got from somewhere."""
    write: dict[str, Any] = _BY_TOPIC | {"auto.register.schemas": False}
    if plan["what"] == "publish_latest":
        return AvroSerializer(registry, conf=write | {"use.latest.version": True})
    return AvroSerializer(registry, registry.get_latest_version(f"{plan['topic']}-value").schema.schema_str, conf=write)


def publish(plan: dict[str, Any], registry: SchemaRegistryClient) -> Callable[[], int]:
    """Events with ids, times, keys and confirmations."""
    made = pickle.loads(Path(plan["events"]).read_bytes())  # noqa: S301 - the bench wrote it
    serialize, topic, count = serializer(plan, registry), plan["topic"], plan["count"]
    producer = Producer(plan["client"] | {"enable.idempotence": True, "acks": "all", "linger.ms": 5, "compression.type": "lz4"})
    producer.list_topics(topic, 10)  # the connection stands when the clock starts, as the SDK's does
    serialize(made[0], SerializationContext(topic, MessageField.VALUE))
    confirmed, size = 0, len(made)

    def settle(error: Any, _: Any) -> None:
        nonlocal confirmed
        confirmed += error is None

    def work() -> int:
        for number in range(count):
            data = made[number % size]
            headers: Any = [
                ("ce_specversion", b"1.0"),
                ("ce_id", str(uuid.uuid4()).encode()),
                ("ce_source", plan["source"].encode()),
                ("ce_type", plan["contract"].encode()),
                ("ce_time", datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()),
                ("content-type", b"application/avro"),
            ]
            value = serialize(data, SerializationContext(topic, MessageField.VALUE))
            while True:
                try:
                    producer.produce(topic, value, data[plan["key"]], headers=headers, on_delivery=settle)
                    break
                except BufferError:
                    producer.poll(0.05)
            producer.poll(0)
        producer.flush(_FLUSH_SECONDS)
        return confirmed

    return work


def receive(plan: dict[str, Any], registry: SchemaRegistryClient) -> Callable[[], int]:
    """Deliveries: value, headers and key."""
    deserialize, topic, count = AvroDeserializer(registry, conf=_BY_TOPIC), plan["topic"], plan["count"]
    config = {"isolation.level": "read_committed", "auto.offset.reset": "earliest", "fetch.wait.max.ms": 100}
    consumer = Consumer(plan["client"] | {"group.id": plan["group"]} | config)

    def work() -> int:
        consumer.subscribe([topic])
        found, deadline = 0, time.monotonic() + _JOIN_SECONDS + _READ_SECONDS
        while found < count and time.monotonic() < deadline:
            first = consumer.poll(0.2)
            for message in [first, *consumer.consume(1000, 0)] if first else []:
                if message.error():
                    continue
                data: Any = deserialize(message.value(), SerializationContext(topic, MessageField.VALUE))
                if data["source_system"] != plan["department"] or not dict(message.headers() or ())["ce_id"] or not message.key():
                    raise SystemExit("a delivery is not as its agreement says")
                found += 1
        consumer.close()
        return found

    return work


def main(plan: dict[str, Any]) -> None:
    """Prepare, then measure one piece of work."""
    prepare = receive if plan["what"] == "receive" else publish
    work = prepare(plan, SchemaRegistryClient({"url": plan["registry"]}))
    gc.collect()
    gc.freeze()  # the prepared events are no part of what is measured
    began, cpu = time.perf_counter(), time.process_time()
    count = work()
    took = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps({"count": count, **took}), flush=True)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
