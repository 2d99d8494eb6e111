"""The writing end without a broker: a queue that stays full, and a topic that cannot be, are told and do not hang."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from hutong.agreements.plan import Plan
from hutong.kafka import outlet
from hutong.kafka.errors import kafka_error
from hutong.kafka.fast import plugin
from hutong.kafka.outlet import Outlet
from hutong.kafka.settings import Settings
from hutong.transcode.native.transcoder import extension
from tests.fuzz.agreements import SECRET
from tests.unit.test_native_lane import EVENT, Bench, message, planned, record

needs_extension = pytest.mark.skipif(extension is None, reason="the extension hutong_native is not built")

NOBODY = "127.0.0.1:1"


def test_a_queue_that_stays_full_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The router gives the transaction up and begins anew; it does not wait for ever."""

    class Full(Producer):
        def init_transactions(self, *_: Any) -> None:
            return None

    monkeypatch.setattr(outlet, "Producer", Full)
    monkeypatch.setattr(outlet, "_STALLED_SECONDS", 0.2)
    monkeypatch.setattr(outlet, "_config", lambda *_: {"queue.buffering.max.messages": 1, "log_level": 0})
    settings = Settings(bootstrap_servers=NOBODY, registry_url="http://127.0.0.1:1")
    writing = Outlet(settings, transactional_id="t", instance="a", transaction_seconds=10, closed={})
    writing.produce("sub.t", b"k", b"v", [])
    began = time.monotonic()
    with pytest.raises(KafkaException) as failed:
        writing.produce("sub.t", b"k", b"v", [])
    assert (error := kafka_error(failed.value)) is not None
    assert error.code() == KafkaError._QUEUE_FULL
    assert 0.2 <= time.monotonic() - began < 5
    writing.producer.purge()


def test_offsets_that_are_never_sent_are_a_failure_of_which_nobody_knows_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """librdkafka may wait there without end; whoever waits for it gives up, and makes another producer."""
    waits, goes_on = threading.Event(), threading.Event()

    class Waiting(Producer):
        def init_transactions(self, *_: Any) -> None:
            return None

        def send_offsets_to_transaction(self, *_: Any) -> None:
            waits.set()
            goes_on.wait(30)

        def commit_transaction(self, *_: Any) -> None:
            raise AssertionError("not after that")

    monkeypatch.setattr(outlet, "Producer", Waiting)
    monkeypatch.setattr(outlet, "_config", lambda *_: {"log_level": 0})
    settings = Settings(bootstrap_servers=NOBODY, registry_url="http://127.0.0.1:1")
    writing = Outlet(settings, transactional_id="t", instance="a", transaction_seconds=0.2, closed={})
    with pytest.raises(KafkaException) as failed:
        writing.commit({("pub.t", 0): 1}, None)
    assert waits.is_set()
    assert (error := kafka_error(failed.value)) is not None
    assert error.code() == KafkaError._TIMED_OUT
    assert not error.txn_requires_abort()
    goes_on.set()


@pytest.mark.parametrize(
    ("kind", "text", "shaken"),
    [
        ("FAIL", "TxnCoordinator: 10.0.0.1:9092: Disconnected: connection closed by peer (after 90ms in state UP)", True),
        ("FAIL", "10.0.0.1:9092/1: Disconnected: connection reset by peer (after 2ms in state UP)", True),
        ("FAIL", "10.0.0.1:9092/1: Disconnected (after 3ms in state AUTH_REQ)", True),
        ("FAIL", "something that nobody knows", True),
        ("REQTMOUT", "TxnCoordinator/1: Timed out EndTxnRequest in flight (after 5005ms, timeout #0)", True),
        ("FAIL", "10.0.0.1:9092/1: Connect to ipv4#10.0.0.1:9092 failed: refused (after 0ms in state CONNECT)", False),
        ("FAIL", "kafka:9092/bootstrap: Failed to resolve 'kafka:9092' (after 9ms in state TRY_CONNECT)", False),
        ("GETPID", "Failed to acquire transactional PID from broker TxnCoordinator/1: Not coordinator: retrying", False),
    ],
)
def test_a_connection_that_broke_is_remembered(monkeypatch: pytest.MonkeyPatch, kind: str, text: str, shaken: bool) -> None:
    """What may have been on its way counts, whatever the words; a broker that is not there does not."""

    class Silent:
        def __init__(self, _: dict[str, Any], logger: Any) -> None:
            self._logger = logger
            self.waiting: list[tuple[str, str]] = []

        def init_transactions(self, *_: Any) -> None:
            return None

        def poll(self, _: float) -> None:
            while self.waiting:
                one, words = self.waiting.pop()
                self._logger.log(logging.INFO, "%s [%s] %s", one, "a#producer-1", f"[thrd:main]: {words}")

    monkeypatch.setattr(outlet, "Producer", Silent)
    monkeypatch.setattr(outlet, "sender_of", lambda _: None)
    monkeypatch.setattr(outlet, "follow", lambda *_: None)
    settings = Settings(bootstrap_servers=NOBODY, registry_url="http://127.0.0.1:1")
    writing: Any = Outlet(settings, transactional_id="t", instance="a", transaction_seconds=10, closed={})
    assert not writing.shaken
    writing.producer.waiting = [(kind, text)]
    assert writing.shaken is shaken
    assert writing.shaken is shaken


def sent(plan: Plan, events: int) -> tuple[int, str, Any]:
    """What the extension says of events for a producer whose queue holds one, and that nobody empties."""
    assert extension is not None
    bench = Bench([plan])
    config = {"bootstrap.servers": NOBODY, "queue.buffering.max.messages": 1, "log_level": 0} | plugin()
    producer = Producer(config, logger=logging.getLogger("hutong"))
    sender = extension.Sender(producer, 0.2)
    batch = extension.Batch([message(record(number)) for number in range(events)])
    at, why, fact = bench.lane.run(batch, 0, events, sender, 20, {}, {})
    producer.purge()
    return at, why, fact


@needs_extension
@pytest.mark.parametrize("events", [1, 2])
def test_the_extension_gives_a_full_queue_up_too(monkeypatch: pytest.MonkeyPatch, events: int) -> None:
    """One event fits; the second is refused with librdkafka's own reason."""
    expected = (1, "end", None) if events == 1 else (1, "failed", KafkaError._QUEUE_FULL)
    assert sent(planned("all", [{"field": "k"}], []), events) == expected


@needs_extension
def test_a_topic_that_cannot_be_is_not_a_record_that_is_too_large() -> None:
    """Who reads the reason looks for it in the right place."""
    plan = planned("all", [{"field": "k"}], [])
    agreement = plan.grant.agreement.model_copy(update={"recipient": "r\0"})
    impossible = Plan(plan.grant.model_copy(update={"agreement": agreement}), EVENT, SECRET)
    assert sent(impossible, 1) == (0, "failed", KafkaError.TOPIC_EXCEPTION)
