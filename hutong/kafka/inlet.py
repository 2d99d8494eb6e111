"""The reading end of the exactly-once step: events of partitions that are ours, and the way back when a transaction failed.

Neighbours: ``transaction`` reads here, ``outlet`` writes.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from hutong.errors import BrokerUnavailable, ConfigurationError, HutongError
from hutong.kafka.chunk import Chunk, FetchedChunk, Place, PolledChunk
from hutong.kafka.errors import translate
from hutong.kafka.fast import inbox_of, plugin
from hutong.kafka.passwords import follow_in_turn
from hutong.kafka.settings import Settings
from hutong.kafka.unreadable import UnreadableBatch, is_unreadable, unreadable_at
from hutong.transcode.native.transcoder import extension

__all__ = ["Inlet", "is_member"]

_LOG = logging.getLogger("hutong")

_POLL_SECONDS = 0.1
_MORE_SECONDS = 0.02  # under load the next events are on their way already
_COMMITTED_SECONDS = 5.0  # a client in the middle of a call cannot be told a new password: rather ask again
_METADATA_MAGIC = b"CGMDv2:"  # then the generation, 32-bit little-endian (librdkafka, rd_kafka_consumer_group_metadata_write)


class Inlet:
    """The consumer of one instance.

    Args:
        settings: the bus.
        group: consumer group; all instances share the partitions.
        instance: the instance's name.
        topics: topic names, or patterns that begin with ``^``.

    Attributes:
        assigned: the partitions that are ours.
        rebalances: how often partitions were "assigned", "revoked" or "lost".
        is_stopped: whether a batch that cannot be unpacked stops a partition: ``stopping`` finds it.
    """

    def __init__(self, settings: Settings, *, group: str, instance: str, topics: list[str]) -> None:
        self._settings = settings
        self._revoked = self.is_stopped = False
        self.assigned: set[Place] = set()
        self.rebalances = {"assigned": 0, "revoked": 0, "lost": 0}
        self._consumer = Consumer(settings.client() | _config(group, instance) | plugin(), logger=_LOG)
        self._inbox: Any = inbox_of(self._consumer)
        self._latest: Any = extension.Batch([]) if extension else None
        self._login = follow_in_turn(self, settings)
        self._consumer.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def first(self, most: int) -> Chunk:
        """What has arrived, at most so many; waits for the first a little. A chunk is good until the next is read."""
        self._login.refresh(self._consumer)
        if self._inbox is not None:
            # The inbox holds records alone: what the client is polled for here is rebalances, which never come among records.
            message = self._consumer.poll(0)
            self._revoked = False
            return self._fetch(most, _POLL_SECONDS, None if message is None else message.error())
        first = self._consumer.poll(_POLL_SECONDS)
        # Callbacks of `poll` come before the message that it returns. Those of `consume` come somewhere among its messages:
        # what was collected may be somebody else's by now, and what came after it must not be skipped. See `undisturbed`.
        self._revoked = False
        return PolledChunk([] if first is None else [first, *self._consumer.consume(most - 1, 0)])

    def more(self, most: int) -> Chunk:
        """What has arrived since ``first``, at most so many; waits only as long as a busy broker needs."""
        if self._inbox is not None:
            return self._fetch(most, _MORE_SECONDS)
        found = self._consumer.consume(most, 0)
        if not found and (late := self._consumer.poll(_MORE_SECONDS)) is not None:
            found = [late, *self._consumer.consume(most - 1, 0)]
        return PolledChunk(found)

    def undisturbed(self, chunk: Chunk) -> bool:
        """Whether all that was read since ``first`` is ours and complete.

        Raises:
            HutongError: reading has failed in a way that does not pass by itself.
        """
        errors = [error for error in chunk.errors if not is_unreadable(error)]
        # What came of the partition before such a batch is complete, and nothing comes after it.
        self.is_stopped = self.is_stopped or len(errors) < len(chunk.errors)
        for error in errors:
            passing = (KafkaError._MAX_POLL_EXCEEDED, KafkaError._PARTITION_EOF, KafkaError.UNKNOWN_TOPIC_OR_PART)
            if error.code() not in passing and not error.retriable():
                raise self._explain(error)
        return not errors and not self._revoked

    def metadata(self) -> Any:
        """The group's metadata for the offsets of what was read last."""
        return self._consumer.consumer_group_metadata()

    def stopping(self) -> list[UnreadableBatch]:
        """The batches that cannot be unpacked and that are next, by what the group has committed.

        Raises:
            BrokerUnavailable: nobody tells now; try again.
        """
        self.is_stopped = False  # the client tries again, and tells again
        return unreadable_at(self._settings, self._committed(self.assigned))

    def back_to_committed(self, places: set[Place]) -> None:
        """Go on where the group stands, on those of the partitions that are still ours.

        Raises:
            BrokerUnavailable: nobody says where that is; try again.
        """
        places = places & self.assigned
        if not places:
            return
        try:
            for place, offset in self._committed(places).items():
                self._consumer.seek(TopicPartition(*place, offset))
        except KafkaException as error:
            raise self._explain(error) from error

    def _committed(self, places: Collection[Place]) -> dict[Place, int]:
        """Where the group stands."""
        self._login.refresh(self._consumer)
        try:
            found = self._consumer.committed([TopicPartition(*place) for place in places], _COMMITTED_SECONDS)
        except KafkaException as error:
            raise self._explain(error) from error
        for position in found:
            if position.error is not None:
                raise BrokerUnavailable(f"cannot read where the group stands on {position.topic}; trying again")
        return {(one.topic, one.partition): one.offset if one.offset >= 0 else OFFSET_BEGINNING for one in found}

    def close(self) -> None:
        """Leave the group, so that the others take over at once."""
        inbox, self._inbox = self._inbox, None  # leaving may bring a last change of partitions, which is not the inbox's any more
        if inbox is not None:
            self._latest.close()  # an error that ends the router may still refer to it
            inbox.close()
        self._consumer.close()

    def _fetch(self, most: int, seconds: float, error: KafkaError | None = None) -> Chunk:
        self._latest.close()  # what was read before has been handled
        native, codes, crowded = self._inbox.fetch(most, int(seconds * 1000))
        self._latest = native
        return FetchedChunk(native, codes, error, is_crowded=crowded)

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        if self._inbox is not None:
            for p in partitions:
                self._inbox.lead(p.topic, p.partition)
        self.assigned = {(p.topic, p.partition) for p in partitions}
        self.rebalances["assigned"] += 1
        _LOG.info("partitions assigned", extra={"facts": {"partitions": len(partitions)}})

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances["revoked"] += 1
        self._take_away(partitions)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.rebalances["lost"] += 1
        self._take_away(partitions)

    def _take_away(self, partitions: list[TopicPartition]) -> None:
        self._revoked = True
        self.assigned -= {(p.topic, p.partition) for p in partitions}

    def _explain(self, error: KafkaError | KafkaException) -> HutongError:
        return translate(error, "read", principal=self._settings.username, servers=self._settings.bootstrap_servers)


