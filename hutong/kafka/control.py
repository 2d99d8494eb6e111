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

__all__ = ["AGREEMENTS_TOPIC", "ControlTopic"]

AGREEMENTS_TOPIC = "ctl.agreements"

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
    """

    def __init__(self, settings: Settings, topic: str, changed: Callable[[Entries], None]) -> None:
        self._settings, self._topic, self._changed = settings, topic, changed
        self._entries: Entries = {}
        self._stop = threading.Event()
        self._consumer: Consumer | None = None
        self._thread = threading.Thread(target=self._follow, name=f"follow {topic}", daemon=True)
        self.started = False

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

    def _poll(self, consumer: Consumer) -> bool:
        """Take what has arrived; returns whether the topic's end was reached with it."""
        first = consumer.poll(_POLL_SECONDS)
        at_end = False
        for message in [] if first is None else [first, *consumer.consume(10_000, 0)]:
            error: Any = message.error()
            if error is None:
                take(message, self._entries)
            elif error.code() == KafkaError._PARTITION_EOF:
                at_end = True
            elif (problem := self._explain(error)).retriable or not error.retriable():
                raise problem
        return at_end

    def _follow(self) -> None:
        known = dict(self._entries)
        while self._consumer is not None and not self._stop.is_set():
            try:
                self._poll(self._consumer)
                if self._entries != known:
                    known = dict(self._entries)
                    self._changed(known)
            except HutongError as error:
                _LOG.error("the control topic cannot be followed", extra={"facts": {"topic": self._topic, "error": str(error)}})
                self._stop.wait(1.0)

    def _explain(self, error: Any) -> HutongError:
        return translate(
            error, f"read {self._topic}", principal=self._settings.username, servers=self._settings.bootstrap_servers
        )
