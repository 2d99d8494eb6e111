"""Faust's transport, made safe: it reads committed records only, and commits only what has been stored.

Faust reads uncommitted records unless it runs transactions itself; the intake's aborted ones would happen to cases. And it counts
a record as done when its stream moves on, also where it passes over one in a rebalance, or is stopped in the middle of a batch:
such a record would be lost. Here ``settle`` alone says what is done. Neighbours: ``app`` settles.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiokafka  # type: ignore[import-untyped]  # it brings no types
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

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
        self.writing = asyncio.Lock()

    def settle(self, partition: TP, offset: int) -> None:
        """Everything of a partition up to this offset is done."""
        self._settled[partition] = max(offset + 1, self._settled.get(partition, 0))

    def ack(self, _message: Any) -> bool:
        """Nothing: a stream that moves on has not done anything yet."""
        return False

    async def commit(self, *_: Any, **__: Any) -> bool:
        """Commit what was settled since the last time."""
        new = {partition: offset for partition, offset in self._settled.items() if self._stored.get(partition) != offset}
        if not new or not await self._commit_offsets(new):
            return False
        self._stored |= new
        return True

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was settled: it is committed, or done again by whoever has the partition next."""
        async with self.writing:  # the next owner must not read the changelog before this one has written to it
            self._settled, self._stored = {}, {}
        await super().on_partitions_revoked(revoked)

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class Transport(driver.Transport):
    """Faust's Kafka transport with this consumer."""

    Consumer = Consumer
