"""Stretches of topics, read from one point to another and no further: for commands that look at what lies there.

Nothing is committed and no group is joined. Where a stretch ends is fixed before it is read, so that a busy topic has an end too.
Neighbours: ``moments`` looks for one event; ``reader`` follows a topic in a group; ``changelog`` reads a compacted one whole.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # it exports them, without saying so

from hutong.errors import BrokerUnavailable, HutongError
from hutong.kafka.chunk import Place
from hutong.kafka.errors import translate
from hutong.kafka.settings import Settings
from hutong.kafka.topics import NO_GROUP
from hutong.kafka.unreadable import is_unreadable, unreadable_at

__all__ = ["Scan", "Stretches"]

_LOG = logging.getLogger("hutong")

_SECONDS = 30.0  # a broker that sends nothing for so long is not there
_REACH_SECONDS = 10.0
_BATCH = 1_000

Stretches = Mapping[Place, tuple[int, int]]
"""(topic, partition) -> the first offset, and the one behind the last."""


class Scan:
    """Reads committed records.

    Args:
        settings: the bus, and as whom it is read.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._trouble: KafkaError | None = None
        config = settings.client() | {"error_cb": self._on_error, "log_level": 0}
        self._admin = AdminClient(config, logger=_LOG)
        self._known: dict[str, list[int]] | None = None

    def topics(self, prefix: str = "") -> list[str]:
        """The topics whose names begin so, as they were when this was first asked.

        Raises:
            HutongError: nobody says.
        """
        if self._known is None:
            with self._explained("list topics"):
                found = self._admin.list_topics(timeout=_REACH_SECONDS).topics
            self._known = {name: sorted(one.partitions) for name, one in found.items()}
        return sorted(name for name in self._known if name.startswith(prefix))

    def stretches(
        self, topics: Iterable[str], since_ms: int | None = None, until_ms: int | None = None
    ) -> dict[Place, tuple[int, int]]:
        """Where the records of some time lie, up to the last one that is committed now; nothing of a topic that is not there.

        Args:
            topics: which.
            since_ms: the first record at or after this moment, in ms since the epoch; None for the oldest that is kept.
            until_ms: the first record that is too late.
        """
        known = set(self.topics())
        places = [(name, one) for name in topics if name in known for one in (self._known or {})[name]]
        starts, ends = self._offsets(places, _SPECS.earliest()), self._offsets(places, _SPECS.latest())
        if since_ms is not None:
            later = self._offsets(places, _SPECS.for_timestamp(max(0, since_ms)))
            starts = {place: ends[place] if at < 0 else max(at, starts[place]) for place, at in later.items()}
        if until_ms is not None:
            late = self._offsets(places, _SPECS.for_timestamp(max(0, until_ms)))
            ends = {place: ends[place] if at < 0 else min(at, ends[place]) for place, at in late.items()}
        return {place: (starts[place], max(starts[place], ends[place])) for place in places}

    def records(self, stretches: Stretches) -> Iterator[Message]:
        """The records of these stretches, in order per partition.

        Raises:
            HutongError: they cannot be read to their ends now.
        """
        ends = {place: end for place, (start, end) in stretches.items() if start < end}
        if not ends:
            return
        consumer = Consumer(self._settings.client() | _CONFIG | {"group.id": NO_GROUP}, logger=_LOG)
        try:
            consumer.assign([TopicPartition(*place, stretches[place][0]) for place in ends])
            yield from self._drained(consumer, ends)
        finally:
            consumer.close()

    def record(self, place: Place, offset: int) -> Message | None:
        """One record, or None where it is not there any more."""
        if place[0] not in self.topics():
            return None
        return next((one for one in self.records({place: (offset, offset + 1)}) if one.offset() == offset), None)

    def committed(self, group: str, places: Sequence[Place]) -> dict[Place, int]:
        """How far a group has got; -1 where it has no position."""
        consumer = Consumer(self._settings.client() | _CONFIG | {"group.id": group}, logger=_LOG)
        try:
            with self._explained(f"read where {group} stands"):
                found = consumer.committed([TopicPartition(*place) for place in places], _SECONDS)
            return {(str(one.topic), int(one.partition)): max(-1, int(one.offset)) for one in found}
        finally:
            consumer.close()

    def _drained(self, consumer: Consumer, ends: dict[Place, int]) -> Iterator[Message]:
        silent_since = time.monotonic()
        while ends:
            messages = consumer.consume(_BATCH, 0.2)
            if not messages and time.monotonic() - silent_since > _SECONDS:
                raise BrokerUnavailable(f"cannot read to the end: nothing came for {_SECONDS:g} s; check the bus, then try again")
            for message in messages:
                place, error = (message.topic() or "", message.partition() or 0), message.error()
                if error is None:
                    end, at = ends.get(place, -1), message.offset() or 0
                    if at < end:
                        yield message
                    is_done = at + 1 >= end
                elif error.code() == KafkaError._PARTITION_EOF:
                    is_done = True
                elif is_unreadable(error):
                    is_done = self._passes(consumer, place, message.offset() or 0, ends.get(place, -1))
                elif error.retriable():
                    continue
                else:
                    raise self._explain(error, f"read {place[0]}")
                if is_done and ends.pop(place, None) is not None:
                    consumer.pause([TopicPartition(*place)])  # what comes behind its end is nobody's here
            if messages:
                silent_since = time.monotonic()  # asked after the yields: the caller's time is not the brokers' silence

    def _passes(self, consumer: Consumer, place: Place, at: int, end: int) -> bool:
        """Go on behind a batch that cannot be unpacked; whether the end is reached with it."""
        for batch in unreadable_at(self._settings, {place: at}):
            consumer.seek(TopicPartition(*place, batch.last + 1))
            return batch.last + 1 >= end
        return False

    def _offsets(self, places: Sequence[Place], spec: Any) -> dict[Place, int]:
        if not places:
            return {}
        asked = {TopicPartition(*place): spec for place in places}
        with self._explained("ask where topics end"):
            futures = self._admin.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_SECONDS)
            return {(str(one.topic), int(one.partition)): int(future.result().offset) for one, future in futures.items()}

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            self._admin.poll(0)  # lets the error callback say that the login was refused; the call itself only times out
            raise self._explain(self._trouble or error, doing) from error

    def _explain(self, error: KafkaError | KafkaException, doing: str) -> HutongError:
        return translate(error, doing, principal=self._settings.username, servers=self._settings.bootstrap_servers)

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
            self._trouble = error


_SPECS: Any = OffsetSpec  # it has no types of its own
_CONFIG = {
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
    "auto.offset.reset": "earliest",  # retention may pass the first offset meanwhile
    "fetch.wait.max.ms": 50,
    "queued.max.messages.kbytes": 16_384,
}
