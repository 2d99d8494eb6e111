"""The size of transactions finds itself: under simulated costs, with noise, with light traffic, with bounds."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.kafka.pace import Pace
from tests.examples import examples

FIRST = 5_000
MANY, FEW = (0.9, 16e-6), (0.012, 18e-6)  # seconds per transaction and per event, as measured with 1,000 and with 3 destinations


def backlog(pace: Pace, transactions: int, cost: tuple[float, float], *, noise: float = 0.0) -> list[tuple[int, float]]:
    """(events, seconds) of transactions that always find more than they may take."""
    chance = random.Random(7)
    done = []
    for _ in range(transactions):
        events = pace.limit
        seconds = (cost[0] + cost[1] * events) * (1 + chance.uniform(-noise, noise))
        pace.done(events, seconds, waiting=True)
        done.append((events, seconds))
    return done


def rate(done: list[tuple[int, float]]) -> float:
    return sum(events for events, _ in done) / sum(seconds for _, seconds in done)


def best(cost: tuple[float, float], most: int, seconds: float) -> float:
    sizes = [FIRST * 2**n for n in range(8) if FIRST * 2**n <= most and cost[0] + cost[1] * FIRST * 2**n <= seconds]
    return max(size / (cost[0] + cost[1] * size) for size in sizes)


@pytest.mark.parametrize("cost", [MANY, FEW, (0.1, 16e-6), (2.0, 50e-6), (0.001, 1e-6)])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_it_comes_close_to_the_best_size(cost: tuple[float, float], noise: float) -> None:
    """Whatever transactions cost: at least nine tenths of what the best size gives, trying included."""
    pace = Pace(most=200_000, seconds=5.0)
    backlog(pace, 30, cost, noise=noise)
    assert rate(backlog(pace, 100, cost, noise=noise)) > 0.9 * best(cost, 200_000, 5.0)


def test_it_is_no_larger_than_pays() -> None:
    """With few destinations a larger transaction gains nothing, and its deliveries wait."""
    pace = Pace(most=200_000, seconds=5.0)
    assert max(events for events, _ in backlog(pace, 100, FEW)) <= 40_000


def test_it_follows_what_changes() -> None:
    """More destinations come and go: the size grows, and shrinks again."""
    pace = Pace(most=200_000, seconds=5.0)
    backlog(pace, 20, FEW)
    backlog(pace, 100, MANY)
    assert pace.limit >= 80_000
    backlog(pace, 200, FEW)
    assert pace.limit <= 20_000


def test_light_traffic_makes_it_small_again() -> None:
    """The burst after it begins with a small transaction, not with one of the size that a backlog had."""
    pace = Pace(most=200_000, seconds=5.0)
    backlog(pace, 20, MANY)
    for _ in range(6):
        pace.done(10, 0.01, waiting=False)
    assert pace.limit == FIRST


def test_bounds_hold() -> None:
    """Neither more events nor more time than was asked for; small bounds are allowed."""
    pace = Pace(most=30_000, seconds=1.0)
    assert max(events for events, _ in backlog(pace, 50, (0.1, 1e-6))) <= 30_000
    slow = Pace(most=200_000, seconds=1.0)
    assert max(seconds for _, seconds in backlog(slow, 50, (0.1, 20e-6))) <= 1.0
    assert Pace(most=1, seconds=1.0).room(0, 0.0) == 1
    backlog(one := Pace(most=1, seconds=1.0), 50, FEW)
    assert one.limit == 1
    assert pace.room(10, 1.0) == 0
    assert pace.room(pace.limit + 1, 0.1) == 0


def test_a_size_that_failed_is_halved_and_not_tried_again_at_once() -> None:
    """The brokers gave a transaction up at that size; later they may take it."""
    pace = Pace(most=200_000, seconds=5.0)
    backlog(pace, 10, MANY)
    size = pace.limit
    pace.failed(size)
    assert pace.limit == size // 2
    assert max(events for events, _ in backlog(pace, 15, MANY)) == size // 2
    assert max(events for events, _ in backlog(pace, 20, MANY)) == size


def test_a_failure_with_few_events_says_nothing_about_size() -> None:
    """Nor is any size smaller than the least."""
    pace = Pace(most=200_000, seconds=5.0)
    backlog(pace, 10, MANY)
    size = pace.limit
    pace.failed(10)
    assert pace.limit == size
    for _ in range(10):
        pace.failed(pace.limit)
    assert pace.limit == FIRST


def test_it_comes_back_when_a_transaction_takes_too_long() -> None:
    """Brokers that have become slow get smaller transactions."""
    pace = Pace(most=200_000, seconds=5.0)
    backlog(pace, 10, MANY)
    assert pace.limit >= 80_000
    backlog(pace, 6, (1.0, 1e-3))
    assert pace.limit == FIRST


def filled(pace: Pace, transactions: int, ending: float, event: float, *, cold: int = 0) -> list[tuple[int, float]]:
    """The same where it is told how long filling takes; the first transactions take four times as long to end."""
    done = []
    for number in range(transactions):
        events = pace.limit
        filling, rest = event * events, ending * (4 if number < cold else 1)
        assert pace.room(events, filling) == 0
        pace.done(events, filling + rest, waiting=True)
        done.append((events, filling + rest))
    return done


def test_it_leaps_where_ending_takes_the_time() -> None:
    """With thousands of destinations a small transaction takes as long as a large one: no steps in between."""
    assert [events for events, _ in filled(Pace(most=200_000, seconds=3.3), 4, 1.3, 16e-6)] == [5_000, 20_000, 80_000, 80_000]


def crowded(pace: Pace, transactions: int, ending: float, event: float, chunk: int = 1_000) -> list[tuple[int, float]]:
    """Chunk after chunk while there is room, beside others' backlog."""
    done = []
    for _ in range(transactions):
        events = chunk
        while pace.room(events, event * events, crowded=True):
            events += chunk
        pace.done(events, event * events + ending, waiting=True)
        done.append((events, event * events + ending))
    return done


