"""The clock of the benchmark: where it starts and ends, and what counts as a stand-still."""

from __future__ import annotations

import pytest

from bench.endurance import longest_pause
from bench.measure import Sample, even, window


def samples(*committed: tuple[int, int]) -> list[Sample]:
    """One a second."""
    return [Sample(float(second), each, second / 2) for second, each in enumerate(committed)]


def test_the_clock_runs_while_every_partition_has_events() -> None:
    """The first third is warming up; the last commit, of one partition alone, is left out."""
    seen = samples((0, 0), (10, 10), (20, 20), (30, 30), (40, 40), (50, 45), (50, 50))
    first, last = window(seen, (50, 50))
    assert (first.committed, last.committed) == ((20, 20), (40, 40))


def test_it_runs_to_the_end_where_one_partition_is_done_early() -> None:
    """Else most of the work would not be timed."""
    seen = samples((0, 0), (20, 20), (50, 20), (50, 35), (50, 50))
    first, last = window(seen, (50, 50))
    assert (first.committed, last.committed) == ((20, 20), (50, 50))


def test_two_transactions_are_enough() -> None:
    """The first one's commit starts the clock, late as it is."""
    first, last = window(samples((0, 0), (0, 30), (50, 50)), (50, 50))
    assert (first.committed, last.committed) == ((0, 30), (50, 50))


def test_one_transaction_is_no_rate() -> None:
    """How long it took includes starting up."""
    with pytest.raises(SystemExit, match="give the case more events"):
        window(samples((0, 0), (50, 50)), (50, 50))


def test_two_who_commit_apart_are_not_timed_between_their_commits() -> None:
    """Each does 10 a second: between one's commit and the other's nothing but a tenth of a second's work was done."""
    moments = [(0.0, (0, 0)), (1.0, (10, 0)), (1.1, (10, 10)), (2.0, (20, 10)), (2.1, (20, 20)), (3.0, (30, 20)), (3.1, (30, 30))]
    seen = even([Sample(seconds, committed, 0.0) for seconds, committed in moments])
    assert [round(sum(sample.committed), 1) for sample in seen] == [0.0, 19.1, 21.0, 39.0, 41.0, 59.0, 60.0]
    first, last = window(seen, (30, 30))
    rate = (sum(last.committed) - sum(first.committed)) / (last.seconds - first.seconds)
    assert rate == pytest.approx(20.0)


def test_the_longest_pause_is_any_partitions() -> None:
    """One that stands still counts, whatever the others do."""
    moves = [(0.0, (0, 0)), (1.0, (5, 5)), (2.0, (9, 5)), (3.0, (12, 5)), (4.0, (15, 8)), (5.0, (15, 9))]
    assert longest_pause(moves) == 3.0


def test_a_pause_that_has_not_ended_counts() -> None:
    """A partition that nobody reads any more must show."""
    assert longest_pause([(0.0, (0,)), (1.0, (4,)), (2.0, (4,)), (7.0, (4,))]) == 6.0
