"""A record that a topic refuses although the producer would send it: it goes to quarantine, and the rest goes on."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError

from hutong.errors import EventTooLarge, NoSuchDestination
from hutong.kafka import outlet
from hutong.kafka.outlet import Outlet
from hutong.kafka.settings import Settings


class Silent:
    """A producer that sends nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.sent: list[str] = []

    def init_transactions(self, *_: Any) -> None: ...
    def begin_transaction(self) -> None: ...
    def produce(self, topic: str, *_: Any, **__: Any) -> None:
        self.sent.append(topic)


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(outlet, "Producer", Silent)
    monkeypatch.setattr(outlet, "sender_of", lambda _: None)
    monkeypatch.setattr(outlet, "follow", lambda *_: None)
    settings = Settings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1")
    made = Outlet(settings, transactional_id="t", instance="a", transaction_seconds=10, closed={})
    made.begin()
    return made


def refuse(writing: Any, topic: str) -> None:
    writing.not_delivered(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), topic)


def test_the_next_large_record_for_a_topic_that_refused_one_is_too_large(writing: Any) -> None:
    """The transaction is lost and comes again; then it is known, and neither others of that topic nor of others suffer."""
    writing.produce("sub.a", b"k", b"x" * 1_500_000, [])
    refuse(writing, "sub.a")
    refuse(writing, "sub.a")  # two of them in one transaction tell no more than one
    problem = writing.undelivered()
    assert problem is not None
    assert problem.retriable
    writing.begin()
    with pytest.raises(EventTooLarge):
        writing.produce("sub.a", b"k", b"x" * 1_500_000, [])
    with pytest.raises(EventTooLarge):
        writing.produce("sub.a", b"k", b"x" * 600_000, [("h", b"x" * 600_000)])
    writing.produce("sub.a", b"k", b"x", [])
    writing.produce("sub.b", b"k", b"x" * 1_500_000, [])
    assert writing.producer.sent == ["sub.a", "sub.a", "sub.b"]


def test_a_topic_that_refuses_a_batch_is_closed(writing: Any) -> None:
    """Nobody knows which record was meant; what goes there goes to quarantine for a while."""
    refuse(writing, "sub.a")
    writing.begin()
    refuse(writing, "sub.a")
    writing.begin()
    with pytest.raises(NoSuchDestination):
        writing.produce("sub.a", b"k", b"x", [])


def test_it_is_tried_again_after_a_while(writing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may have given the topic its limit back."""
    monkeypatch.setattr(outlet, "_CLOSED_SECONDS", -1.0)
    refuse(writing, "sub.a")
    writing.begin()
    writing.produce("sub.a", b"k", b"x" * 1_500_000, [])
    assert writing.producer.sent == ["sub.a"]
