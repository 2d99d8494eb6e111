"""A control topic that is followed, with a client that hands out what the test wants: every record is a change."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from confluent_kafka import KafkaError

from hutong.errors import BrokerUnavailable
from hutong.kafka import control
from hutong.kafka.control import ControlTopic
from hutong.kafka.settings import Settings

SETTINGS = Settings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1")
END: tuple[str, bytes | None] = ("", b"")


class Message:
    def __init__(self, entry: tuple[str, bytes | None]) -> None:
        self._entry = entry

    def error(self) -> KafkaError | None:
        return KafkaError(KafkaError._PARTITION_EOF) if self._entry is END else None

    def key(self) -> bytes:
        return self._entry[0].encode()

    def value(self) -> bytes | None:
        return self._entry[1]

    def timestamp(self) -> tuple[int, int]:
        return 1, 7


class Client:
    """Hands out lots of records, each lot in one poll."""

    def __init__(self) -> None:
        self.lots: SimpleQueue[list[Message]] = SimpleQueue()
        self.rest: list[Message] = []

    def arrive(self, *entries: tuple[str, bytes | None]) -> None:
        self.lots.put([Message(one) for one in entries])

    def assign(self, _: Any) -> None:
        return

    def poll(self, seconds: float) -> Message | None:
        try:
            first, *self.rest = self.lots.get(timeout=seconds)
        except Empty:
            return None
        return first

    def consume(self, _: int, __: float) -> list[Message]:
        return self.rest

    def close(self) -> None:
        return


class Follower:
    """A topic that is followed, and what it told."""

    def __init__(self) -> None:
        self.told: SimpleQueue[dict[str, bytes]] = SimpleQueue()
        self.client = Client()
        self.topic = ControlTopic(SETTINGS, "ctl.t", self.told.put)

    def next(self) -> dict[str, bytes]:
        return self.told.get(timeout=10)


@pytest.fixture
def follower(monkeypatch: pytest.MonkeyPatch) -> Iterator[Follower]:
    made = Follower()
    monkeypatch.setattr(control, "compacted_consumer", lambda *_, **__: made.client)
    yield made
    made.topic.close()


def test_what_is_there_is_told_once_and_every_change_after(follower: Follower) -> None:
    """All entries each time."""
    follower.client.arrive(("a", b"1"), ("b", b"2"), END)
    follower.topic.start()
    assert follower.next() == {"a": b"1", "b": b"2"}
    follower.client.arrive(("a", None))
    assert follower.next() == {"b": b"2"}
    follower.topic.check()


def test_an_entry_that_goes_and_comes_back_in_one_poll_is_a_change(follower: Follower) -> None:
    """The entries are as they were; what belongs to them, a key on the disk, may not be."""
    follower.client.arrive(("a", b"1"), END)
    follower.topic.start()
    follower.next()
    follower.client.arrive(("a", None), ("a", b"1"))
    assert follower.next() == {"a": b"1"}


def test_a_start_that_takes_too_long_goes_on_where_it_stopped(follower: Follower) -> None:
    """Whoever has other things to do calls again."""
    follower.client.arrive(("a", b"1"))
    with pytest.raises(BrokerUnavailable, match="to its end"):
        follower.topic.start(seconds=0)
    follower.client.arrive(("b", b"2"), END)
    follower.topic.start(seconds=10)
    assert follower.next() == {"a": b"1", "b": b"2"}


def test_nobody_who_follows_is_told_of() -> None:
    """A change that cannot be taken over, or a thread that is not there, makes whoever asks wait."""
    topic = ControlTopic(SETTINGS, "ctl.t", lambda _: None)
    with pytest.raises(BrokerUnavailable, match="its thread has ended"):
        topic.check()


def test_a_change_that_cannot_be_taken_over_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is not in force is told until then."""
    client, may, tried = Client(), threading.Event(), threading.Event()

    def changed(entries: dict[str, bytes]) -> None:
        if "bad" in entries and not may.is_set():
            tried.set()
            raise BrokerUnavailable("not yet")

    monkeypatch.setattr(control, "compacted_consumer", lambda *_, **__: client)
    topic = ControlTopic(SETTINGS, "ctl.t", changed)
    client.arrive(END)
    topic.start()
    client.arrive(("bad", b"1"))
    try:
        assert tried.wait(10)
        topic._stop.wait(0.1)  # until the error is written down
        with pytest.raises(BrokerUnavailable, match="not yet"):
            topic.check()
        may.set()
        for _ in range(100):
            if topic.trouble is None:
                break
            topic._stop.wait(0.1)
        topic.check()
    finally:
        topic.close()
