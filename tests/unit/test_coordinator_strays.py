"""Older states that stand last on the changelog: found, told from own ones, and written over."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from hutong.errors import BrokerUnavailable
from hutong.kafka.positions import position_of, stamped
from hutong.runtime.stop import Stop
from services.coordinator.keeper import Keeper
from services.coordinator.strays import State, Strays, older
from tests.unit.test_coordinator_positions import SETTINGS


def state(position: int) -> bytes:
    return stamped(b'{"a":1}', position)


class Topic(Strays):
    """A changelog of one partition in memory; ``log`` has (number, state, whether own)."""

    def __init__(self) -> None:
        super().__init__(SETTINGS)
        self.log: list[tuple[bytes, bytes, bool]] = []
        self.reads = 0
        self.away = False

    def ends(self) -> dict[int, int]:
        return {} if self.away else {0: len(self.log)}

    def find(self, unknown: Any) -> list[State]:
        if self.away:
            raise BrokerUnavailable("away")
        self.reads += 1
        ((begin, end),) = unknown.values()
        return [(0, number, value) for number, value, _ in self.log[begin:end]]


class App:
    """A coordinator with one partition."""

    def __init__(self) -> None:
        self.strays, self.known = Topic(), dict[bytes, bytes]()
        self.generation, self.is_recovered, self.read_to = 1, True, 0
        self.late: list[tuple[int, bytes]] = []

    def read_so_far(self) -> dict[int, int]:
        return {0: self.read_to}

    def get(self, _partition: int, number: bytes) -> bytes | None:
        return self.known.get(number)

    def overtaken(self) -> list[tuple[int, bytes]]:
        return self.late

    def put_right(self, cases: Any) -> None:
        self.late = [one for one in self.late if one not in cases]

    def write(self, number: bytes, value: bytes) -> None:
        self.strays.log.append((number, value, True))
        self.known[number] = value
        self.strays.wrote({0: [len(self.strays.log) - 1]})

    async def store(self, cases: Any, _generation: int) -> bool:
        for _, number in cases:
            self.write(number, self.known[number])
        return True


def last(app: App) -> dict[bytes, int]:
    """What compaction would leave."""
    return {number: position_of(value) for number, value, _ in app.strays.log}


def test_whatever_others_write_the_newest_state_of_each_case_ends_up_last() -> None:
    """Random writes of one's own and of a stopped one, which wakes with an older state, and looks in between."""
    for seed in range(200):
        chance, app = random.Random(seed), App()
        keeper = Keeper(app, app.store)  # type: ignore[arg-type]
        app.strays.begin(app.read_so_far())
        for position in range(chance.randrange(30)):
            number = b"LC-%d" % chance.randrange(3)
            what = chance.random()
            if what < 0.6:
                app.write(number, state(position))
            elif what < 0.8:
                app.strays.log.append((number, state(chance.randrange(position + 1) - 1), False))
            else:
                asyncio.run(keeper.look(1))
        asyncio.run(keeper.look(1))
        known = {number: position_of(value) for number, value in app.known.items()}
        assert {number: at for number, at in last(app).items() if number in known and at < known[number]} == {}, f"seed {seed}"
        reads = app.strays.reads
        asyncio.run(keeper.look(1))
        assert (app.strays.reads, app.strays.suspected) == (reads, False), f"seed {seed}: read again what is known"


def test_own_records_are_not_read_back() -> None:
    """Whoever is alone reads nothing."""
    app = App()
    app.strays.begin({0: 0})
    for position in range(5):
        app.write(b"LC-1", state(position))
    asyncio.run(Keeper(app, app.store).look(1))  # type: ignore[arg-type]
    assert app.strays.reads == 0


def test_a_write_that_is_told_of_late_is_no_stray_for_ever() -> None:
    """The brokers had it before the look, and the writer says so after it."""
    strays = Topic()
    strays.begin({0: 0})
    strays.log.append((b"LC-1", state(1), True))
    strays.read(strays.unknown(strays.ends()))
    assert strays.wrote({0: [0]}) == {0}
    assert not strays.suspected


def test_a_case_that_was_overtaken_when_the_changelog_was_read_is_written_again() -> None:
    """Once, by whoever has it next."""
    app = App()
    app.known[b"LC-1"], app.late = state(9), [(0, b"LC-1")]
    app.strays.log.append((b"LC-1", state(3), False))
    app.read_to = 1
    app.strays.begin(app.read_so_far())
    for _ in range(2):
        asyncio.run(Keeper(app, app.store).look(1))  # type: ignore[arg-type]
    assert [position_of(value) for _, value, _ in app.strays.log] == [3, 9]


@pytest.mark.parametrize("trouble", ["away", "another's"])
def test_what_cannot_be_written_over_now_is_found_again(trouble: str) -> None:
    """Neither brokers that are away nor partitions that are changing make it forgotten."""
    app = App()
    app.strays.begin({0: 0})
    app.write(b"LC-1", state(5))
    app.strays.log.append((b"LC-1", state(1), False))

    async def refuse(_cases: Any, _generation: int) -> bool:
        return False

    app.strays.away = trouble == "away"
    asyncio.run(Keeper(app, refuse).look(1))  # type: ignore[arg-type]
    app.strays.away = False
    asyncio.run(Keeper(app, app.store).look(1))  # type: ignore[arg-type]
    assert last(app) == {b"LC-1": 5}


def test_it_looks_when_there_is_something_to_suspect(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once with new partitions, and where records between its own are not; not where all is its own."""
    monkeypatch.setattr("services.coordinator.keeper._LOOK_SECONDS", 0)
    app, stop, looks = App(), Stop(), list[int]()
    keeper = Keeper(app, app.store)  # type: ignore[arg-type]

    async def look(generation: int) -> None:
        looks.append(generation)
        app.strays.read(app.strays.unknown(app.strays.ends()))
        if len(looks) == 1:
            app.write(b"LC-1", state(1))
            app.strays.log.append((b"LC-1", state(0), False))
            app.write(b"LC-2", state(1))
        elif len(looks) == 2:
            app.generation = 2
        else:
            stop.set()

    monkeypatch.setattr(keeper, "look", look)
    asyncio.run(keeper.run(stop))
    assert looks == [1, 1, 2]


def test_the_last_state_of_a_case_decides() -> None:
    """An older one with a newer one behind it is no harm."""
    found = [(0, b"a", state(1)), (0, b"a", state(5)), (0, b"b", state(2)), (1, b"c", state(2))]
    known = {(0, b"a"): state(5), (0, b"b"): state(3), (1, b"c"): None}
    assert older(found, known) == [(0, b"b")]
