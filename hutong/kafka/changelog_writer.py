"""Writes states to a compacted topic's partitions, and waits until the brokers have them; gives up before its time is over.

Whoever writes does so for as long as its group says that the partitions are its own: after that they may be another's, and what
is not confirmed by then is thrown away. Neighbours: ``changelog`` reads such a topic, ``positions`` settles what a writer that
had been stopped writes all the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from confluent_kafka import KafkaException, Producer

from hutong.errors import BrokerUnavailable
from hutong.kafka.passwords import follow
from hutong.kafka.settings import Settings

__all__ = ["LARGEST_STATE", "ChangelogWriter"]

_LOG = logging.getLogger("hutong")

LARGEST_STATE = 4_000_000
"""Bytes of the largest state; the topic takes a little more, for the record around it."""


class ChangelogWriter:
    """The producer of one process, used by one thread.

    Args:
        settings: the bus.
        topic: where the states go.
        seconds: a state that is not confirmed after so long is given up.
    """

    def __init__(self, settings: Settings, topic: str, *, seconds: float) -> None:
        self._settings, self._topic, self._seconds = settings, topic, seconds
        self._producer: Producer | None = None
        self._login = follow(self, settings, lambda writer: writer._producer)

    def write(self, states: Iterable[tuple[int, bytes, bytes]], *, until: float) -> dict[int, list[int]]:
        """Write states.

        Args:
            states: (partition, key, state).
            until: on the monotonic clock: when the partitions may be another's.

        Returns:
            Partition -> offsets of those written there, in order.

        Raises:
            BrokerUnavailable: the brokers do not have them all; what is not confirmed is given up.
        """
        if self._producer is None:
            self._producer = Producer(self._settings.client() | self._config(), logger=_LOG)
            self._login.begin_anew()
        producer = self._producer
        offsets: dict[int, list[int]] = {}
        failed: list[str] = []

        def settle(error: Any, message: Any) -> None:
            if error is not None:
                failed.append(str(error))
            else:
                offsets.setdefault(message.partition(), []).append(message.offset())

        left = 0
        try:
            for partition, key, state in states:
                _in_time(until)
                self._put(producer, partition, key, state, settle, until)
            left = producer.flush(max(0.0, until - time.monotonic()))
        except (KafkaException, BrokerUnavailable) as error:
            failed.append(str(error))
        if failed or left:
            self._producer = None
            producer.purge()
            producer.flush(0)
            raise BrokerUnavailable(f"states are not on {self._topic}, and are tried again: {failed[:1] or 'no answer in time'}")
        return offsets

    def _put(self, producer: Producer, partition: int, key: bytes, state: bytes, settle: Any, until: float) -> None:
        while True:
            try:
                producer.produce(self._topic, state, key, partition=partition, on_delivery=settle)
            except BufferError:  # large states fill the client's queue; it empties as the brokers take them
                _in_time(until)
                producer.poll(0.05)
            else:
                return

    def _config(self) -> dict[str, Any]:
        return {
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 1,
            "compression.type": "lz4",
            "message.max.bytes": LARGEST_STATE + 100_000,
            "message.timeout.ms": int(self._seconds * 1000),
        }


def _in_time(until: float) -> None:
    if time.monotonic() >= until:
        raise BrokerUnavailable("the time for writing is over")
