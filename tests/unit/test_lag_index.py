"""How far the index reads: bounded memory, no use in reading what is passed meanwhile, and the registry's outages. No broker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from hutong.errors import RegistryUnavailable
from hutong.kafka.chunk import Place
from hutong.kafka.stretches import Stretch
from hutong.lag.index import Index
from hutong.lag.pending import Waiting
from hutong.memory import MemoryRecord
from hutong.transport import Record

TOPIC = "pub.x.y"
HERE, THERE = (TOPIC, 0), (TOPIC, 1)


class Partitions:
    """Partitions that hold a record at every offset, read like the real ones; counts what it is asked for."""

    def __init__(self, sizes: Mapping[Place, int]) -> None:
        self.sizes = dict(sizes)
        self.at: dict[Place, int] = {}
        self.fetched = 0

    def want(self, starts: Mapping[Place, int]) -> None:
        self.at = dict(starts)

    def drop(self, place: Place) -> None:
        self.at.pop(place, None)

    def read(self, _seconds: float) -> Iterator[Stretch]:
        while self.at:
            for place in list(self.at):
                start, size = self.at[place], self.sizes[place]
                edge = min(size, start + 500)
                records: Any = [MemoryRecord(TOPIC, (place[1], n), b"k", b"v", [], n) for n in range(start, edge)]
                self.fetched += len(records)
                self.at[place] = edge
                yield Stretch(place=place, records=records, edge=edge, at_end=edge == size)


def everyone(_topic: str, records: Sequence[Record]) -> list[list[str]]:
    return [["a"]] * len(records)


def index(partitions: Any, **options: bool) -> Index:
    return Index(partitions, **options)


def look(of: Index, partitions: Partitions, position: int, place: Place = HERE) -> Waiting:
    """One look: everybody stands at a position; what waits behind it."""
    end = partitions.sizes[place]
    of.settle(place, [position], end, at_ms=10**9)
    of.read({place: end}, everyone, 60.0)
    return of.waiting(place, position, end, ["a"])["a"]


def test_a_standing_position_is_known_exactly_after_some_looks_and_read_once() -> None:
    """Each look reads further ahead than the one before; what is read is read once."""
    partitions = Partitions({HERE: 55_000})
    seen = index(partitions)
    found = [look(seen, partitions, 0) for _ in range(4)]
    assert [one.exact for one in found] == [False, False, False, True]
    assert {(one.count, one.oldest_ms) for one in found} == {(55_000, 0)}
    assert partitions.fetched == 55_000


def test_one_look_alone_reads_all_that_can_be_counted() -> None:
    """Where the end is further away than the cap, a sample estimates it."""
    partitions = Partitions({HERE: 150_000})
    seen = index(partitions, eager=True)
    assert look(seen, partitions, 0) == Waiting(count=150_000, oldest_ms=0, exact=False)
    assert partitions.fetched == 10_000
    assert look(seen, partitions, 60_000) == Waiting(count=90_000, oldest_ms=60_000, exact=True)
    assert partitions.fetched == 100_000


def test_what_is_passed_as_fast_as_it_is_read_is_read_less_and_less() -> None:
    """At a high rate a look at a thousand records tells as much as one at ten thousand; when the rate falls, all are read."""
    partitions = Partitions({HERE: 0})
    seen = index(partitions)
    costs = []
    for position in range(0, 900_000, 100_000):
        before = partitions.fetched
        partitions.sizes[HERE] = position + 50_000
        found = look(seen, partitions, position)
        assert (found.count, found.oldest_ms) == (50_000, position)
        costs.append(partitions.fetched - before)
    assert costs[0] == 10_000
    assert costs[-1] == 1_000
    for _ in range(7):
        found = look(seen, partitions, position)
    assert found.exact


def test_a_large_backlog_costs_a_sample() -> None:
    """A million records that routers work off: two thousand of them are read for each look that finds them gone on."""
    partitions = Partitions({HERE: 1_000_000})
    seen = index(partitions)
    for position in range(0, 800_000, 5_000):
        found = look(seen, partitions, position)
        assert (found.count, found.oldest_ms, found.exact) == (1_000_000 - position, position, False)
    assert partitions.fetched < 0.5 * 800_000


def test_all_partitions_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many partitions stand still, no more than the common cap is held."""
    monkeypatch.setattr("hutong.lag.index._ALL", 12_000)
    partitions = Partitions({HERE: 20_000, THERE: 20_000})
    seen = index(partitions, eager=True)
    for place in partitions.sizes:
        seen.settle(place, [0], 20_000, at_ms=0)
    for _ in range(3):
        seen.read(partitions.sizes, everyone, 60.0)
    assert 12_000 <= partitions.fetched <= 13_000
    assert not seen.waiting(HERE, 0, 20_000, ["a"])["a"].exact


def test_without_the_registry_something_waits_and_nobody_knows_for_whom() -> None:
    """The age is told, the count is not; when the registry is back, both are exact."""
    partitions = Partitions({HERE: 50})

    def unknown(_topic: str, _records: Sequence[Record]) -> list[list[str]]:
        raise RegistryUnavailable("away")

    seen = index(partitions)
    seen.settle(HERE, [7], 50, at_ms=10**9)
    seen.read({HERE: 50}, unknown, 60.0)
    assert seen.waiting(HERE, 7, 50, ["a"])["a"] == Waiting(count=0, oldest_ms=7, exact=False)
    assert look(seen, partitions, 7) == Waiting(count=43, oldest_ms=7, exact=True)


def test_changed_agreements_are_asked_about_anew() -> None:
    """After a change everything that waits is read again; another topic's records stay."""
    partitions = Partitions({HERE: 50})
    seen = index(partitions)
    look(seen, partitions, 0)
    seen.forget("pub.other")
    assert look(seen, partitions, 0).exact
    assert partitions.fetched == 50
    seen.forget(TOPIC)
    assert look(seen, partitions, 0) == Waiting(count=50, oldest_ms=0, exact=True)
    assert partitions.fetched == 100


def test_offsets_without_a_record_are_known_once_they_were_read() -> None:
    """What retention takes of them is no loss."""
    partitions = Partitions({HERE: 50})
    seen = index(partitions)
    assert seen.known_empty(HERE, 0, 10) == 0
    look(seen, partitions, 0)
    assert seen.known_empty(HERE, 0, 10) == 0  # every offset here holds a record
    seen.keep([])
    assert seen.known_empty(HERE, 0, 10) == 0
