"""Consume, transform, produce: one Kafka transaction per batch, source offsets included. What is here keeps "exactly once".

A batch is handed to a function that produces what becomes of it; then offsets and output commit together. Whatever fails, the
transaction is aborted and the batch is read again. Neighbours: ``services/router`` passes its handler; ``runtime.loop`` calls
``step``.

librdkafka does not speak transactions version 2 (KIP-890), so an EndTxn that is delayed past its time-out may decide the *next*
transaction of the same producer epoch (KAFKA-17754). Therefore a producer whose last outcome is not known is thrown away:
``init_transactions`` of the next one raises the epoch and fences whatever is still on its way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from hutong.errors import (
    BrokerUnavailable,
    BusError,
    ConfigurationError,
    EventTooLarge,
    Fenced,
    HutongError,
    NoSuchDestination,
    NotAuthorised,
)
from hutong.kafka.errors import kafka_error, translate
from hutong.kafka.settings import Settings
from hutong.transport import Record

__all__ = ["Produce", "TransactionalStep"]

_LOG = logging.getLogger("hutong")

Produce = Callable[[str, bytes | None, bytes | None, Sequence[tuple[str, bytes]]], None]
"""(topic, key, value, headers) -> queued in the open transaction; raises ``EventTooLarge``."""

Handle = Callable[[Sequence[Record], Produce], None]

_POLL_SECONDS = 0.1
_METADATA_MAGIC = b"CGMDv2:"  # then the generation, 32-bit little-endian (librdkafka, rd_kafka_consumer_group_metadata_write)
_INIT_SECONDS = 30.0
_FENCED_FOR_GOOD, _FENCED_SECONDS = 4, 60.0  # so many times within so long are no coincidence
_CLOSED_SECONDS = 30.0


class TransactionalStep:
    """The exactly-once step of one instance.

    Args:
        settings: the bus, as the operator's principal.
        group: consumer group; all instances share the partitions.
        instance: name of this instance, unique in the group and the same after a restart: it fences its own predecessor.
        topics: topic names, or patterns that begin with ``^``.
        handle: makes the output of a batch.
        batch_events: most events of one transaction.
        transaction_seconds: after this long the brokers abort a transaction whose router has died, and readers go on.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        group: str,
        instance: str,
        topics: list[str],
        handle: Handle,
        batch_events: int,
        transaction_seconds: float,
    ) -> None:
        self._settings, self._group, self._instance, self._handle = settings, group, instance, handle
        self._batch_events, self._transaction_seconds = batch_events, transaction_seconds
        self._producer: Producer | None = None
        self._undelivered: HutongError | None = None
        self._revoked = False
        self._unsettled: list[Message] = []
        self._fenced: list[float] = []
        self._closed_topics: dict[str, float] = {}
        self.assigned: set[tuple[str, int]] = set()
        self.rebalances = 0
        self._consumer = Consumer(settings.client() | self._consumer_config(), logger=_LOG)
        self._consumer.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke)

    def _consumer_config(self) -> dict[str, Any]:
        return {
            "group.id": self._group,
            "client.id": self._instance,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # a topic that is new to the group loses nothing
            "partition.assignment.strategy": "roundrobin",
            "session.timeout.ms": 10_000,  # a killed instance's partitions move after this
            "heartbeat.interval.ms": 1_000,
            "topic.metadata.refresh.interval.ms": 2_000,  # a newly applied contract is routed within this
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 50,
            "fetch.queue.backoff.ms": 50,
            "queued.max.messages.kbytes": 16_384,
            "queued.min.messages": 20_000,
            "check.crcs": True,
        }

    def _producer_config(self) -> dict[str, Any]:
        return {
            "transactional.id": f"{self._group}.{self._instance}",
            "client.id": self._instance,
            "transaction.timeout.ms": int(self._transaction_seconds * 1000),
            "message.timeout.ms": int(self._transaction_seconds * 1000),
            # Every transaction waits for the last one's markers by retrying; the default of 100 ms would be its length.
            "retry.backoff.ms": 1,
            "retry.backoff.max.ms": 10,
            "linger.ms": 5,
            "batch.size": 1_000_000,
            "batch.num.messages": 20_000,
            "compression.type": "lz4",
            "message.max.bytes": 2_000_000,  # a delivery may be larger than its event, and quarantine adds headers
            "queue.buffering.max.messages": 500_000,
            "queue.buffering.max.kbytes": 131_072,
            "delivery.report.only.error": True,
            "on_delivery": self._on_delivery,
            "partitioner": "murmur2_random",
        }

    def step(self) -> bool:
        """One batch. Returns whether there was anything to do.

        Raises:
            BusError: retriable ones leave everything as before the step; try again.
            Fenced: another instance with the same name is at work.
        """
        if self._producer is None:
            self._producer = self._new_producer()
        if self._unsettled:
            # Initialising the producer has settled the last transaction; only the group's offsets know which way.
            self._back_to_committed(self._unsettled)
            self._unsettled = []
        batch = self._read()
        if not batch:
            return False
        metadata = self._consumer.consumer_group_metadata()
        if not _is_member(metadata):
            self._unsettled = batch
            return False
        self._transact(batch, metadata)
        return True

    def close(self) -> None:
        """Leave the group, so that the others take over at once."""
        self._consumer.close()
        self._producer = None

    def _read(self) -> list[Message]:
        """The next events, all of partitions that are ours when this returns."""
        first = self._consumer.poll(_POLL_SECONDS)
        if first is None:
            return []
        # Callbacks of `poll` come before the message that it returns. Those of `consume` come somewhere among its messages:
        # what was collected may be somebody else's by now, and what came after it must not be skipped. Read all of it again.
        self._revoked = False
        batch = [first, *self._consumer.consume(self._batch_events - 1, 0)]
        events = [message for message in batch if message.error() is None]
        errors = [error for message in batch if (error := message.error()) is not None]
        if self._revoked or errors:
            self._unsettled = events
            for error in errors:
                self._read_error(error)
            self._back_to_committed(events)
            self._unsettled = []
            return []
        return events

    def _read_error(self, error: KafkaError) -> None:
        passing = (KafkaError._MAX_POLL_EXCEEDED, KafkaError._PARTITION_EOF, KafkaError.UNKNOWN_TOPIC_OR_PART)
        if error.code() in passing or error.retriable():
            return
        raise self._explain(error, "read")

    def _transact(self, batch: list[Message], metadata: Any) -> None:
        producer = self._producer
        if producer is None:
            raise BusError("the router has no producer")
        self._undelivered = None
        try:
            producer.begin_transaction()
            self._handle(cast(Sequence[Record], batch), self._produce)
            producer.send_offsets_to_transaction(_positions(batch), metadata)
            producer.commit_transaction(-1)
        except KafkaException as error:
            undelivered = self._undelivered  # read before the abort, which reports what it gives up as undelivered too
            self._give_up(producer, batch, kafka_error(error))
            problem = self._failed(error)
            raise (undelivered if undelivered and problem.retriable else problem) from error
        except BaseException:
            self._give_up(producer, batch, None)
            raise

    def _give_up(self, producer: Producer, batch: list[Message], error: KafkaError | None) -> None:
        """Abort where that is certain to work, and read the batch again.

        Else nobody knows how the transaction ends: throw the producer away, and with it what is still on its way, and ask the
        group's offsets once its successor has settled it.
        """
        if error is None or error.txn_requires_abort():
            try:
                producer.abort_transaction(-1)
                self._rewind(batch)
            except KafkaException:
                _LOG.warning("an abort failed; starting a new producer")
            else:
                return
        self._producer = None
        self._unsettled = batch

    def _failed(self, error: KafkaException) -> HutongError:
        """A failed transaction is tried again: the batch is rewound and nothing of it is visible."""
        problem = self._explain(error, "commit a transaction")
        if isinstance(problem, Fenced):
            # Coordinator time-outs can surface as fencing; a new producer is right then. Two instances of one name fence each
            # other for ever: that must end.
            now = time.monotonic()
            self._fenced = [*(moment for moment in self._fenced if now - moment < _FENCED_SECONDS), now]
            if len(self._fenced) >= _FENCED_FOR_GOOD:
                return Fenced(f"another router runs under the name {self._instance}; give each its own --instance")
        return BrokerUnavailable(f"the transaction was given up and is read again: {problem}")

    def _produce(self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        producer = self._producer
        if producer is None:
            raise BusError("the router has no producer")
        if self._closed_topics and time.monotonic() < self._closed_topics.get(topic, 0.0):
            raise NoSuchDestination(f"cannot write to {topic}: it is not there, or may not be written; run 'hutong apply'")
        while True:
            try:
                producer.produce(topic, value, key, headers=headers)  # type: ignore[arg-type]
            except BufferError:
                producer.poll(0.05)
            except KafkaException as error:
                problem = self._explain(error, f"write to {topic}")
                if isinstance(problem, EventTooLarge):
                    raise problem from None
                raise
            else:
                return

    def _new_producer(self) -> Producer:
        producer = Producer(self._settings.client() | self._producer_config(), logger=_LOG)
        try:
            producer.init_transactions(_INIT_SECONDS)
        except KafkaException as error:
            raise self._explain(error, "begin transactions") from error
        return producer

    def _rewind(self, batch: list[Message]) -> None:
        """Read the batch again: an abort does not move the consumer back by itself."""
        first: dict[tuple[str, int], int] = {}
        for message in batch:
            place = (str(message.topic()), int(message.partition() or 0))
            first[place] = min(first.get(place, 2**63), int(message.offset() or 0))
        for (topic, partition), offset in first.items():
            if (topic, partition) in self.assigned:
                self._consumer.seek(TopicPartition(topic, partition, offset))

    def _back_to_committed(self, batch: list[Message]) -> None:
        """Go on where the group stands, on the partitions of these events that are still ours."""
        places = {(str(message.topic()), int(message.partition() or 0)) for message in batch} & self.assigned
        if not places:
            return
        try:
            for position in self._consumer.committed([TopicPartition(*place) for place in places], _INIT_SECONDS):
                if position.error is not None:
                    raise BrokerUnavailable(f"cannot read where the group stands on {position.topic}; trying again")
                offset = position.offset if position.offset >= 0 else OFFSET_BEGINNING
                self._consumer.seek(TopicPartition(position.topic, position.partition, offset))
        except KafkaException as error:
            raise self._explain(error, "read") from error

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            return
        problem = self._explain(error, f"write to {message.topic()}")
        if isinstance(problem, NotAuthorised | ConfigurationError):
            # Trying again alone would stop all other destinations too; for a while, deliveries to this one go to quarantine.
            self._closed_topics[str(message.topic())] = time.monotonic() + _CLOSED_SECONDS
        if self._undelivered is None:
            self._undelivered = problem if problem.retriable else BrokerUnavailable(str(problem))

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances += 1
        self.assigned = {(p.topic, p.partition) for p in partitions}
        _LOG.info("partitions assigned", extra={"facts": {"partitions": len(partitions)}})

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        places = {(p.topic, p.partition) for p in partitions}
        self._revoked = True
        self.assigned -= places

    def _explain(self, error: KafkaError | KafkaException, doing: str) -> HutongError:
        return translate(error, doing, principal=self._settings.username, servers=self._settings.bootstrap_servers)


def _positions(batch: list[Message]) -> list[TopicPartition]:
    """Where to go on after the batch: behind the last event of every partition."""
    last: dict[tuple[str, int], int] = {}
    for message in batch:
        last[message.topic(), message.partition()] = message.offset()  # type: ignore[index, assignment]
    return [TopicPartition(topic, partition, offset + 1) for (topic, partition), offset in last.items()]


def _is_member(metadata: Any) -> bool:
    """Whether offsets sent with this metadata will be fenced: brokers accept those of an unknown generation (-1) from anybody."""
    blob = bytes(metadata)
    if not blob.startswith(_METADATA_MAGIC):
        raise ConfigurationError(
            "this version of librdkafka writes group metadata in another form; use the version that is pinned"
        )
    generation = int.from_bytes(blob[len(_METADATA_MAGIC) : len(_METADATA_MAGIC) + 4], "little", signed=True)
    return generation >= 0
