"""Batches that cannot be unpacked, with a client that is not there: where they end, and what becomes of them."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from hutong.errors import BrokerUnavailable
from hutong.kafka import unreadable
from hutong.kafka.settings import Settings
from hutong.kafka.unreadable import UnreadableBatch, is_unreadable, unreadable_at
from hutong.recovery.remedies import remedy_of
from tests.unit.test_router_service import Output, router
from tests.unit.test_routing import CONTRACT

SETTINGS = Settings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1")
BAD, EOF, GONE = (
    KafkaError(code) for code in (KafkaError._BAD_COMPRESSION, KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET)
)
AWAY = KafkaError(KafkaError._TRANSPORT, "away", retriable=True)


class Message:
    def __init__(self, place: tuple[str, int], offset: int, error: KafkaError | None) -> None:
        self._place, self._offset, self._error = place, offset, error

    def topic(self) -> str:
        return self._place[0]

    def partition(self) -> int:
        return self._place[1]

    def offset(self) -> int:
        return self._offset

    def error(self) -> KafkaError | None:
        return self._error


class Topic:
    """What brokers hold of each partition: its unreadable batches as (first, last), and where it ends."""

    def __init__(self, **partitions: tuple[list[tuple[int, int]], int]) -> None:
        self.partitions = {("t", int(name[1:])): one for name, one in partitions.items()}
        self.asked = 0

    def consumer(self, *_: Any, **__: Any) -> Consumer:
        return Consumer(self)


class Consumer:
    """As librdkafka does: it stays before an unreadable batch, whose whole it gets whatever of it is asked for."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._coming: deque[Message | None] = deque()

    def __enter__(self) -> Consumer:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing."""

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._topic.asked += 1
        self._coming = deque([None, Message(("another", 0), 0, None)])
        for one in partitions:
            place = (one.topic, one.partition)
            batches, end = self._topic.partitions[place]
            inside = [first for first, last in batches if first <= one.offset <= last]
            error, offset = (BAD, inside[0]) if inside else (EOF if one.offset == end else GONE, one.offset)
            if not inside and one.offset < end:
                error = None  # type: ignore[assignment]
            self._coming += [Message(place, -1, AWAY), *[Message(place, offset, error)] * 2]

    def poll(self, _: float) -> Message | None:
        return self._coming.popleft() if self._coming else None

    def pause(self, _: list[TopicPartition]) -> None:
        """Nothing."""


@given(first=st.integers(0, 1000), size=st.integers(1, 5000), behind=st.integers(0, 3), another=st.booleans())
def test_the_end_of_a_batch_is_found(first: int, size: int, behind: int, another: bool) -> None:
    """Whatever its size, whether records follow, or nothing, or another such batch; in some tries."""
    last = first + size - 1
    batches = [(first, last), (last + 1, last + 2)] if another else [(first, last)]
    topic = Topic(_0=(batches, last + 1 + behind + 2 * another))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unreadable, "Consumer", topic.consumer)
        found = unreadable_at(SETTINGS, {("t", 0): first})
    assert found == [UnreadableBatch(place=("t", 0), first=first, last=last)]
    assert found[0].events == size
    assert topic.asked <= 2 * size.bit_length() + 3


def test_only_what_comes_next_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several partitions those that stand before such a batch; a record, the end, and a position that is gone are none."""
    topic = Topic(_0=([(5, 6)], 9), _1=([(5, 6)], 9), _2=([], 3), _3=([], 0))
    monkeypatch.setattr(unreadable, "Consumer", topic.consumer)
    assert unreadable_at(SETTINGS, {("t", 0): 5, ("t", 1): 4, ("t", 2): 3, ("t", 3): 7}) == [
        UnreadableBatch(place=("t", 0), first=5, last=6)
    ]
    assert unreadable_at(SETTINGS, {}) == []


def test_nobody_who_answers_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at again; nothing is passed by on a guess."""
    topic = Topic(_0=([(5, 6)], 9))
    monkeypatch.setattr(unreadable, "Consumer", topic.consumer)
    monkeypatch.setattr(unreadable, "_SECONDS", -1.0)
    with pytest.raises(BrokerUnavailable):
        unreadable_at(SETTINGS, {("t", 0): 5})


def test_other_errors_are_no_such_batch() -> None:
    """A damaged one, say, is not passed by: that is an operator's business."""
    assert is_unreadable(BAD)
    assert not any(is_unreadable(KafkaError(code)) for code in (KafkaError._BAD_MSG, KafkaError._PARTITION_EOF))
    assert not is_unreadable(None)


def test_what_is_known_of_it_goes_to_quarantine(tmp_path: Path) -> None:
    """One record with its place and no value, whatever it had; every event is counted."""
    made, _, _ = router(tmp_path)
    output = Output()
    made.begin()
    made.pass_by(UnreadableBatch(place=(f"pub.{CONTRACT}", 3), first=40, last=49), output)
    ((topic, value, headers),) = output.made
    assert (topic, value) == (f"quarantine.{CONTRACT}", None)
    noted = {name: text.decode() for name, text in headers}
    assert (noted["hutong_reason"], noted["hutong_source"]) == ("unreadable_batch", f"pub.{CONTRACT}/3/40")
    assert (noted["hutong_left_out"], noted["hutong_problem"].endswith("the last is at 49")) == ("10 events", True)
    assert made._tally.events[f"pub.{CONTRACT}"] == made._tally.quarantined[CONTRACT, "unreadable_batch"] == 10
    assert remedy_of("unreadable_batch").way == "publish"


def test_where_it_cannot_be_noted_it_is_not_passed_by(tmp_path: Path) -> None:
    """Nothing is dropped: the router waits for the quarantine's topic."""
    made, _, _ = router(tmp_path)
    made.begin()
    with pytest.raises(BrokerUnavailable):
        made.pass_by(UnreadableBatch(place=(f"pub.{CONTRACT}", 0), first=0, last=0), Output(closed=f"quarantine.{CONTRACT}"))
