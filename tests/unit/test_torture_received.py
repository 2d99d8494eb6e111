"""The check of what a subscriber received: a gap, a repetition, another order and a wrong place to go on from are each found."""

from __future__ import annotations

import pytest

from tests.torture.faults.subscribers import check_received
from tests.torture.reader import Received

DUE = [((0, 0), "a"), ((0, 2), "b"), ((0, 3), "c"), ((1, 5), "d")]


def got(*events: tuple[int, int, int]) -> list[Received]:
    """What came: (life, partition, offset)."""
    ids = dict(DUE)
    return [
        Received(run=run, partition=partition, offset=offset, id=ids.get((partition, offset), "?"), agreement="x", key="k")
        for run, partition, offset in events
    ]


WELL = [(1, 0, 0), (1, 0, 2), (1, 1, 5), (1, 0, 3)]


def test_all_of_it_once_in_order_is_well() -> None:
    """Markers of transactions leave gaps in the offsets, and partitions mix."""
    check_received(got(*WELL), DUE, [])


def test_after_a_death_the_last_moments_come_again() -> None:
    """From the stored position on, which may be behind what had been received, and may be at a marker."""
    check_received(got((1, 0, 0), (1, 0, 2), (2, 0, 2), (2, 0, 3), (2, 1, 5)), DUE, [{0: 1, 1: 5}])


@pytest.mark.parametrize(
    ("events", "resumed", "problem"),
    [
        (WELL[:-1], [], "never received"),
        ([*WELL, (1, 0, 3)], [], "life 1"),
        ([WELL[1], WELL[0], *WELL[2:]], [], "life 1"),
        ([*WELL, (1, 7, 7)], [], "not there"),
        ([(1, 0, 0), (2, 0, 2), (2, 0, 3), (2, 1, 5)], [{0: 0, 1: 5}], "life 2"),
        ([(1, 0, 0), (1, 0, 2), (2, 0, 0), (2, 0, 2), (2, 0, 3), (2, 1, 5)], [{0: 2, 1: 5}], "life 2"),
    ],
)
def test_everything_else_is_found(events: list[tuple[int, int, int]], resumed: list[dict[int, int]], problem: str) -> None:
    """Lost, twice, out of order, invented, and gone on from elsewhere."""
    with pytest.raises(AssertionError, match=problem):
        check_received(got(*events), DUE, resumed)
