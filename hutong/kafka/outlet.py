"""The writing end of the exactly-once step: one transactional producer, and what it could not deliver.

Neighbours: ``transaction`` begins and ends the transactions, and throws an outlet away whose last outcome is not known, or under
which a connection broke.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from hutong.errors import BrokerUnavailable, ConfigurationError, EventTooLarge, HutongError, NoSuchDestination, NotAuthorised
from hutong.kafka.bounded import Bounded
from hutong.kafka.chunk import Chunk, Place
from hutong.kafka.errors import translate
from hutong.kafka.fast import plugin, sender_of
from hutong.kafka.noise import NO_CONNECTION
from hutong.kafka.passwords import follow
from hutong.kafka.settings import Settings
from hutong.transcode.choice import Lane

__all__ = ["Outlet"]

_LOG = logging.getLogger("hutong")

_INIT_SECONDS = 30.0
_CLOSED_SECONDS = 30.0
_HUNG_SECONDS = 1.0  # longer than a call was given: it will not come back
_LATE_SECONDS = 5.0  # longer than the brokers keep a transaction open: it is over by then, one way or the other
_BATCH_BYTES = 1_000_000
_LARGE = " large"  # behind a topic's name, where it is closed to what is larger than a batch; no name has a space
_STALLED_SECONDS = 60.0  # a queue that stays full for so long has no end of its own; the extension has the same
_BROKE = frozenset({"FAIL", "REQTMOUT"})  # what librdkafka's log calls a connection that ends, and a request without an answer


class Outlet:
    """The producer of one instance.

    Args:
        settings: the bus.
        transactional_id: fences every earlier producer of this id.
        instance: the instance's name.
        transaction_seconds: after this long the brokers abort an open transaction.
        closed: topic (with ``_LARGE`` behind it: for large records) -> when it may be tried again; outlives this outlet.

    Attributes:
        producer: the client.

    Raises:
        BusError: transactions cannot begin.
    """

    def __init__(
        self, settings: Settings, *, transactional_id: str, instance: str, transaction_seconds: float, closed: dict[str, float]
    ) -> None:
        self._settings, self._closed = settings, closed
        self._closed_before: frozenset[str] = frozenset()  # when the open transaction began
        self._undelivered: HutongError | None = None
        self._shaken = False
        config = _config(transactional_id, instance, transaction_seconds)
        callback = {"on_delivery": _weakly(self)}
        self.producer = Producer(settings.client() | config | plugin() | callback, logger=_Listener(self))
        self._sender = sender_of(self.producer)
        self._seconds = transaction_seconds
        self._bounded = Bounded(f"offsets of {instance}")
        follow(self, settings, lambda it: it.producer)
        try:
            self.producer.init_transactions(_INIT_SECONDS)
        except KafkaException as error:
            raise self.explain(error, "begin transactions") from error

    def begin(self) -> None:
        """Begin a transaction."""
        self.undelivered()
        self._closed_before = frozenset(self._closed_now())
        self.producer.begin_transaction()

    def commit(self, positions: Mapping[Place, int], metadata: Any) -> None:
        """Commit what was produced, and with it where the group goes on.

        Raises:
            KafkaException: it failed; or nobody knows, where its code is ``_TIMED_OUT``.
        """
        offsets, producer, seconds = [TopicPartition(*place, at) for place, at in positions.items()], self.producer, self._seconds
        try:
            # librdkafka 2.16 keeps no time here: where it forgets the broker whose coming up it waits for, as when the only one
            # is restarted, it waits for ever (rd_kafka_coord_req_fsm; seen with a router, at every third restart).
            call = partial(producer.send_offsets_to_transaction, offsets, metadata, seconds)
            self._bounded.do(call, seconds + _HUNG_SECONDS)
        except TimeoutError:
            _LOG.error("offsets were never sent; a producer is left behind", extra={"facts": {"seconds": seconds}})
            producer.purge(blocking=False)  # whoever waits in it keeps it, but what it holds is given up
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None
        producer.commit_transaction(seconds + _LATE_SECONDS)

    def abort(self) -> None:
        """Give up what was produced.

        Raises:
            KafkaException: that failed.
        """
        self.producer.abort_transaction(self._seconds + _LATE_SECONDS)

    @property
    def shaken(self) -> bool:
        """Whether since it began a connection broke, or a request had no answer: it may still come, long after it was sent again.

        librdkafka sends what belongs to a transaction again by itself, any number of times. No error and no statistic tells of it
        in time; a line of its log does, and that is written before the request is sent again.
        """
        self.producer.poll(0)
        return self._shaken

    def told(self, kind: str, text: str) -> None:
        """The client's log tells of something."""
        # A broker that is not there is tried all the time, and that must not cost a producer each time. Everything else counts:
        # the same words again within 30 s are not written again, so none may be passed over.
        if kind in _BROKE and not NO_CONNECTION.search(text):
            self._shaken = True

    @property
    def is_fast(self) -> bool:
        """Whether ``run`` may be called: there is the extension, and no destination that must not be tried."""
        return self._sender is not None and not self._closed_now()

    def run(
        self,
        lane: Lane,
        chunk: Chunk,
        at: int,
        end: int,
        now_ms: int,
        delivered: dict[str, int],
        routed: dict[str, int],
        traced: list[Any] | None = None,
    ) -> tuple[int, str, Any]:
        """Route events from ``at`` on, and queue all that becomes of them, until one is not plain.

        Args:
            lane: the table's.
            chunk: the events.
            at: the first.
            end: where to stop at the latest.
            now_ms: the router's clock.
            delivered: agreement -> deliveries; counts on.
            routed: topic -> events; counts on.
            traced: takes each sampled event's number, its span, and its deliveries' (agreement, topic, span); None traces none.

        Returns:
            Which event it stopped at, why ("end", "left", "rest", "too_large"), and for the last what was refused.

        Raises:
            KafkaException: the transaction is lost.
        """
        stopped, why, fact = lane.run(chunk.native, at, end, self._sender, now_ms, delivered, routed, traced)
        if why == "failed":
            raise KafkaException(KafkaError(fact))
        return stopped, why, fact

    def undelivered(self) -> HutongError | None:
        """The first reason why something of the open transaction was not delivered, once."""
        for topic, code in self._sender.failures() if self._sender is not None else ():
            self.not_delivered(KafkaError(code), topic)
        found, self._undelivered = self._undelivered, None
        return found

    def produce(self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        """Queue a record in the open transaction.

        Raises:
            EventTooLarge: the brokers will not take it.
            NoSuchDestination: its topic has refused others a moment ago.
            KafkaException: the transaction is lost.
        """
        if self._closed and topic in self._closed_now():
            raise NoSuchDestination(f"cannot write to {topic}: it is not there, or may not be written; run 'hutong apply'")
        if self._closed and topic + _LARGE in self._closed and _size(key, value, headers) > _BATCH_BYTES:
            raise EventTooLarge(f"cannot write to {topic}: it has refused a record of more than {_BATCH_BYTES} bytes")
        full_since: float | None = None
        while True:
            try:
                self.producer.produce(topic, value, key, headers=headers)  # type: ignore[arg-type]
            except BufferError:
                full_since = full_since or time.monotonic()
                if time.monotonic() - full_since > _STALLED_SECONDS:
                    raise KafkaException(KafkaError(KafkaError._QUEUE_FULL)) from None
                self.producer.poll(0.01)
            except KafkaException as error:
                problem = self.explain(error, f"write to {topic}")
                if isinstance(problem, EventTooLarge):
                    raise problem from None
                raise
            else:
                return

    def _closed_now(self) -> dict[str, float]:
        if self._closed:
            now = time.monotonic()
            for topic in [topic for topic, until in self._closed.items() if until <= now]:
                del self._closed[topic]
        return self._closed

    def not_delivered(self, error: KafkaError, topic: str) -> None:
        """A record of this topic was given up."""
        problem = self.explain(error, f"write to {topic}")
        if isinstance(problem, NotAuthorised | ConfigurationError):
            # Trying again alone would stop all other destinations too; for a while, deliveries to this one go to quarantine.
            self._closed[topic] = time.monotonic() + _CLOSED_SECONDS
        elif isinstance(problem, EventTooLarge):
            # The topic takes less than the producer does. What is larger than a batch was alone in it; the next of that size goes
            # to quarantine. Where even a batch is too much, nobody knows which record was meant, and the topic is closed.
            again = topic + _LARGE in self._closed_before
            self._closed[topic if again else topic + _LARGE] = time.monotonic() + _CLOSED_SECONDS
        if self._undelivered is None:
            self._undelivered = problem if problem.retriable else BrokerUnavailable(str(problem))

    def explain(self, error: KafkaError | KafkaException, doing: str) -> HutongError:
        """The error in Hutong's words."""
        return translate(error, doing, principal=self._settings.username, servers=self._settings.bootstrap_servers)


def _size(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> int:
    return len(key or b"") + len(value or b"") + sum(len(name) + len(held or b"") for name, held in headers)


def _weakly(outlet: Outlet) -> Callable[[KafkaError | None, Message], None]:
    """Delivery reports to the outlet; a producer that held it would live on when it is thrown away."""
    known = weakref.ref(outlet)

    def report(error: KafkaError | None, message: Message) -> None:
        if error is not None and (alive := known()) is not None:
            alive.not_delivered(error, str(message.topic()))

    return report


class _Listener:
    """The client's log, on its way to ours; the outlet hears all of it.

    It does not hold the outlet: see ``_weakly``.
    """

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = weakref.ref(outlet)

    def log(self, level: int, form: str, *words: Any) -> None:
        """As ``logging.Logger.log``: the words are the kind, the client's name, and the text."""
        outlet = self._outlet()
        if outlet is not None and len(words) > 1:
            outlet.told(str(words[0]), str(words[-1]))
        if level >= logging.WARNING:
            _LOG.log(level, form, *words)


def _config(transactional_id: str, instance: str, transaction_seconds: float) -> dict[str, Any]:
    return {
        "transactional.id": transactional_id,
        "client.id": instance,
        "log_level": 6,  # connections that the other side has closed are told of no louder than this
        "transaction.timeout.ms": int(transaction_seconds * 1000),
        "message.timeout.ms": int(transaction_seconds * 1000),
        "socket.timeout.ms": int(transaction_seconds * 1000),  # an answer that comes later is about a transaction that is over
        # A topic that is not there is held for one that is being made; for longer than a record may wait, it would time out as if
        # no broker answered, and hold up everything else. `hutong apply` makes topics before it sends agreements.
        "topic.metadata.propagation.max.ms": 1_000,
        # Every transaction waits for the last one's markers by retrying; the default of 100 ms would be its length.
        "retry.backoff.ms": 1,
        "retry.backoff.max.ms": 10,
        "linger.ms": 5,
        "batch.size": _BATCH_BYTES,
        "batch.num.messages": 20_000,
        "compression.type": "lz4",
        "message.max.bytes": 2_000_000,  # a delivery may be larger than its event, and quarantine adds headers
        # The queue takes the memory: 1.6 KB for a delivery of 260 bytes with its headers, 120 MB in all. With a thousand
        # destinations that is few for each, and many small writes; room for twice as many would cost twice the memory.
        "queue.buffering.max.messages": 75_000,
        "queue.buffering.max.kbytes": 131_072,
        "delivery.report.only.error": True,
        "partitioner": "murmur2_random",
    }
