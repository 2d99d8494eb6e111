"""Coordinator processes and a small flow of two agencies for tests: declared, applied, and played by the test itself."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from hutong import Publisher
from hutong.decoding import Decoder
from hutong.home import Home
from hutong.kafka.positions import Newest
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from tests.integration.loan_flow import LAND, QUESTION, TAX, declare, declare_flows, flow
from tests.integration.processes import ServiceProcess, hutong

__all__ = ["Agencies", "Bus", "CoordinatorProcess"]


class Bus:
    """A bus with the flow on it, and the agencies that answer.

    Args:
        home: the bus's home; it is up.
        schemas: where the declarations are written.
    """

    def __init__(self, home: Home, schemas: Path) -> None:
        self.home, self._schemas = home, schemas
        declare(schemas)
        self.apply(flow())
        self.registry = Registry.of(self.settings())
        self._decoder = Decoder(self.registry)

    def settings(self, principal: str = "operator") -> Settings:
        """A principal's settings."""
        return Settings.resolve(principal, {"HUTONG_HOME": str(self.home.root)})

    def apply(self, *flows: Mapping[str, Any]) -> None:
        """Put these flows in force, and take all others out of it."""
        declare_flows(self._schemas, *flows)
        hutong(self.home, "apply", "--prune", "--schemas", str(self._schemas))

    def publisher(self, department: str) -> Publisher:
        """A department's publisher."""
        return Publisher(department, settings=self.settings(department))

    def ends(self, topic: str) -> dict[int, int]:
        """Where each partition of a topic ends."""
        with Consumer(self.settings().client() | {"group.id": "t.ends"}) as consumer:
            partitions = consumer.list_topics(topic, 10).topics[topic].partitions
            deadline = time.monotonic() + 20
            while True:
                try:
                    return {one: consumer.get_watermark_offsets(TopicPartition(topic, one), 10)[1] for one in partitions}
                except KafkaException:  # of a broker that came back a moment ago, and does not lead its partitions yet
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)

    def read(self, topic: str, since: Mapping[int, int] | None = None) -> list[Any]:
        """All committed records of a topic, from some offsets on."""
        config = {"group.id": "t.read", "isolation.level": "read_committed", "enable.partition.eof": True}
        found: list[Any] = []
        with Consumer(self.settings().client() | config) as consumer:
            since = since or dict.fromkeys(self.ends(topic), 0)
            consumer.assign([TopicPartition(topic, one, at) for one, at in since.items()])
            waiting = set(since)
            while waiting:
                message = consumer.poll(15)
                assert message is not None, f"{topic} has no end"
                if message.error():
                    waiting.discard(message.partition())
                else:
                    found.append(message)
        return found

    def events(self, contract: str, since: Mapping[int, int] | None = None) -> list[tuple[str, dict[str, Any]]]:
        """The events of a contract: (id, data)."""
        return [
            ((dict(one.headers())["ce_id"]).decode(), self._decoder.decode(one.value()))
            for one in self.read(f"pub.{contract}", since)
        ]

    def data(self, message: Any) -> dict[str, Any]:
        """A record's data."""
        found: dict[str, Any] = self._decoder.decode(message.value())
        return found

    @staticmethod
    def now() -> datetime:
        """The time."""
        return datetime.now(UTC)

    def cases(self) -> dict[str, dict[str, Any]]:
        """The newest state of every case."""
        found: dict[str, dict[str, Any]] = {}
        newest = Newest()
        for one in self.read("ctl.cases.state"):
            if newest.takes(one.key(), one.value()):
                found[one.key().decode()] = json.loads(one.value())
        return found

    def quarantined(self, contract: str) -> list[tuple[str, Any]]:
        """(reason, record) of everything in a contract's quarantine."""
        return [(dict(one.headers())["hutong_reason"].decode(), one) for one in self.read(f"quarantine.{contract}")]


class CoordinatorProcess(ServiceProcess):
    """One coordinator."""

    def __init__(self, home: Home, name: str, *flags: str) -> None:
        super().__init__(home, "coordinator", name, *flags)


class Agencies:
    """Answers every question once, from a thread, as two agencies would."""

    def __init__(self, bus: Bus) -> None:
        self._bus, self._stop = bus, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Agencies:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        config = {"group.id": "t.agencies", "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
        answered: set[str] = set()
        publishers = {one: self._bus.publisher(one) for one in (LAND, TAX)}
        with Consumer(self._bus.settings().client() | config) as consumer:
            consumer.subscribe([f"pub.{QUESTION}"])
            while not self._stop.is_set():
                for message in consumer.consume(500, 0.2):
                    data = self._bus.data(message)
                    number, name = data["question_number"], data["question_number"].rpartition("-")[2]
                    if number not in answered and not number.startswith("LC-single"):
                        answered.add(number)
                        made = {"question_number": number, "case_number": data["case_number"], name: 5}
                        publishers[data["agency"]].publish(made, f"{data['agency']}.answered")
                for publisher in publishers.values():
                    publisher.flush()
        for publisher in publishers.values():
            publisher.close()
