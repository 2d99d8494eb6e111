"""The short torture run: faults that a machine of two cores bears in three minutes; ``make torture`` has all of them.

Neighbours: ``tests/torture`` does it, ``tests/unit/test_torture_judge`` shows that its judge sees what it should.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.torture.faults import FAULTS
from tests.torture.personal import scan
from tests.torture.runner import torture
from tests.torture.world import World

pytestmark = pytest.mark.timeout(240)

_SHORT = [name for name, fault in FAULTS.items() if fault.short_times]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One bus for all of them."""
    with World(brokers=1, seed=secrets.randbelow(2**32), short=True) as world:
        yield world


@pytest.mark.parametrize("name", _SHORT)
def test_nothing_is_lost_and_nobody_sees_what_is_not_granted(world: World, name: str) -> None:
    """Under load: lost, duplicated, misordered, over-granted, torn, aborted and read, conflicting, unaccounted: 0 of each.

    Of a control the judge must find something.
    """
    fault = FAULTS[name]
    assert fault.brokers == 1, "three brokers are too much for the short run"
    row = torture(world, fault, fault.short_times)
    assert row.problem == "", f"seed {world.seed}"
    assert row.verdict is not None
    assert row.is_clean, f"seed {world.seed}: {dict(row.verdict.shown)}"
    assert row.struck == fault.short_times
    assert row.verdict.events > 100  # there was something that could have been lost


def test_nothing_that_was_left_behind_tells_of_anybody(world: World) -> None:
    """No identity number, name, phone number or address in logs, pages, reasons, spans, process lists; a planted one is found."""
    assert [str(hit) for hit in scan(world)] == []
