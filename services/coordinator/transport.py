"""Faust's transport, made safe and short: it reads committed records only, and commits only what has been stored.

Faust reads uncommitted records unless it runs transactions itself; the intake's aborted ones would happen to cases. And it counts
a record as done when its stream moves on, also where it passes over one in a rebalance, or is stopped in the middle of a batch:
such a record would be lost. Here ``settle`` alone says what is done. And what was fetched goes on all at once, the inbox to
``arrivals`` and the changelog into the table: Faust's way makes tasks for each record, which cost more than most steps of a case.
Neighbours: ``app`` has the table and settles, ``serve`` takes what arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import aiokafka  # type: ignore[import-untyped]  # it brings no types
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from services.coordinator.inbox import INBOX, STATE, Inboxed

__all__ = ["Change", "Consumer", "Transport"]

_SLICE = 500  # states that go into the table before others get their turn


class Change(NamedTuple):
    """A record of the changelog, as Faust's tables take it."""

    tp: TP
    offset: int
    key: bytes
    value: bytes | None

    @property
    def message(self) -> Self:
        """Itself: Faust has an event around it."""
        return self

    @property
    def partition(self) -> int:
        """Where it lies."""
        return self.tp.partition


class _Thread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Read when the consumer starts; Faust has no setting for it.
        consumer._isolation_level = "read_committed"
        transport.login = consumer._client
        return consumer


class Consumer(driver.Consumer):
    """A consumer that hands on what it reads, and commits what was settled."""

    arrivals: asyncio.Queue[Inboxed]

    def on_init(self) -> None:
        """Begin with nothing settled."""
        transport: Any = self.transport
        self.arrivals, self.take_changes = transport.arrivals, transport.take_changes
        self._settled: dict[TP, int] = {}
        self._stored: dict[TP, int] = {}
        self._passed: dict[TP, int] = {}
        self.writing = asyncio.Lock()

    def settle(self, partition: TP, offset: int) -> None:
        """Everything of a partition up to this offset is done."""
        self._settled[partition] = max(offset + 1, self._settled.get(partition, 0))

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:
        """What is left of a fetch for Faust: the rest is on its way, or in the table, already."""
        found, active = await super()._wait_next_records(timeout)
        tables: Any = self.app.tables
        generation, recovery, rest = self.app.consumer_generation_id, tables.recovery, {}
        for partition, records in (found or {}).items():
            if active is not None and partition not in active:
                continue  # it is paused; Faust drops such records too, and seeks before it goes on
            if partition.topic == STATE and partition not in recovery.active_tps | recovery.standby_tps:
                continue  # not a table's any more
            hand_on = self._keep if partition.topic == STATE else self._hand_on
            if not await hand_on(TP(*partition), records, generation):
                return {}, active  # partitions change: everything is read again from where the group or the table stands
            if partition.topic == STATE:
                rest[partition] = records[-1:]  # so that Faust knows how far it is
        return found and rest, active

    def _is_of(self, generation: int) -> bool:
        return bool(self.flow_active and self.app.consumer_generation_id == generation)

    async def _keep(self, partition: TP, records: Sequence[Any], generation: int) -> bool:
        """Put records of the changelog into the table; stops where partitions change meanwhile: they may be another's."""
        for at in range(0, len(records), _SLICE):
            if not self._is_of(generation):
                return False
            self.take_changes([Change(partition, one.offset, one.key, one.value) for one in records[at : at + _SLICE]])
            await asyncio.sleep(0)
        return self._is_of(generation)

    async def _hand_on(self, partition: TP, records: Sequence[Any], generation: int) -> bool:
        """Give records of the inbox to whoever works them off; stops as ``_keep`` does."""
        read = self._read_offset[partition] or 0
        for one in records:
            if not self._is_of(generation):
                return False
            if one.offset >= read:
                record = Inboxed(one.partition, one.offset, one.key, one.value, one.headers, one.timestamp, generation)
                await self.arrivals.put(record)
                if self.app.consumer_generation_id == generation:  # the queue may have been full for long
                    self._read_offset[partition] = self._passed[partition] = one.offset
        return True

    def passed_over(self, partitions: Iterable[TP]) -> list[TP]:
        """Partitions of which a record was handed on that is not done."""
        return [one for one, done in self.standing(partitions).items() if self._passed.get(one, -1) >= done]

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

    def standing(self, partitions: Iterable[TP]) -> dict[TP, int]:
        """The first offset of each of these partitions that is not done."""
        return {one: max(self._settled.get(one, 0), self._began_at(one)) for one in partitions}

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
    """Faust's Kafka transport with this consumer.

    Args:
        url: the brokers.
        app: Faust.
        arrivals: where records of the inbox go, in order per partition.
        take_changes: puts records of the changelog into the table.

    Attributes:
        login: the client that the consumer connects with.
    """

    Consumer = Consumer

    def __init__(
        self, url: Any, app: Any, arrivals: asyncio.Queue[Inboxed], take_changes: Callable[[Iterable[Change]], None]
    ) -> None:
        super().__init__(url, app)
        self.arrivals, self.take_changes = arrivals, take_changes
        self.login: Any = None

    def set_sasl_credentials(self, _: str, password: str) -> None:
        """Log in with another password from now on; aiokafka looks it up with every connection that it makes."""
        if self.login is not None:
            self.login._sasl_plain_password = password
