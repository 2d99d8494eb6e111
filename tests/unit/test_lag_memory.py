"""What takes two looks to see: an offset that stands still, what retention took, and promises kept over time."""

from __future__ import annotations

import pytest

from hutong.lag.memory import Losses, Restarts, Standing
from hutong.lag.pending import NOTHING, Waiting
from hutong.lag.snapshot import AgreementLag, Snapshot
from services.monitor.promises import Promises

PLACE = ("pub.x.y", 0)


def test_a_stable_offset_that_moves_does_not_stand() -> None:
    """Open transactions are normal; only one whose offset stays is told, from the moment it was first seen there."""
    standing = Standing()
    assert standing.note(PLACE, 10, 10, 0.0) == 0
    assert standing.note(PLACE, 10, 12, 1.0) == 0
    assert standing.note(PLACE, 11, 14, 2.0) == 0
    assert standing.note(PLACE, 11, 14, 5.0) == 3
    assert standing.note(PLACE, 11, 20, 9.0) == 7
    assert standing.note(PLACE, 20, 20, 10.0) == 0
    assert standing.note(PLACE, 20, 21, 11.0) == 0


def test_a_loss_is_counted_once() -> None:
    """A group that does not move loses what retention takes, each offset once; where it has gone on, from there."""
    losses = Losses()
    assert losses.begin("g", PLACE, 5, 10) == 5
    losses.note("g", PLACE, 10, 5)
    assert losses.begin("g", PLACE, 5, 13) == 10
    losses.note("g", PLACE, 13, 2)
    assert (losses.of("g", PLACE[0]), losses.begin("g", PLACE, 20, 13)) == (7, 20)
    assert losses.of("h", PLACE[0]) == 0
    assert losses.begin("g", PLACE, 2, 4) == 2  # of a topic that was made anew, nothing is counted yet


def test_a_topic_that_was_made_anew_is_noticed() -> None:
    """One of its partitions ends before its end of the last look; growth, and a topic that is new, are nothing."""
    restarts, other = Restarts(), ("sub.x.y", 0)
    assert restarts.note({PLACE: 7, other: 0}) == frozenset()
    assert restarts.note({PLACE: 9, other: 1}) == frozenset()
    assert restarts.note({PLACE: 2, other: 1}) == {PLACE[0]}
    assert restarts.note({other: 1}) == frozenset()
    assert restarts.note({PLACE: 2, other: 1}) == frozenset()


def lag(name: str, *, oldest_ms: int | None = None, objective: float | None = 60.0, in_force: bool = True) -> AgreementLag:
    waiting = NOTHING if oldest_ms is None else Waiting(count=1, oldest_ms=oldest_ms, exact=True)
    return AgreementLag(
        agreement=name,
        contract="x.y.z",
        recipient="r",
        publisher="x.y",
        topic=f"sub.r.{name}",
        in_force=in_force,
        valid_until_ms=None,
        objective_seconds=objective,
        delivery=waiting,
        taking={},
        at_ms=100_000,
    )


def test_promises_are_summed_over_the_time_between_looks() -> None:
    """Seconds within and beyond the objective; nothing where there is none, or for a time that nobody looked at."""
    promises = Promises()
    seen = [lag("fresh"), lag("late", oldest_ms=30_000), lag("unpromised", objective=None), lag("ended", in_force=False)]
    snapshot = Snapshot(at_ms=100_000, agreements={one.agreement: one for one in seen})
    promises.note(snapshot, 10.0)
    promises.note(snapshot, 12.5)
    promises.note(snapshot, 1000.0)
    assert promises.sums() == {
        ("fresh", True): pytest.approx(32.5),
        ("fresh", False): 0,
        ("late", True): 0,
        ("late", False): pytest.approx(32.5),
    }


def test_the_age_of_an_event_from_a_clock_ahead_of_ours_is_nothing() -> None:
    """A broker's clock that goes before ours makes no negative freshness."""
    assert lag("a", oldest_ms=100_500).freshness_seconds == 0
    assert lag("a", oldest_ms=99_000).freshness_seconds == 1
