"""Whether a control topic is known up to date: whoever does not know what was taken back meanwhile must wait.

Neighbours: ``test_control_topic`` has the changes; ``tests/torture/faults/agreements`` cuts a real router off.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from hutong.errors import BrokerUnavailable
from hutong.kafka import control
from hutong.kafka.control import ControlTopic
from hutong.kafka.settings import Settings

SETTINGS = Settings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1")


class Message:
    """A record, or the topic's end."""

    def __init__(self, offset: int, key: str | None) -> None:
        self._offset, self._key = offset, key

    def error(self) -> KafkaError | None:
        return KafkaError(KafkaError._PARTITION_EOF) if self._key is None else None

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return (self._key or "").encode()

    def value(self) -> bytes:
        return b"1"

    def timestamp(self) -> tuple[int, int]:
        return 1, 7


class Client:
    """A topic with one record. What comes later is not handed out while ``deaf``; no question is answered while ``away``."""

    def __init__(self) -> None:
        self.deaf, self.away = threading.Event(), threading.Event()
        self.end, self._given = 1, 0
        self._told_end = -1

    def assign(self, _: Any) -> None:
        return

    def poll(self, _: float) -> Message | None:
        if not self.deaf.is_set() and self._given < self.end:
            self._given += 1
            return Message(self._given - 1, f"k{self._given}")
        if self._told_end < self._given:
            self._told_end = self._given
            return Message(self._given, None)
        time.sleep(0.001)
        return None

    def consume(self, _: int, __: float) -> list[Message]:
        return []

    def get_watermark_offsets(self, _: Any, __: float) -> tuple[int, int]:
        if self.away.is_set():
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return 0, self.end

    def close(self) -> None:
        return


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()
    monkeypatch.setattr(control, "compacted_consumer", lambda *_, **__: made)
    monkeypatch.setattr(control, "_CURRENT_SECONDS", 0.1)
    monkeypatch.setattr(control, "_WAIT_SECONDS", 0.2)
    return made


@pytest.fixture
def topic(client: Client) -> Iterator[ControlTopic]:
    made = ControlTopic(SETTINGS, "ctl.t", lambda _: None, current=True)
    made.start()
    yield made
    made.close()


def test_who_hears_everything_need_not_wait(topic: ControlTopic) -> None:
    """Also where nothing has happened for a while."""
    for _ in range(5):
        topic.await_current()
        topic._stop.wait(0.1)


@pytest.mark.parametrize("what", ["deaf", "away"])
def test_who_cannot_hear_of_a_change_waits(topic: ControlTopic, client: Client, what: str) -> None:
    """There is a record that does not come, or nobody says whether there is one; when it has come, all goes on."""
    topic.await_current()
    cut_off: threading.Event = getattr(client, what)
    cut_off.set()
    client.end += 1
    topic._stop.wait(0.2)
    if what == "deaf":  # else the record has come, and only nobody says that it was the last
        assert topic._entries.keys() == {"k1"}
    with pytest.raises(BrokerUnavailable, match=r"ctl\.t cannot be read"):
        topic.await_current()
    cut_off.clear()
    topic.await_current()
    assert topic._entries.keys() == {"k1", "k2"}


def test_who_was_stopped_looks_first(topic: ControlTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a pause of the whole process nothing is known, until the topic was asked once more."""
    asked = threading.Event()
    original = Client.get_watermark_offsets

    def slow(self: Client, *arguments: Any) -> tuple[int, int]:
        asked.set()
        return original(self, *arguments)

    topic.await_current()
    topic._current -= 60  # as the clock has it after a minute's stop
    monkeypatch.setattr(Client, "get_watermark_offsets", slow)
    topic.await_current()
    assert asked.is_set()


def test_who_was_away_for_long_forgets_what_is_no_more_there(topic: ControlTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    """The topic does not keep word of what was taken away for ever: then only reading it anew tells."""
    told: list[dict[str, bytes]] = []
    topic._changed = told.append  # type: ignore[method-assign]
    monkeypatch.setattr(control, "read_all", lambda *_: {"k2": b"1"})
    topic.await_current()
    assert topic._entries.keys() == {"k1"}
    topic._looked -= 13 * 3600
    topic._current -= 60
    topic.await_current()
    assert topic._entries.keys() == {"k2"}
    assert told[-1] == {"k2": b"1"}


def test_a_change_that_is_not_in_force_is_not_current(client: Client) -> None:
    """Read is not enough."""
    fails = threading.Event()

    def changed(entries: dict[str, bytes]) -> None:
        if fails.is_set():
            raise BrokerUnavailable("not yet")

    topic = ControlTopic(SETTINGS, "ctl.t", changed, current=True)
    topic.start()
    try:
        topic.await_current()
        fails.set()
        client.end += 1
        topic._stop.wait(0.3)
        with pytest.raises(BrokerUnavailable):
            topic.await_current()
    finally:
        topic.close()
