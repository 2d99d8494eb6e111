"""The index of what waits on a partition, against counting the whole partition anew each time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from hutong.lag.pending import NOTHING, Pending, Waiting, total

NAMES = ("a", "b", "c")


@dataclass
class Partition:
    """The naive model: every offset ever written; None is a marker, or a record of an aborted transaction."""

    log: list[tuple[int, tuple[str, ...]] | None] = field(default_factory=list)
    clock: int = 1_000

    def waiting(self, position: int, end: int, name: str) -> Waiting:
        times = [one[0] for one in self.log[position:end] if one is not None and name in one[1]]
        return Waiting(count=len(times), oldest_ms=min(times, default=None), exact=True)

    def records(self, start: int, before: int) -> list[tuple[int, int, tuple[str, ...]]]:
        return [(start + n, *one) for n, one in enumerate(self.log[start:before]) if one is not None]


def read(pending: Pending, partition: Partition, end: int, *, most: int, at_once: int, near: int = 10**9) -> bool:
    """One step of reading, as ``Index`` does it; whether there was anything to read."""
    stretch = pending.unread(end, most=most, sample=most // 2, near=near)
    if stretch is None:
        return False
    start, before = stretch
    last = min(start + at_once, len(partition.log) if before == end else before)
    for offset, ms, names in partition.records(start, last):
        pending.add(offset, ms, names)
    pending.reach(last)
    return True


def read_all(pending: Pending, partition: Partition, end: int) -> None:
    while read(pending, partition, end, most=10**9, at_once=10**9):
        pass


class Lagging(RuleBasedStateMachine):
    """Publish, abort, read a little, move groups forwards and backwards, come and go: the numbers are the model's."""

    groups = Bundle("groups")

    @initialize()
    def begin(self) -> None:
        self.partition, self.pending = Partition(), Pending()
        self.positions: dict[int, int] = {}
        self.end = 0
        self.next_group = 0

    @rule(
        some=st.lists(st.one_of(st.none(), st.lists(st.sampled_from(NAMES), unique=True).map(tuple)), min_size=1, max_size=12),
        pause=st.integers(0, 3),
    )
    def append(self, some: list[tuple[str, ...] | None], pause: int) -> None:
        for one in some:
            self.partition.clock += pause
            self.partition.log.append(None if one is None else (self.partition.clock, one))

    @rule(target=groups, share=st.floats(0, 1))
    def group_comes(self, share: float) -> int:
        self.next_group += 1
        self.positions[self.next_group] = int(share * self.end)
        self.pending.place(self.positions.values())
        return self.next_group

    @rule(group=groups, share=st.floats(0, 1))
    def group_moves(self, group: int, share: float) -> None:
        self.positions[group] = int(share * self.end)
        self.pending.place(self.positions.values())

    @rule(group=consumes(groups))
    def group_goes(self, group: int) -> None:
        del self.positions[group]
        self.pending.place(self.positions.values())

    @rule(most=st.integers(1, 20), at_once=st.integers(1, 10), near=st.integers(0, 60))
    def look(self, most: int, at_once: int, near: int) -> None:
        self.end = len(self.partition.log)
        self.pending.place(self.positions.values())
        self.pending.seen_whole(self.end, self.partition.clock)
        read(self.pending, self.partition, self.end, most=most, at_once=at_once, near=near)

    @rule()
    def look_at_everything(self) -> None:
        self.end = len(self.partition.log)
        self.pending.place(self.positions.values())
        read_all(self.pending, self.partition, self.end)
        for position in self.positions.values():
            found = self.pending.waiting(position, self.end, NAMES)
            assert all(one.exact for one in found.values())

    @invariant()
    def numbers_are_right(self) -> None:
        for position in self.positions.values():
            found = self.pending.waiting(position, self.end, NAMES)
            for name in NAMES:
                true, told = self.partition.waiting(position, self.end, name), found[name]
                if told.exact:
                    assert told == true
                elif true.oldest_ms is not None and told.oldest_ms is not None:
                    assert told.oldest_ms <= true.oldest_ms, "nothing is told to be fresher than it is"

    @invariant()
    def what_all_have_passed_is_forgotten(self) -> None:
        lowest = min(self.positions.values(), default=len(self.partition.log))
        assert self.pending.held <= len(self.partition.records(lowest, len(self.partition.log)))


TestLagging = Lagging.TestCase
TestLagging.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def filled(log: Iterable[tuple[int, tuple[str, ...]] | None]) -> Partition:
    return Partition(log=list(log))


def test_markers_count_for_nothing() -> None:
    """A partition whose readers have all of its records has nothing waiting, though it ends some offsets later."""
    partition = filled([(1, ("a",)), (2, ("a",)), None, None])
    pending = Pending()
    pending.place([2])
    read_all(pending, partition, 4)
    assert pending.waiting(2, 4, ["a"]) == {"a": NOTHING}


