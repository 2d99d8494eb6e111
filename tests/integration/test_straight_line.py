"""The behaviour suite on the embedded broker, declarations applied, a router at work; and what only a real bus can show."""

from __future__ import annotations

import importlib
import io
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from pydantic import SecretStr

from hutong import Publisher, Subscription
from hutong.errors import BrokerUnavailable, NotAuthorised
from hutong.event import header
from hutong.kafka.clients import KafkaTransport
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from tests.behaviour.line import FI, MOVED, Line, collect, move, unique
from tests.behaviour.test_straight_line import *  # noqa: F403 - every test of the suite, on this module's ``line``
from tests.conftest import RunningBus


class KafkaLine:
    """The real thing."""

    def __init__(self, bus: RunningBus) -> None:
        self._bus = bus

    def settings(self, principal: str) -> Settings:
        return Settings.resolve(principal, self._bus.environment)

    def publisher(self, department: str) -> Publisher:
        return Publisher(department, settings=self.settings(department))

    def subscription(self, recipient: str, channel: str, **options: Any) -> Subscription[Any]:
        given = {"group": f"{recipient}.{unique()}", "settings": self.settings(recipient)} | options
        return Subscription(recipient, channel, **given)

    def append(self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        producer = Producer(self.settings(topic.removeprefix("pub.").rpartition(".")[0]).client())
        producer.produce(topic, value, key, headers=headers)  # type: ignore[arg-type]
        assert producer.flush(30) == 0

    def quarantined(self, contract: str, key: bytes) -> list[str]:
        topic, reasons = f"quarantine.{contract}", []
        config = self.settings("operator").client() | {"group.id": unique(), "enable.partition.eof": True}
        with Consumer(config) as consumer:
            partitions = consumer.list_topics(topic, 10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
            ended = 0
            while ended < len(partitions):
                message = consumer.poll(10)
                assert message is not None
                if message.error():
                    ended += 1
                elif message.key() == key:
                    reasons.append((header(message.headers(), "hutong_reason") or b"").decode())
        return reasons


def start_router(bus: RunningBus) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    router = subprocess.Popen(
        [sys.executable, "-m", "services.router", "--port", str(port), "--instance", unique("r")],
        env={"PATH": "/usr/bin:/bin", **bus.environment},
        stderr=subprocess.DEVNULL,
    )
    return router, port


def await_ready(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError("the router did not become ready")


@pytest.fixture(scope="module")
def routed_bus(bus: RunningBus) -> Iterator[RunningBus]:
    """The bus with ``fi`` applied and a router at work."""
    environment = {"PATH": "/usr/bin:/bin", **bus.environment}
    command = [sys.executable, "-m", "hutong", "apply", "--schemas", str(FI)]
    applied = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert applied.returncode == 0, applied.stderr
    router, port = start_router(bus)
    try:
        await_ready(port)
        yield bus
    finally:
        router.terminate()
        router.wait(20)


@pytest.fixture
def line(routed_bus: RunningBus) -> Line:
    return KafkaLine(routed_bus)


def test_a_wrong_password_is_said(routed_bus: RunningBus) -> None:
    """Publisher and subscription name the setting, and do not wait for a time-out of minutes."""
    right = Settings.resolve("dvv", routed_bus.environment)
    wrong = right.model_copy(update={"password": SecretStr("no"), "password_file": None})
    publisher = Publisher("dvv", settings=wrong)
    handle = publisher.publish(move(1), MOVED)
    with pytest.raises(NotAuthorised, match="HUTONG_KAFKA_PASSWORD"):
        handle.result(10)
    with pytest.raises(Exception, match="1 events of dvv are not confirmed"):
        publisher.close(0)
    subscription = Subscription("kela", "population", settings=wrong.model_copy(update={"username": "kela"}))
    with pytest.raises(NotAuthorised, match="HUTONG_KAFKA_PASSWORD"):
        subscription.join(10)
    subscription.close()


def test_no_broker_is_said_with_its_address(routed_bus: RunningBus) -> None:
    """The event is not lost silently: its handle and close name it."""
    away = Settings.resolve("dvv", routed_bus.environment).model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    publisher = Publisher("dvv", settings=away)
    handle = publisher.publish(move(1), MOVED)
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        handle.result(2)
    with pytest.raises(Exception, match="not confirmed") as caught:
        publisher.close(0)
    assert caught.value.event_ids == (handle.event_id,)  # type: ignore[attr-defined]


def test_the_brokers_refuse_what_the_acl_does_not_grant(routed_bus: RunningBus) -> None:
    """Also a client that leaves the SDK's own check out is stopped."""
    sender = KafkaTransport(Settings.resolve("kela", routed_bus.environment)).sender()
    errors: list[Any] = []
    sender.send(f"pub.{MOVED}", b"k", b"v", [], lambda error, record: errors.append(error))
    sender.flush(10)
    assert isinstance(sender.explain(errors[0], f"pub.{MOVED}"), NotAuthorised)


def test_a_published_record_is_a_valid_event_for_the_cloudevents_sdk(line: Line, routed_bus: RunningBus) -> None:
    """The public CloudEvents SDK reads it from the Kafka record, in binary mode."""
    kafka = importlib.import_module("cloudevents.core.bindings.kafka")
    number = time.time_ns() // 1000
    with line.subscription("kela", "population") as kela:
        with line.publisher("dvv") as publisher:
            place = publisher.publish(move(number), MOVED, id=unique()).result(30)
        collect(kela, 1)
    config = Settings.resolve("operator", routed_bus.environment).client() | {"group.id": unique()}
    with Consumer(config) as consumer:
        consumer.assign([TopicPartition(*place)])
        message = consumer.poll(10)
    assert message is not None
    record = kafka.KafkaMessage(headers=dict(message.headers() or []), key=message.key(), value=message.value() or b"")
    event = kafka.from_kafka_event(record)
    assert (event.get_type(), event.get_source()) == (MOVED, "urn:hutong:dvv")
    assert event.get_datacontenttype() == "application/avro"
    assert event.get_time() is not None


def test_a_plain_kafka_client_with_the_registry_reads_the_same_topic(line: Line, routed_bus: RunningBus) -> None:
    """The frame, the registry and any Avro library: the same data."""
    number = time.time_ns() // 1000
    with line.subscription("kela", "population") as kela:
        with line.publisher("dvv") as publisher:
            publisher.publish(move(number), MOVED)
        (event,) = collect(kela, 1)
    settings = Settings.resolve("kela", routed_bus.environment)
    with Consumer(settings.client() | {"group.id": f"kela.{unique()}"}) as consumer:
        consumer.assign([TopicPartition(event.topic, event.partition, event.offset)])
        message = consumer.poll(10)
    assert message is not None
    value = message.value() or b""
    schema = Registry(settings.registry_url).by_id(int.from_bytes(value[1:5], "big"))
    assert fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None) == event.data