def _config(group: str, instance: str) -> dict[str, Any]:
    return {
        "group.id": group,
        "client.id": instance,
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",  # a topic that is new to the group loses nothing
        "partition.assignment.strategy": "roundrobin",
        "session.timeout.ms": 10_000,  # a killed instance's partitions move after this
        "heartbeat.interval.ms": 1_000,
        "topic.metadata.refresh.interval.ms": 2_000,  # a newly applied contract is routed within this
        "allow.auto.create.topics": False,
        "fetch.wait.max.ms": 50,
        "fetch.queue.backoff.ms": 20,
        # What waits in memory, whatever the size of events: about this much for each of the inbox's lanes, and one answer beside.
        "queued.max.messages.kbytes": 2_048,
        "queued.min.messages": 20_000,
        "fetch.max.bytes": 16_777_216,
        "check.crcs": True,
    }


def is_member(metadata: Any) -> bool:
    """Whether offsets sent with this metadata will be fenced: brokers accept those of an unknown generation (-1) from anybody."""
    blob = bytes(metadata)
    if not blob.startswith(_METADATA_MAGIC):
        raise ConfigurationError(
            "this version of librdkafka writes group metadata in another form; use the version that is pinned"
        )
    generation = int.from_bytes(blob[len(_METADATA_MAGIC) : len(_METADATA_MAGIC) + 4], "little", signed=True)
    return generation >= 0
