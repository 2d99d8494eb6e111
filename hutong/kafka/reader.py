"""The receiving side on Kafka: a ``read_committed`` consumer that fixes where it starts and does not hang with the brokers.

But for one call: positions that are stored while partitions change hands go by librdkafka's waiting commit, without time-out.
Neighbours: ``clients`` makes it, ``subscription`` drives it, ``errors`` translates what goes wrong.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from hutong.errors import BrokerUnavailable, HutongError
from hutong.kafka.errors import kafka_error, tells, translate
from hutong.kafka.passwords import Grace, follow_in_turn
from hutong.kafka.settings import Settings
from hutong.transport import Positions, Start

__all__ = ["KafkaReader"]

_LOG = logging.getLogger("hutong")

_METADATA_SECONDS = 10.0
_COMMIT_SECONDS = 5.0
_CLOSE_SECONDS = 5.0


class KafkaReader:
    """A ``read_committed`` consumer in a group, whose first position is fixed and stored when it gets its partitions."""

    def __init__(
        self,
        settings: Settings,
        topic: str,
        group: str,
        start: Start,
        on_revoked: Callable[[Sequence[tuple[str, int]]], None],
    ) -> None:
        self._settings, self._topic, self._start, self._on_revoked = settings, topic, start, on_revoked
        self._assigned = self._lost = self._in_callback = False
        self._committing = 0
        self._failed_in_callback: HutongError | None = None
        self._waiting: list[Message] = []
        self._grace = Grace(settings)
        self._consumer = Consumer(
            settings.client()
            | {
                "group.id": group,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                # Positions are set on assignment; this only matters when retention has passed one: read on then.
                "auto.offset.reset": "earliest",
                # Of 45 s: so long a killed member's partitions are nobody's, and whoever is started in its place waits for them.
                "session.timeout.ms": 10_000,
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 32_768,
                "error_cb": self._on_error,
                "on_commit": self._on_commit,
            },
            logger=_LOG,
        )
        self._trouble: HutongError | None = None
        self._login = follow_in_turn(self, settings)
        self._consumer.subscribe([topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose)

    def join(self, seconds: float) -> None:
        """Take part in the group; afterwards the start position is fixed."""
        deadline = time.monotonic() + seconds
        while not self._assigned:
            self._waiting.extend(self._poll(0.1))
            if time.monotonic() > deadline:
                if self._trouble:
                    raise self._trouble
                raise BrokerUnavailable(
                    f"cannot read {self._topic}: no partitions after {seconds:g} s; check that the bus is up, "
                    f"and that the group has no more members than the topic has partitions"
                )

    def read(self, limit: int, seconds: float) -> Sequence[Message]:
        """The next records."""
        first = self._waiting or self._poll(seconds)
        self._waiting = []
        if not first:
            return first
        more = self._consumer.consume(max(0, limit - len(first)), 0) if limit > len(first) else []
        if any([message.error() for message in more]):  # noqa: C419 - a list is quicker than a generator, and nearly all are records
            more = [message for message in more if self._is_record(message)]
        return [*first, *more]

    def commit(self, positions: Positions, *, wait: bool) -> bool:
        """Store the group's positions; without ``wait``, only when the commit before it has come through.

        Raises:
            BrokerUnavailable: with ``wait``, when the brokers do not confirm it in time.
        """
        if self._lost:  # somebody else reads these partitions by now, and begins where our last stored position is
            _LOG.warning("positions on %s were not stored: the group has gone on without this member", self._topic)
            return True
        if self._committing and not wait:
            return False
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in positions.items()]
        try:
            if wait and self._in_callback:  # no polling in there
                self._consumer.commit(offsets=offsets, asynchronous=False)
                return True
            self._consumer.commit(offsets=offsets, asynchronous=True)
            self._committing += 1
        except KafkaException as error:
            self._commit_failed(error)
        if wait:
            self._await_commits()
        return True

    def _await_commits(self) -> None:
        # librdkafka's own waiting commit has no time-out: it would hang for as long as the brokers do.
        deadline = time.monotonic() + _COMMIT_SECONDS
        while self._committing:
            self._waiting.extend(self._poll(0.02))
            if time.monotonic() > deadline:
                raise self._trouble or BrokerUnavailable(
                    f"positions on {self._topic} were not stored: no broker at {self._settings.bootstrap_servers} answers"
                )

    def close(self) -> None:
        """Leave the group."""
        # librdkafka waits here for as long as the brokers hang; then the thread is left behind, and dies with the process.
        leaving = threading.Thread(target=self._consumer.close, name="hutong-leave-group", daemon=True)
        leaving.start()
        leaving.join(_CLOSE_SECONDS)
        if leaving.is_alive():
            _LOG.warning(
                "the group of %s could not be left in %g s; the brokers will notice by themselves", self._topic, _CLOSE_SECONDS
            )

    def _commit_failed(self, error: KafkaException) -> None:
        # The group has moved on without us: the partitions are somebody else's, who will process these events again.
        code = getattr(kafka_error(error), "code", lambda: None)()
        stale = (KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS, KafkaError._STATE)
        if code in stale or code == KafkaError._NO_OFFSET:
            _LOG.warning(
                "positions on %s were not stored because the group was rebalanced; some events may come again", self._topic
            )
            return
        raise self._explain(error) from error

    def _on_commit(self, error: KafkaError | None, _: list[TopicPartition]) -> None:
        self._committing = max(0, self._committing - 1)
        if error is not None:
            _LOG.warning("positions on %s were not stored (%s); some events may come again", self._topic, error.name())

    def _poll(self, seconds: float) -> list[Message]:
        self._login.refresh(self._consumer)
        message = self._consumer.poll(seconds)
        if self._failed_in_callback:
            failure, self._failed_in_callback = self._failed_in_callback, None
            raise failure
        if message is not None:
            return [message] if self._is_record(message) else []
        if self._trouble and not self._assigned:
            trouble, self._trouble = self._trouble, None
            raise trouble
        return []

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            self._trouble = None
            self._grace.worked()
            return True
        if error.code() == KafkaError._MAX_POLL_EXCEEDED:
            _LOG.warning(
                "processing an event of %s took so long that the group went on without this member; joining again", self._topic
            )
            return False
        problem = self._explain(error)
        if problem.retriable or error.retriable():  # the client goes on by itself when the brokers are back
            return False
        raise problem

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            consumer.assign(self._positions(consumer, partitions) if partitions else [])
            self._assigned, self._lost = True, False
            self._grace.worked()
        except KafkaException as error:
            self._failed_in_callback = self._explain(error)

    def _positions(self, consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Where to go on. A new group's start is stored at once: a crash before the first commit must not move it."""
        committed = consumer.committed(partitions, _METADATA_SECONDS)
        new = [TopicPartition(p.topic, p.partition) for p in committed if p.offset < 0]
        known = [p for p in committed if p.offset >= 0]
        if not new:
            return known
        everywhere = len(consumer.list_topics(self._topic, _METADATA_SECONDS).topics[self._topic].partitions)
        others = consumer.committed([TopicPartition(self._topic, i) for i in range(everywhere)], _METADATA_SECONDS)
        # A partition that was added after the group began holds only events that the group has not seen.
        start: Start = "beginning" if any(p.offset >= 0 for p in others) and len(new) < everywhere else self._start
        started = [self._started(consumer, p, start) for p in new]
        consumer.commit(offsets=started, asynchronous=False)
        return known + started

    def _started(self, consumer: Consumer, partition: TopicPartition, start: Start) -> TopicPartition:
        low, high = consumer.get_watermark_offsets(partition, _METADATA_SECONDS)
        if isinstance(start, datetime):
            asked = TopicPartition(partition.topic, partition.partition, int(start.timestamp() * 1000))
            offset = consumer.offsets_for_times([asked], _METADATA_SECONDS)[0].offset
            return TopicPartition(partition.topic, partition.partition, offset if offset >= 0 else high)
        return TopicPartition(partition.topic, partition.partition, low if start == "beginning" else high)

    def _revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._assigned = False
        gone = {(p.topic, p.partition) for p in partitions}
        self._waiting = [message for message in self._waiting if (message.topic(), message.partition()) not in gone]
        self._in_callback = True
        try:
            self._on_revoked(list(gone))
        except HutongError as error:
            self._failed_in_callback = error
        finally:
            self._in_callback = False

    def _lose(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._lost = True
        self._revoke(consumer, partitions)

    def _explain(self, error: KafkaError | KafkaException) -> HutongError:
        return translate(
            error, f"read {self._topic}", principal=self._settings.username, servers=self._settings.bootstrap_servers
        )

    def _on_error(self, error: KafkaError) -> None:
        if tells(error) and not self._grace.covers(error):
            problem = self._explain(error)
            if not (isinstance(problem, BrokerUnavailable) and self._trouble is not None):
                self._trouble = problem
