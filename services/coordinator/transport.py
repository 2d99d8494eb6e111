"""Faust's transport, made safe: it reads committed records only, and commits only what has been stored.

Faust reads uncommitted records unless it runs transactions itself; the intake's aborted ones would happen to cases. And it counts
a record as done when its stream moves on, also where it passes over one in a rebalance, or is stopped in the middle of a batch:
such a record would be lost. Here ``settle`` alone says what is done. Neighbours: ``app`` settles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import aiokafka  # type: ignore[import-untyped]  # it brings no types
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from services.coordinator.inbox import INBOX

__all__ = ["Consumer", "Transport"]


class _Thread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Read when the consumer starts; Faust has no setting for it.
        consumer._isolation_level = "read_committed"
        return consumer


class Consumer(driver.Consumer):
    """A consumer that commits what was settled."""

    def on_init(self) -> None:
        """Begin with nothing settled."""
        self._settled: dict[TP, int] = {}
        self._stored: dict[TP, int] = {}
        self._passed: dict[TP, int] = {}
        self.writing = asyncio.Lock()

    def settle(self, partition: TP, offset: int) -> None:
        """Everything of a partition up to this offset is done."""
        self._settled[partition] = max(offset + 1, self._settled.get(partition, 0))

    def ack(self, message: Any) -> bool:
        """Nothing is done yet, but the stream has moved on, and will not come back to this record by itself."""
        self._passed[message.tp] = max(message.offset, self._passed.get(message.tp, -1))
        return False

    def passed_over(self, partitions: Iterable[TP]) -> list[TP]:
        """Partitions of which the stream has passed a record that is not done."""
        return [one for one in partitions if self._passed.get(one, -1) >= max(self._settled.get(one, 0), self._began_at(one))]

    def _began_at(self, partition: TP) -> int:
        return self._committed_offset.get(partition) or 0

    async def commit(self, *_: Any, **__: Any) -> bool:
        """Commit what was settled since the last time."""
        new = {partition: offset for partition, offset in self._settled.items() if self._stored.get(partition) != offset}
        if not new or not await self._commit_offsets(new):
            return False
        self._stored |= new
        return True

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go to where the group stands; to the beginning, where nothing of a partition is done yet.

        The client does not move there. What it had read while the partitions changed, and Faust has dropped, would be skipped.
        """
        found: dict[TP, int] = dict(await super().seek_to_committed())
        untouched = [one for one in self.assignment() if one.topic == INBOX and not found.get(one)]
        if untouched:
            begins = {TP(one.topic, one.partition): at for one, at in (await self._thread.earliest_offsets(*untouched)).items()}
            await self._thread.seek_wait(begins)
            found |= begins
        return found

    async def confirm(self, positions: Mapping[TP, int]) -> bool:
        """Ask the brokers whether these partitions are still this process's: they take the positions from their owner alone.

        Args:
            positions: partition -> the first offset that is not done.
        """
        return positions.keys() <= self.assignment() and bool(await self._thread.commit(positions))

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was settled: it is committed, or done again by whoever has the partition next."""
        async with self.writing:  # the next owner must not read the changelog before this one has written to it
            self._settled, self._stored, self._passed = {}, {}, {}
        await super().on_partitions_revoked(revoked)

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class Transport(driver.Transport):
    """Faust's Kafka transport with this consumer."""

    Consumer = Consumer
