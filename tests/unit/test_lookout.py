"""What an onlooker makes of brokers that do not answer, with a client that says what its test tells it."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from hutong.errors import BrokerUnavailable
from hutong.kafka import lookout
from hutong.kafka.lookout import Lookout
from hutong.kafka.settings import Settings

SETTINGS = Settings(bootstrap_servers="nowhere:1", registry_url="http://nowhere")
HERE, THERE = ("pub.x.y", 0), ("pub.x.y", 1)


class Client:
    """Answers each partition with an offset, or with the code of an error."""

    answers: dict[tuple[str, int], int | None]

    def __init__(self, *_: Any, **__: Any) -> None:
        return

    def list_offsets(self, asked: Iterable[TopicPartition], **_: Any) -> dict[TopicPartition, Future[Any]]:
        return {place: self._answer(self.answers[place.topic, place.partition]) for place in asked}

    @staticmethod
    def _answer(said: int | None) -> Future[Any]:
        future: Future[Any] = Future()
        if said is None or said < 0:
            future.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT if said is None else said)))
        else:
            future.set_result(SimpleNamespace(offset=said, timestamp=0))
        return future


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({HERE: 5, THERE: 7}, {HERE: 5, THERE: 7}),
        ({HERE: None, THERE: 7}, {THERE: 7}),
        ({HERE: int(KafkaError._UNKNOWN_TOPIC), THERE: int(KafkaError._UNKNOWN_TOPIC)}, {}),
        ({HERE: None, THERE: None}, None),
        ({HERE: None, THERE: int(KafkaError._TRANSPORT)}, None),
    ],
    ids=["all", "one broker away", "the topic is gone", "nobody", "nobody, for two reasons"],
)
def test_a_broker_that_is_away_is_not_all_of_them(
    monkeypatch: pytest.MonkeyPatch, answers: dict[tuple[str, int], int | None], found: dict[tuple[str, int], int] | None
) -> None:
    """What others answer stands; where nobody answers that is said at once, and no further question is waited for."""
    monkeypatch.setattr(lookout, "AdminClient", Client)
    monkeypatch.setattr(Client, "answers", answers, raising=False)
    asking = Lookout(SETTINGS)
    if found is None:
        with pytest.raises(BrokerUnavailable):
            asking.ends([HERE, THERE])
    else:
        assert asking.ends([HERE, THERE]) == found