def test_beyond_the_cap_a_count_is_an_estimate_and_the_oldest_stays_exact() -> None:
    """Half of the records are a's; a hundred of a thousand offsets are read."""
    partition = filled([(n, ("a",) if n % 2 else ("b",)) for n in range(1000)])
    pending = Pending()
    pending.place([0])
    while read(pending, partition, 1000, most=100, at_once=10):
        pass
    assert pending.held == 100
    found = pending.waiting(0, 1000, ["a", "nobody"])
    assert found["a"] == Waiting(count=500, oldest_ms=1, exact=False)
    # Of somebody whose event was not found yet, the oldest can only be behind what was read.
    assert found["nobody"] == Waiting(count=0, oldest_ms=99, exact=False)


def test_far_from_the_end_a_sample_is_enough() -> None:
    """What cannot be known whole is not read as if it could."""
    partition = filled([(n, ("a",)) for n in range(1000)])
    pending = Pending()
    pending.place([0])
    while read(pending, partition, 1000, most=100, at_once=10, near=999):
        pass
    assert pending.held == 50
    assert pending.waiting(0, 1000, ["a"])["a"] == Waiting(count=1000, oldest_ms=0, exact=False)


def test_a_position_that_has_jumped_ahead_keeps_what_is_surely_true() -> None:
    """Before anything is read there: no older than the last record read before it, and as many as there were of its like."""
    partition = filled([(n, ("a",) if n % 4 == 0 else ()) for n in range(1000)])
    pending, shares = Pending(), dict[str, float]()
    pending.place([0])
    read(pending, partition, 1000, most=100, at_once=100)
    assert pending.waiting(0, 1000, ["a"], shares)["a"].count == 250
    pending.place([600])
    assert pending.waiting(600, 1000, ["a"], shares)["a"] == Waiting(count=100, oldest_ms=99, exact=False)
    assert Pending().waiting(0, 1000, ["a"], shares)["a"] == Waiting(count=250, oldest_ms=None, exact=False)


def test_an_idle_partition_does_not_make_a_new_event_look_old() -> None:
    """What was whole at ten o'clock and has grown since waits since ten o'clock at most, not since its last event before."""
    pending = Pending()
    pending.place([1])
    pending.seen_whole(1, 5_000)
    assert pending.unread(1, most=10, sample=10, near=10) is None
    pending.place([1])
    pending.seen_whole(1, 9_000)
    assert pending.waiting(1, 2, ["a"])["a"] == Waiting(count=0, oldest_ms=9_000, exact=False)


def test_an_event_that_cannot_be_judged_now_keeps_its_age() -> None:
    """With the registry away nobody knows whom it concerns; that something waits, and since when, is told all the same."""
    pending = Pending()
    pending.place([0])
    assert pending.unread(5, most=10, sample=10, near=10) == (0, 5)
    pending.stuck(777)
    assert pending.waiting(0, 5, ["a"])["a"] == Waiting(count=0, oldest_ms=777, exact=False)


def test_two_groups_far_apart_share_no_reading_and_then_meet() -> None:
    """Each span is read by itself, in order; once they touch they are one, and both groups' numbers are exact."""
    partition = filled([(n, ("a",)) for n in range(50)])
    pending = Pending()
    pending.place([0, 40])
    assert pending.unread(50, most=30, sample=30, near=50) == (0, 40)
    read(pending, partition, 50, most=30, at_once=30)
    assert pending.unread(50, most=30, sample=30, near=50) == (40, 50)
    read(pending, partition, 50, most=30, at_once=30)
    assert pending.waiting(40, 50, ["a"])["a"] == Waiting(count=10, oldest_ms=40, exact=True)
    assert pending.waiting(0, 50, ["a"])["a"] == Waiting(count=50, oldest_ms=0, exact=False)
    read(pending, partition, 50, most=31, at_once=30)
    assert pending.waiting(0, 50, ["a"])["a"] == Waiting(count=50, oldest_ms=0, exact=True)


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([], NOTHING),
        ([NOTHING, Waiting(count=2, oldest_ms=5, exact=True)], Waiting(count=2, oldest_ms=5, exact=True)),
        (
            [Waiting(count=1, oldest_ms=9, exact=True), Waiting(count=2, oldest_ms=5, exact=False)],
            Waiting(count=3, oldest_ms=5, exact=False),
        ),
        (
            [Waiting(count=1, oldest_ms=9, exact=True), Waiting(count=0, oldest_ms=None, exact=False)],
            Waiting(count=1, oldest_ms=9, exact=False, blind=True),
        ),
        ([NOTHING, Waiting(count=0, oldest_ms=None, exact=False)], Waiting(count=0, oldest_ms=None, exact=False)),
    ],
)
def test_partitions_add_up(parts: list[Waiting], whole: Waiting) -> None:
    """Counts add, the oldest is the oldest of all, one estimate makes the sum one, and what is not known is said."""
    assert total(parts) == whole
