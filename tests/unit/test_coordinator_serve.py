"""The life of the cases without Faust: whatever dies ends the service, and nothing is stored that may be another's."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from hutong.errors import BrokerUnavailable
from hutong.runtime.health import Health
from hutong.runtime.stop import Stop
from services.coordinator.cases import Done
from services.coordinator.inbox import Inboxed
from services.coordinator.serve import CaseService
from services.coordinator.strays import Strays
from tests.unit.test_coordinator_positions import SETTINGS


class Faust:
    """In the place of the application."""

    def __init__(self) -> None:
        self.crashed, self.crash_reason, self.fails = False, None, None

    async def start(self) -> None:
        if self.fails is not None:
            raise self.fails
        await asyncio.sleep(60)

    async def stop(self) -> None:
        return


class Consumer:
    def __init__(self) -> None:
        self.writing, self.is_owner, self.asked = asyncio.Lock(), True, 0
        self.settled: list[tuple[str, int]] = []

    async def confirm(self, positions: dict[Any, int]) -> bool:
        assert positions == {"p0": 5}
        self.asked += 1
        return self.is_owner

    def standing(self, partitions: set[str]) -> dict[str, int]:
        return dict.fromkeys(partitions, 5)

    def settle(self, partition: str, offset: int) -> None:
        self.settled.append((partition, offset))


class App:
    def __init__(self) -> None:
        self.faust, self.generation, self.is_recovered = Faust(), 1, False
        self.arrivals: asyncio.Queue[Any] = asyncio.Queue()
        self.strays = Strays(SETTINGS)
        self.stored: dict[bytes, bytes] = {}
        self.read: list[tuple[int, int]] = []

    def inbox_partition(self, partition: int) -> str:
        return f"p{partition}"

    def get(self, _partition: int, number: bytes) -> bytes | None:
        return self.stored.get(number)

    def put(self, _partition: int, number: bytes, case: bytes) -> None:
        self.stored[number] = case

    def read_up_to(self, partition: int, offset: int) -> None:
        self.read.append((partition, offset))


class Changelog:
    def __init__(self) -> None:
        self.written: list[Any] = []
        self.end = 0

    def write(self, states: Any, *, until: float) -> dict[int, list[int]]:
        self.written += states
        self.end += 1
        return {0: [self.end]}


class Watch:
    def __init__(self) -> None:
        self.fails: Exception | None = None

    async def run(self, *_: Any) -> None:
        if self.fails is not None:
            raise self.fails
        await asyncio.sleep(60)


class Service:
    """A service of nothing but stand-ins."""

    def __init__(self, lease_seconds: float = 60) -> None:
        self.app, self.watch, self.changelog, self.stop = App(), Watch(), Changelog(), Stop()
        worker = SimpleNamespace(run=lambda *_: Done(encoded={"LC-1": b"{}"}))
        self.made = CaseService(
            self.app,  # type: ignore[arg-type]
            flows=SimpleNamespace(plans={}),  # type: ignore[arg-type]
            worker=worker,  # type: ignore[arg-type]
            changelog=self.changelog,  # type: ignore[arg-type]
            lease_seconds=lease_seconds,
            clock=None,  # type: ignore[arg-type]
            watch=self.watch,  # type: ignore[arg-type]
            batch_records=10,
            stop=self.stop,
            health=Health(),
        )


@pytest.mark.parametrize("dies", ["watch", "start", "crash", "work"])
def test_whatever_dies_ends_the_service(dies: str) -> None:
    """The reader's watch, Faust's start, a crash within Faust, the worker: the process ends, and is started again by others."""
    service = Service()
    if dies == "watch":
        service.watch.fails = BrokerUnavailable("is not read any more")
    elif dies == "start":
        service.app.faust.fails = RuntimeError()  # type: ignore[assignment]
    elif dies == "crash":
        service.app.faust.crashed = True
    else:
        service.app.arrivals.put_nowait(object())  # which is no record
    with pytest.raises(BrokerUnavailable):
        asyncio.run(service.made.serve())


def test_told_to_stop_it_ends() -> None:
    """Without any error."""
    service = Service()
    service.stop.set()
    asyncio.run(service.made.serve())


def test_a_record_that_was_passed_over_ends_the_service() -> None:
    """Nobody would look for it: it is read again after a start. A record that waits in the queue is not lost."""
    service = Service()
    service.app.passed_over = lambda: [3]  # type: ignore[attr-defined]
    service.made._complete_at = time.monotonic() - 60
    service.app.arrivals.put_nowait(object())
    service.made._look_back()
    service.made._queue.get_nowait()
    service.made._look_back()
    service.made._complete_at -= 60
    with pytest.raises(BrokerUnavailable, match="3"):
        service.made._look_back()


async def store(service: Service, times: int) -> list[bool]:
    service.app.consumer = Consumer() if not hasattr(service.app, "consumer") else service.app.consumer  # type: ignore[attr-defined]
    return [await service.made._once([Inboxed(0, at, b"LC-1", b"", [], 1_000, 1) for at in (5, 6)], 1) for _ in range(times)]


@pytest.mark.parametrize(("lease_seconds", "asked"), [(60, 1), (0, 3)])
def test_it_asks_whether_the_cases_are_still_its_own(lease_seconds: float, asked: int) -> None:
    """Before it stores, unless it has just been told."""
    service = Service(lease_seconds)
    assert asyncio.run(store(service, 3)) == [True] * 3
    assert service.app.consumer.asked == asked  # type: ignore[attr-defined]
    assert service.app.stored == {b"LC-1": b"{}"}
    assert service.app.consumer.settled == [("p0", 6)] * 3  # type: ignore[attr-defined]


def test_the_local_copy_is_whole_up_to_where_nobody_else_has_written() -> None:
    """After a crash it is read on from there, so that another's state in between is not overlooked."""
    service = Service()
    service.app.strays.begin({0: 1})
    asyncio.run(store(service, 2))
    service.changelog.end += 1  # somebody else's
    asyncio.run(store(service, 1))
    assert service.app.read == [(0, 1), (0, 2)]
    assert service.app.strays.suspected


def test_cases_are_written_again_by_their_owner_alone() -> None:
    """As they are stored now, and not at all where the partitions are another's."""
    service = Service()
    service.app.consumer = Consumer()  # type: ignore[attr-defined]
    service.app.stored[b"LC-1"] = b"{}"
    assert asyncio.run(service.made._write_again([(0, b"LC-1"), (0, b"LC-none")], 1))
    assert service.changelog.written == [(0, b"LC-1", b"{}")]
    assert not asyncio.run(service.made._write_again([(0, b"LC-1")], 2))
    service.app.consumer.is_owner = False  # type: ignore[attr-defined]
    service.made._leased_until = 0.0
    assert not asyncio.run(service.made._write_again([(0, b"LC-1")], 1))
    assert len(service.changelog.written) == 1


def test_what_is_not_its_own_is_not_stored() -> None:
    """One that slept beyond its session is told so before it writes."""
    service = Service()

    async def run() -> list[bool]:
        service.app.consumer = Consumer()  # type: ignore[attr-defined]
        service.app.consumer.is_owner = False  # type: ignore[attr-defined]
        return await store(service, 1)

    assert asyncio.run(run()) == [False]
    assert (service.changelog.written, service.app.stored) == ([], {})
    assert service.app.consumer.settled == []  # type: ignore[attr-defined]
