"""What the extension's inbox hands out first, against librdkafka's own mock of a broker."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from hutong.kafka.fast import inbox_of, plugin
from hutong.transcode.choice import is_native

pytestmark = pytest.mark.skipif(not is_native(), reason="the extension is not built")

FLOOD = "pub.flood.recorded"
OTHERS = [f"pub.ministry{number}.recorded" for number in range(20)]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A broker of librdkafka's own, in this process."""
    config: dict[str, Any] = {"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 0}
    client = AdminClient(config, logger=logging.getLogger("mock"))
    broker = next(iter(client.list_topics(timeout=10).brokers.values()))
    yield f"{broker.host}:{broker.port}"
    client.poll(0)  # the broker lives as long as its client


class Reading:
    """A consumer whose records wait in an inbox, and how many do."""

    def __init__(self, address: str, topics: list[str]) -> None:
        self._waiting: dict[str, int] = {}
        config = {"bootstrap.servers": address, "group.id": "g", "statistics.interval.ms": 20, "stats_cb": self._count}
        self.consumer = Consumer(config | plugin())
        self.inbox: Any = inbox_of(self.consumer)
        for topic in topics:
            self.inbox.lead(topic, 0)
        self.consumer.assign([TopicPartition(topic, 0, 0) for topic in topics])

    def await_waiting(self, count: int, topics: list[str]) -> None:
        """Until so many records have come ahead for each topic; those of a lane count together."""
        deadline = time.monotonic() + 30
        while not all(self._waiting.get(topic, 0) >= count for topic in topics):
            assert time.monotonic() < deadline, self._waiting
            self.consumer.poll(0.02)

    def fetch(self, most: int) -> list[tuple[str, int]]:
        """Topic and offset of what is next."""
        batch, errors, self.crowded = self.inbox.fetch(most, 5_000)
        assert not errors
        records = [batch.record(at) for at in range(len(batch))]
        found = [(record.topic(), record.offset()) for record in records]
        del records
        batch.close()
        return found

    def close(self) -> None:
        """Leave."""
        self.inbox.close()
        self.consumer.close()

    def _count(self, text: str) -> None:
        topics = json.loads(text)["topics"]
        self._waiting = {name: one["partitions"]["0"]["fetchq_cnt"] for name, one in topics.items() if "0" in one["partitions"]}


@pytest.fixture
def reading(address: str) -> Iterator[Reading]:
    made = Reading(address, [FLOOD, *OTHERS])
    yield made
    made.close()


def publish(address: str, count: int, *topics: str) -> None:
    producer = Producer({"bootstrap.servers": address, "linger.ms": 0})
    for topic in topics:
        for number in range(count):
            producer.produce(topic, str(number), partition=0)
    assert producer.flush(30) == 0


def test_a_flood_waits_for_itself_alone(address: str, reading: Reading) -> None:
    """What others publish while a department's events wait by the thousand is next, and nothing of it is lost or out of order."""
    publish(address, 5_000, FLOOD)
    reading.await_waiting(5_000, [FLOOD])
    publish(address, 3, *OTHERS)
    reading.await_waiting(3, OTHERS)

    found = reading.fetch(1_600)
    assert len(found) == 1_600
    there = {topic for topic, _ in found} - {FLOOD}
    assert len(there) >= 18  # of 16 lanes one is the flood's; who shares it comes later
    assert reading.crowded

    while len(found) < 5_000 + 3 * len(OTHERS):
        found += reading.fetch(700)
    assert not reading.crowded
    for topic, count in ((FLOOD, 5_000), *((other, 3) for other in OTHERS)):
        assert [offset for name, offset in found if name == topic] == list(range(count))


def test_a_department_alone_has_all_of_a_fetch(address: str, reading: Reading) -> None:
    """Shares that nobody takes are given on."""
    publish(address, 4_000, "pub.alone.recorded")
    alone = Reading(address, ["pub.alone.recorded"])
    try:
        alone.await_waiting(4_000, ["pub.alone.recorded"])
        assert [offset for _, offset in alone.fetch(3_999)] == list(range(3_999))
        assert not alone.crowded  # there is more, and nobody waits behind it
        assert alone.fetch(100) == [("pub.alone.recorded", 3_999)]
    finally:
        alone.close()


def test_a_wait_ends_with_the_first_arrival(address: str) -> None:
    """Also with one that comes after the wait began, in whichever lane."""
    for number in range(20):  # of the same topic's age: each of another department
        topic = f"pub.late{number}.recorded"
        publish(address, 1, topic)
        late = Reading(address, [topic])
        try:
            assert late.fetch(10) == [(topic, 0)]
            began = time.monotonic()
            batch, _, _ = late.inbox.fetch(10, 50)
            assert len(batch) == 0
            assert time.monotonic() - began >= 0.049
            batch.close()
        finally:
            late.close()