@pytest.mark.parametrize(("ending", "event"), [(0.03, 16e-6), (1.3, 16e-6), (0.3, 1e-6)])
def test_beside_a_backlog_others_wait_no_longer_than_it_pays(ending: float, event: float) -> None:
    """Filling takes as long as ending, whatever that is: half the rate, and no more for whoever waits than two transactions."""
    pace = Pace(most=2_000_000, seconds=5.0)
    pace.limit = 1_000_000
    done = crowded(pace, 40, ending, event)[20:]
    assert rate(done) > 0.49 / event
    assert max(seconds for _, seconds in done) < 2.1 * ending + 1_000 * event


def test_a_crowd_says_nothing_of_the_size_that_pays() -> None:
    """The size of a backlog without others beside it is what it was."""
    pace = Pace(most=200_000, seconds=5.0)
    backlog(pace, 20, MANY)
    size = pace.limit
    crowded(pace, 30, MANY[0], MANY[1])
    assert pace.limit == size
    assert pace.room(1_000, 0.1) == size - 1_000


def test_a_slow_start_is_forgotten() -> None:
    """Transactions that took too long because topics were new do not keep it small for long."""
    pace = Pace(most=200_000, seconds=3.3)
    filled(pace, 8, 1.2, 16e-6, cold=5)
    assert pace.limit >= 40_000


@settings(max_examples=examples(300), deadline=None)
@given(
    ending=st.floats(0.001, 3.0),
    event=st.floats(1e-6, 1e-3),
    seconds=st.floats(0.5, 20.0),
    most=st.integers(1, 1_000_000),
    cold=st.integers(0, 6),
)
def test_whatever_they_cost_bounds_hold_and_size_pays(ending: float, event: float, seconds: float, most: int, cold: int) -> None:
    """Never more events than allowed, nor more time than is safe unless the smallest size takes it; and not far from the best."""
    pace = Pace(most=most, seconds=seconds)
    done = filled(pace, 40, ending, event, cold=cold)
    least = min(FIRST, most)
    assert max(events for events, _ in done) <= most
    assert all(took <= 2.01 * seconds for events, took in done[cold:] if events > least)
    sizes = [least * 2**n for n in range(9) if least * 2**n <= most and ending + event * least * 2**n <= seconds] or [least]
    assert rate(filled(pace, 40, ending, event)) > 0.8 * max(size / (ending + event * size) for size in sizes)
