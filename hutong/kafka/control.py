"""A compacted control topic as a map that keeps itself up to date.

A thread reads the topic from its beginning and tells of every change; the reader knows when it has seen all that was there.
Neighbours: the router follows ``ctl.agreements`` with it; ``compacted`` reads such a topic once, and writes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from hutong.errors import BrokerUnavailable, HutongError
from hutong.kafka.compacted import Entries, compacted_consumer, take
from hutong.kafka.errors import translate
from hutong.kafka.settings import Settings
from hutong.kafka.topics import AGREEMENTS_TOPIC

__all__ = ["AGREEMENTS_TOPIC", "ControlTopic"]

_LOG = logging.getLogger("hutong")
_POLL_SECONDS = 0.2
_START_SECONDS = 10.0


class ControlTopic:
    """Follows a compacted topic of one partition.

    Args:
        settings: the bus.
        topic: its name.
        changed: called with all entries: first when the topic has been read to its end, then in the following thread after
            every further change (records that arrive together are one change).

    Attributes:
        started: whether it is followed.
        trouble: why the last change is not in force.
        changed_ms: append time of the change that ``changed`` is told of, of its first record; None for what was there before.
    """

    def __init__(self, settings: Settings, topic: str, changed: Callable[[Entries], None]) -> None:
        self._settings, self._topic, self._changed = settings, topic, changed
        self._entries: Entries = {}
        self._stop = threading.Event()
        self._consumer: Consumer | None = None
        self._thread = threading.Thread(target=self._follow, name=f"follow {topic}", daemon=True)
        self.started = False
        self.trouble: str | None = None
        self.changed_ms: int | None = None

    def start(self) -> None:
        """Read what is there, call ``changed`` once, then follow in a thread.

        Raises:
            HutongError: the topic cannot be read now; call again where the error is retriable.
        """
        if self._consumer is None:
            self._consumer = compacted_consumer(self._settings, "hutong.control", wait_ms=500)
            self._consumer.assign([TopicPartition(self._topic, 0, 0)])
        deadline = time.monotonic() + _START_SECONDS
        while not self._poll(self._consumer):
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"cannot read {self._topic} to its end yet; check that the bus is up")
        self._changed(dict(self._entries))
        self._thread.start()
        self.started = True

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5.0)
        if self._consumer is not None:
            self._consumer.close()

    def check(self) -> None:
        """Raise unless the topic is followed: who acts on entries that may be out of date must rather wait.

        Raises:
            BrokerUnavailable: the last change could not be taken over, or nobody follows.
        """
        if self.trouble or not self._thread.is_alive():
            raise BrokerUnavailable(f"{self._topic} is not followed: {self.trouble or 'its thread has ended; start again'}")

    def _poll(self, consumer: Consumer) -> bool:
        """Take what has arrived; returns whether the topic's end was reached with it."""
        first = consumer.poll(_POLL_SECONDS)
        at_end, failed = False, None
        for message in [] if first is None else [first, *consumer.consume(10_000, 0)]:
            error: Any = message.error()
            if error is None:
                take(message, self._entries)
                if self.started and self.changed_ms is None:
                    self.changed_ms = int(message.timestamp()[1])
            elif error.code() == KafkaError._PARTITION_EOF:
                at_end = True
            elif not error.retriable():
                failed = self._explain(error)
        if failed:
            raise failed
        return at_end

    def _follow(self) -> None:
        known = dict(self._entries)
        while self._consumer is not None and not self._stop.is_set():
            try:
                self._poll(self._consumer)
                if self._entries != known or self.trouble:
                    self._changed(dict(self._entries))
                    known = dict(self._entries)
                self.trouble = self.changed_ms = None
            except Exception as error:  # noqa: BLE001 - a change that cannot be taken over must stop the line, not this thread
                self.trouble = str(error) if isinstance(error, HutongError) else type(error).__name__
                _LOG.error(
                    "a control topic's change is not in force", extra={"facts": {"topic": self._topic, "error": self.trouble}}
                )
                self._stop.wait(1.0)

    def _explain(self, error: Any) -> HutongError:
        return translate(
            error, f"read {self._topic}", principal=self._settings.username, servers=self._settings.bootstrap_servers
        )
