"""A compacted control topic as a map that keeps itself up to date.

A thread reads the topic from its beginning and tells of every change; the reader knows when it has seen all that was there.
Whoever must not act on what was taken back asks ``await_current``: a process that was stopped, or is cut off from this topic
alone, hears of nothing, and nothing tells it so.
Neighbours: the router follows ``ctl.agreements`` with it; ``compacted`` reads such a topic once, and writes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from hutong.errors import BrokerUnavailable, HutongError
from hutong.kafka.compacted import Entries, compacted_consumer, read_all, take
from hutong.kafka.errors import translate
from hutong.kafka.passwords import follow_in_turn
from hutong.kafka.settings import Settings
from hutong.kafka.topics import AGREEMENTS_TOPIC

__all__ = ["AGREEMENTS_TOPIC", "ControlTopic"]

_LOG = logging.getLogger("hutong")
_POLL_SECONDS = 0.2
_END_SECONDS = 0.5  # to be told where the topic ends; a broker that does not answer by then is asked again
_CURRENT_SECONDS = 0.8  # a revocation is in force in under a second; routing and commit take the rest
_WAIT_SECONDS = 1.0  # a busy machine may need so long to look again
_FORGOTTEN_SECONDS = 12 * 3600.0  # of the 24 hours for which the topic keeps word of what was taken away


class ControlTopic:
    """Follows a compacted topic of one partition.

    Args:
        settings: the bus.
        topic: its name.
        changed: called with all entries: first when the topic has been read to its end, then in the following thread after
            every further change (records that arrive together are one change).
        again: whether it should be called without a change; asked several times a second.
        current: whether the brokers are asked several times a second if that was all, for ``await_current``.

    Attributes:
        started: whether it is followed.
        trouble: why the last change is not in force.
        changed_ms: append time of the change that ``changed`` is told of, of its first record; None for what was there before.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        changed: Callable[[Entries], None],
        again: Callable[[], bool] = lambda: False,
        *,
        current: bool = False,
    ) -> None:
        self._settings, self._topic, self._changed, self._again = settings, topic, changed, again
        self._entries: Entries = {}
        self._keeps_current, self._current, self._read_to = current, -float("inf"), 0
        self._looked = time.time()
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._consumer: Consumer | None = None
        self._login = follow_in_turn(self, settings)
        self._thread = threading.Thread(target=self._follow, name=f"follow {topic}", daemon=True)
        self.started = False
        self.trouble: str | None = None
        self.changed_ms: int | None = None

    def start(self, *, seconds: float = 10.0) -> None:
        """Read what is there, call ``changed`` once, then follow in a thread.

        Args:
            seconds: how long to wait for its end; another call goes on where this one stopped.

        Raises:
            HutongError: the topic cannot be read now; call again where the error is retriable.
        """
        if self._consumer is None:
            # A broker answers a connection's requests one after another: the question for the end waits for the fetch before it.
            self._consumer = compacted_consumer(self._settings, wait_ms=100 if self._keeps_current else 500)
            self._consumer.assign([TopicPartition(self._topic, 0, 0)])
        deadline = time.monotonic() + seconds
        while not self._poll(self._consumer):
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"cannot read {self._topic} to its end yet; check that the bus is up")
        self._changed(dict(self._entries))
        self._look_at_end(self._consumer)
        self.started = True
        self._thread.start()

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

    def await_current(self) -> None:
        """Return when all that was on the topic less than a second ago is in force here; at once where that is known.

        Raises:
            BrokerUnavailable: it is not known, and was not after a moment's wait.
        """
        if self._is_current():
            return
        with self._news:
            if not self._news.wait_for(self._is_current, _WAIT_SECONDS):
                raise BrokerUnavailable(
                    f"{self._topic} cannot be read at the moment, and what was taken back there must not go on; "
                    "check that its brokers are up and can be reached"
                )

    def _is_current(self) -> bool:
        return time.monotonic() - self._current < _CURRENT_SECONDS

    def _look_at_end(self, consumer: Consumer) -> None:
        """Note the moment at which everything on the topic was in force here."""
        if not self._keeps_current:
            return
        asked = time.monotonic()
        try:
            _, end = consumer.get_watermark_offsets(TopicPartition(self._topic, 0), _END_SECONDS)
        except KafkaException:
            return
        if self._read_to >= end:
            # By the calendar's clock: the other stands still while a machine sleeps. Where it is wrong, all is read once more.
            if abs(time.time() - self._looked) > _FORGOTTEN_SECONDS:
                self._entries = read_all(self._settings, self._topic)
                self._changed(dict(self._entries))
            self._looked = time.time()
            with self._news:
                self._current = asked
                self._news.notify_all()

    def _poll(self, consumer: Consumer) -> bool:
        """Take what has arrived; returns whether the topic's end was reached with it."""
        self._login.refresh(consumer)
        first = consumer.poll(_POLL_SECONDS)
        at_end, failed = False, None
        for message in [] if first is None else [first, *consumer.consume(10_000, 0)]:
            error: Any = message.error()
            if self._keeps_current and (error is None or error.code() == KafkaError._PARTITION_EOF):
                self._read_to = (message.offset() or 0) + (error is None)
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
        while self._consumer is not None and not self._stop.is_set():
            try:
                self._poll(self._consumer)
                # An entry that is taken away and comes back within one poll is a change too: its key on disk may be another.
                if self.changed_ms is not None or self.trouble or self._again():
                    self._changed(dict(self._entries))
                self.trouble = self.changed_ms = None
                self._look_at_end(self._consumer)
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
