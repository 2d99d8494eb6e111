"""What is logged of brokers that are away: by a real client with nobody to talk to, and by made-up lines."""

from __future__ import annotations

import logging
import time

import pytest
from confluent_kafka import Consumer

from hutong.kafka import noise
from hutong.kafka.noise import Once
from hutong.kafka.settings import Settings

LOG = logging.getLogger("hutong")


def test_a_broker_that_is_away_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """The client tries many times in a second, and says so each time."""
    settings = Settings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1")
    heard: list[logging.LogRecord] = []

    class Hearing(Once):
        def filter(self, record: logging.LogRecord) -> bool:
            heard.append(record)
            return True

    hearing = Hearing()
    LOG.filters.insert(0, hearing)
    try:
        with Consumer(settings.client() | {"group.id": "t"}, logger=LOG) as consumer:
            deadline = time.monotonic() + 20
            while len(heard) < 5 and time.monotonic() < deadline:
                consumer.poll(0.1)
    finally:
        LOG.removeFilter(hearing)
    assert len(heard) >= 5
    assert len([one for one in caplog.records if "in state CONNECT" in one.getMessage()]) == 1


def test_everything_else_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other lines, other clients, and the same again after a while."""
    now = [100.0]
    monkeypatch.setattr("hutong.kafka.noise.time.monotonic", lambda: now[0])
    monkeypatch.setattr(noise, "_MOST", 2)
    once = Once()

    def lets(*words: object, form: str = "%s [%s] %s") -> bool:
        return once.filter(logging.LogRecord("hutong", logging.ERROR, "f", 1, form, words, None))

    away = "x:1/bootstrap: Connect to ipv4#x:1 failed: Connection refused (after 0ms in state CONNECT)"
    assert [lets("FAIL", "a", away) for _ in range(3)] == [True, False, False]
    assert lets("FAIL", "b", away)
    assert all(lets("FAIL", "a", "Disconnected (after 5ms in state UP)") for _ in range(3))
    assert all(lets("one", "two", form="%s %s") for _ in range(3))
    now[0] += 30
    assert [lets("FAIL", "a", away) for _ in range(2)] == [True, False]
    assert lets("FAIL", "c", away)
