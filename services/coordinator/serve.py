"""The life of the cases in one process: the inbox read in batches, cases stepped and stored, the clock's records sent.

Faust's agents and consumers can die without a word. So nothing is done in an agent, everything is a task of this module, and
whatever ends before it should ends the process. Neighbours: ``app`` is Faust, ``cases`` does the work, in a thread.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from faust.types import TP

from hutong.errors import BrokerUnavailable, HutongError
from hutong.kafka.changelog_writer import ChangelogWriter
from hutong.kafka.clients import KafkaSender
from hutong.runtime.health import Health
from hutong.runtime.stop import Stop
from services.coordinator import metrics
from services.coordinator.app import CasesApp
from services.coordinator.cases import Done, Worker, decode
from services.coordinator.flows import Flows
from services.coordinator.inbox import INBOX, Inboxed, clock_headers
from services.coordinator.keeper import Keeper
from services.coordinator.wakeups import Wakeups, is_closed
from services.coordinator.watch import Watch

__all__ = ["CaseService"]

_LOG = logging.getLogger("hutong")

_TICK_SECONDS = 0.2  # how late the clock may be, and how soon a wish to stop is noticed
_SHOW_TICKS = 10
_SLICE = 500  # stored cases looked at before others get their turn
_LONGEST_PAUSE = 5.0
_STOP_SECONDS = 4.0
_PASSED_SECONDS = 10.0  # a record that was read is in the queue long before that


class CaseService:
    """Runs one coordinator's cases.

    Args:
        app: Faust.
        flows: the flows in force.
        worker: applies batches.
        changelog: takes the cases.
        lease_seconds: for so long after the brokers have said so the partitions are certainly this process's.
        clock: sends the clock's records.
        watch: finds out that the reading has died.
        batch_records: most records of one batch.
        stop: ends it.
        health: told how it goes.
    """

    def __init__(
        self,
        app: CasesApp,
        *,
        flows: Flows,
        worker: Worker,
        changelog: ChangelogWriter,
        lease_seconds: float,
        clock: KafkaSender,
        watch: Watch,
        batch_records: int,
        stop: Stop,
        health: Health,
    ) -> None:
        self._app, self._flows, self._worker, self._changelog = app, flows, worker, changelog
        self._lease_seconds, self._leased_until = lease_seconds, 0.0
        self._clock, self._watch = clock, watch
        self._batch_records, self._stop, self._health = batch_records, stop, health
        self._wakeups = Wakeups()
        self._generation: int | None = None
        self._busy, self._complete_at = False, 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cases")
        self._queue = app.arrivals

    async def serve(self) -> None:
        """Work until told to stop.

        Raises:
            HutongError: it cannot go on; the process should end.
        """
        self._health.wait_for("cases", "the cases have not been read yet")
        _leave_long_lived_objects_alone()
        keeper = Keeper(self._app, self._write_again)
        tasks = [asyncio.create_task(one) for one in (self._work(), self._keep_time(), keeper.run(self._stop))]
        start = asyncio.create_task(self._app.faust.start())
        probe = asyncio.create_task(self._watch.run(self._app, self._queue.full))
        try:
            while not self._stop.is_set():
                await asyncio.wait([start, probe, *tasks], timeout=_TICK_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
                self._look_at([start, probe, *tasks])
            # A batch that is under way is stored before its partitions go to somebody else.
            await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        finally:
            for task in (*tasks, start, probe):
                task.cancel()
            with suppress(Exception, asyncio.CancelledError):
                await asyncio.wait_for(self._app.faust.stop(), _STOP_SECONDS)
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _look_at(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        for task in tasks:
            if task.done() and (error := task.exception()) is not None:
                raise error if isinstance(error, HutongError) else BrokerUnavailable(f"ended: {type(error).__name__}") from error
        if self._app.faust.crashed:
            reason = self._app.faust.crash_reason
            raise BrokerUnavailable(f"the reading of cases has ended ({type(reason).__name__}); start again") from reason

    async def _work(self) -> None:
        while not self._stop.is_set():
            self._health.beat()
            try:
                batch = [await asyncio.wait_for(self._queue.get(), _TICK_SECONDS)]
            except TimeoutError:
                continue
            while len(batch) < self._batch_records and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            self._busy = True
            await self._apply(batch)
            self._busy = False

    async def _apply(self, batch: Sequence[Inboxed]) -> None:
        """Work a batch off, however long the brokers or the registry are away."""
        failures = 0
        while not self._stop.is_set():
            generation = self._app.generation
            if generation is None:
                await asyncio.sleep(0.05)
                continue
            # Faust reads again what it had read before a change of partitions.
            ours = [one for one in batch if one.generation == generation]
            if not ours:
                return
            try:
                if await self._once(ours, generation):
                    self._health.working()
                    return
            except HutongError as error:
                if not error.retriable:
                    raise
                failures += 1
                self._health.beat()
                self._health.failing(str(error))
                _LOG.warning("trying again", extra={"facts": {"error": str(error), "failures_in_a_row": failures}})
                await asyncio.sleep(min(_LONGEST_PAUSE, 0.1 * 2.0 ** min(failures, 10)))

    async def _once(self, records: Sequence[Inboxed], generation: int) -> bool:
        began = time.perf_counter()
        partition_of = {(one.key or b"").decode(errors="replace"): one.partition for one in records}
        stored = {number: self._app.get(partition, number.encode()) for number, partition in partition_of.items()}
        done = await asyncio.get_running_loop().run_in_executor(self._thread, self._worker.run, records, stored)
        async with self._app.consumer.writing:
            first = {self._app.inbox_partition(one.partition): one.offset for one in reversed(records)}
            if self._app.generation != generation or not await self._is_ours(first):
                return False
            await self._store(done, partition_of)
            for partition, offset in {one.partition: one.offset for one in records}.items():  # of each its last
                self._app.consumer.settle(self._app.inbox_partition(partition), offset)
        done.tally.enter()
        metrics.INBOX_RECORDS.inc(len(records))
        metrics.STEP_SECONDS.observe(time.perf_counter() - began)
        return True

    async def _is_ours(self, positions: Mapping[TP, int]) -> bool:
        """Whether what is stored in the next moment is still this process's to store.

        A process that was stopped for longer than its session does not know that others have its partitions: it asks, unless it
        has asked just now. What it nevertheless writes in the moment after is older than theirs, and known by its position.

        Args:
            positions: partition -> the first offset that is not done.
        """
        if time.monotonic() < self._leased_until - self._lease_seconds / 2:
            return True
        began = time.monotonic()
        if not await self._app.consumer.confirm(positions):
            await asyncio.sleep(0.05)
            return False
        self._leased_until = began + self._lease_seconds
        return True

    async def _store(self, done: Done, partition_of: dict[str, int]) -> None:
        """The changelog first, then the local copy, then how far that goes: a crash in between makes it read again, no more."""
        made = [(partition_of[number], number.encode(), case) for number, case in done.encoded.items()]
        offsets = await asyncio.get_running_loop().run_in_executor(
            self._thread, partial(self._changelog.write, made, until=self._leased_until)
        )
        for one in made:
            self._app.put(*one)
        for partition in self._app.strays.wrote(offsets):
            self._app.read_up_to(partition, max(offsets[partition]))
        for number, case in done.cases.items():
            self._wakeups.watch(number, case)

    async def _write_again(self, cases: Collection[tuple[int, bytes]], generation: int) -> bool:
        """Write cases to the changelog as they are stored; whether they could be."""
        async with self._app.consumer.writing:
            where = self._app.consumer.standing({self._app.inbox_partition(partition) for partition, _ in cases})
            if self._app.generation != generation or not await self._is_ours(where):
                return False
            states = [(*one, state) for one in cases if (state := self._app.get(*one)) is not None]
            write = partial(self._changelog.write, states, until=self._leased_until)
            self._app.strays.wrote(await asyncio.get_running_loop().run_in_executor(self._thread, write))
        return True

    async def _keep_time(self) -> None:
        """Send the clock's records, and show how the cases stand."""
        ticks = 0
        while not self._stop.is_set():
            await asyncio.sleep(_TICK_SECONDS)
            if not self._app.is_recovered:
                self._wakeups.clear()
                self._generation = None
                self._health.wait_for("cases", "the partitions of the cases are being shared out, or read")
                continue
            if self._generation != self._app.generation:
                await self._find_wakeups()
                self._complete_at = time.monotonic()
                continue
            self._look_back()
            now_ms = time.time_ns() // 1_000_000
            self._send_due(now_ms)
            if ticks % _SHOW_TICKS == 0:
                metrics.show(self._wakeups.standing(), list(self._flows.plans), now_ms)
            ticks += 1

    def _look_back(self) -> None:
        """See that no record was lost between the reading and the work; Faust may pass over some while partitions change.

        Raises:
            BrokerUnavailable: one was; it is read again from where the group stands.
        """
        now = time.monotonic()
        if self._busy or not self._queue.empty() or not (partitions := self._app.passed_over()):
            self._complete_at = now
        elif now - self._complete_at > _PASSED_SECONDS:
            raise BrokerUnavailable(f"records of the inbox's partitions {partitions} were passed over; start again")

    async def _find_wakeups(self) -> None:
        """Look through the stored cases of new partitions."""
        generation = self._app.generation
        self._wakeups.clear()
        for partition in self._app.partitions():
            for at, (number, case) in enumerate(self._app.scan(partition)):
                if at % _SLICE == _SLICE - 1:
                    await asyncio.sleep(0)
                    if self._app.generation != generation:
                        return
                if not is_closed(case):
                    self._wakeups.find(number.decode(), decode(case))
        self._generation = generation
        self._health.have("cases")
        _LOG.info("cases are here", extra={"facts": {"partitions": self._app.partitions(), "open": len(self._wakeups)}})

    def _send_due(self, now_ms: int) -> None:
        try:
            for number, flow, due_ms in self._wakeups.due(now_ms, self._flows.plans):
                self._clock.send(INBOX, number.encode(), None, clock_headers(flow, due_ms), _ignore)  # type: ignore[arg-type]
            self._clock.poll(0)
        except HutongError as error:
            _LOG.warning("the clock's records wait", extra={"facts": {"error": str(error)}})


def _leave_long_lived_objects_alone() -> None:
    """Keep the garbage collector from the flows, which live as long as the process; cases come and go without any cycle."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _ignore(_error: Any, _record: Any) -> None:
    """A record of the clock that is lost comes again."""
