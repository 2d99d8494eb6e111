"""Reads stretches of partitions for an onlooker: committed records from an offset on, without a group and without a trace.

Partitions come and go as they are asked for; what is not asked for is not fetched, so an onlooker of a healthy bus reads almost
nothing. Neighbours: ``lookout`` asks for offsets; ``hutong.lag`` decides what is read.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from hutong.kafka.chunk import Place
from hutong.kafka.errors import translate
from hutong.kafka.passwords import follow_in_turn
from hutong.kafka.settings import Settings
from hutong.kafka.topics import NO_GROUP
from hutong.kafka.unreadable import is_unreadable, unreadable_at

__all__ = ["Stretch", "Stretches"]

_LOG = logging.getLogger("hutong.kafka.stretches")
_LOG.propagate = False
_LOG.addHandler(logging.NullHandler())

_AT_ONCE = 2_000
_WAIT_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Records of one partition that follow each other.

    Attributes:
        place: the partition.
        records: the committed ones, in order; whatever else lies between them is no record.
        edge: the offset up to which that is all.
        at_end: whether the partition ends there.
    """

    place: Place
    records: list[Message]
    edge: int
    at_end: bool


class Stretches:
    """A reader of many partitions.

    Args:
        settings: where, and as whom; the principal needs READ on the topics.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._at: dict[Place, int] = {}
        self._consumer = Consumer(
            settings.client()
            | {
                "group.id": NO_GROUP,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",  # where retention is quicker than we are
                "allow.auto.create.topics": False,
                "fetch.wait.max.ms": 10,  # whoever asks knows that there is something, if only a transaction's marker
                "queued.min.messages": 5_000,
                "queued.max.messages.kbytes": 8_192,
                "fetch.max.bytes": 4_194_304,
            },
            logger=_LOG,
        )
        self._login = follow_in_turn(self, settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def want(self, starts: Mapping[Place, int]) -> None:
        """Read these partitions from these offsets, and no others."""
        gone = [place for place, offset in self._at.items() if starts.get(place) != offset]
        new = [place for place, offset in starts.items() if self._at.get(place) != offset]
        try:
            if gone:
                self._consumer.incremental_unassign([TopicPartition(*place) for place in gone])
                self._at = {place: offset for place, offset in self._at.items() if place not in gone}
            if new:
                self._consumer.incremental_assign([TopicPartition(*place, starts[place]) for place in new])
        except KafkaException as error:
            raise self._explain(error) from error
        self._at = dict(starts)

    def drop(self, place: Place) -> None:
        """This one is read no further."""
        if self._at.pop(place, None) is not None:
            try:
                self._consumer.incremental_unassign([TopicPartition(*place)])
            except KafkaException as error:
                raise self._explain(error) from error

    def read(self, seconds: float) -> Iterator[Stretch]:
        """What comes of the wanted partitions, until each was dropped or the time is over. To be taken to its end.

        Raises:
            HutongError: reading has failed in a way that does not pass by itself.
        """
        deadline = time.monotonic() + seconds
        while self._at and (left := deadline - time.monotonic()) > 0:
            self._login.refresh(self._consumer)
            first = self._consumer.poll(min(left, _WAIT_SECONDS))
            messages = [] if first is None else [first, *self._consumer.consume(_AT_ONCE, 0)]
            # All that was fetched is handed on, whatever the time: the client will not bring it again.
            for place, some in groupby(messages, key=_place):
                if place in self._at:
                    yield from self._stretch(place, list(some))

    def close(self) -> None:
        """Let go."""
        self._consumer.close()

    def _stretch(self, place: Place, messages: list[Message]) -> Iterator[Stretch]:
        records: list[Message] = []
        edge, at_end = self._at[place], False
        for message in messages:
            error: Any = message.error()
            offset = int(message.offset() or 0)
            if error is None:
                if offset >= edge:
                    records.append(message)
                    edge, at_end = offset + 1, False
            elif error.code() == KafkaError._PARTITION_EOF:
                edge, at_end = max(edge, offset), True
            elif is_unreadable(error):
                edge = max(edge, self._passed(place, offset))
            elif not error.retriable() and error.code() not in (KafkaError._MAX_POLL_EXCEEDED, KafkaError.UNKNOWN_TOPIC_OR_PART):
                raise self._explain(error)
        self._at[place] = edge
        yield Stretch(place=place, records=records, edge=edge, at_end=at_end)

    def _passed(self, place: Place, offset: int) -> int:
        """Go on behind a batch that cannot be unpacked; where that is."""
        for batch in unreadable_at(self._settings, {place: offset}):
            try:
                self._consumer.seek(TopicPartition(*place, batch.last + 1))
            except KafkaException as error:
                raise self._explain(error) from error
            return batch.last + 1
        return offset

    def _explain(self, error: KafkaError | KafkaException) -> Exception:
        return translate(error, "read", principal=self._settings.username, servers=self._settings.bootstrap_servers)


def _place(message: Message) -> Place:
    return str(message.topic()), int(message.partition() or 0)
