"""The demo's history: pure, in order, coherent, with the conflicts and slips that it promises."""

from __future__ import annotations

from collections import Counter

import pytest

from demo.__main__ import PERSONS, SEED
from demo.changes import BenefitStopped, Change, Cremation, Marriage, RegisterCancelled
from demo.life import live
from demo.population import populate
from demo.slips import DEFECTS


@pytest.fixture(scope="module")
def history() -> tuple[Change, ...]:
    return live(populate(7, 12_000), 7, months=36)


def test_the_seed_decides() -> None:
    """A history is a pure function of population, seed and months."""
    people = populate(5, 800)
    assert live(people, 5, months=6) == live(people, 5, months=6)
    assert live(people, 5, months=6) != live(people, 6, months=6)


def test_days_rise(history: tuple[Change, ...]) -> None:
    """Changes stand in the order of their days."""
    days = [change.day for change in history]
    assert days == sorted(days)


def test_every_department_has_work(history: tuple[Change, ...]) -> None:
    """All four departments record something, all kinds of changes occur."""
    assert len({type(change) for change in history}) == 10
    assert set(Counter(change.department for change in history)) == {
        "mca.assistance",
        "mca.funeral",
        "mca.marriage",
        "mps.population",
    }


def test_slips_are_few_and_known(history: tuple[Change, ...]) -> None:
    """Forty entries are spoilt, every kind of slip the same number of times."""
    assert Counter(change.defect for change in history if change.defect) == dict.fromkeys(DEFECTS, 10)


def test_nobody_dies_twice_or_marries_after_death(history: tuple[Change, ...]) -> None:
    """A cremated person is cremated once and does nothing afterwards but be struck off."""
    cremated: set[int] = set()
    for change in history:
        if isinstance(change, Cremation):
            assert change.deceased.number not in cremated
            cremated.add(change.deceased.number)
        if isinstance(change, Marriage):
            assert not {change.first.number, change.second.number} & cremated


def test_some_sources_conflict(history: tuple[Change, ...]) -> None:
    """Some dates of death differ between parlour and register, and somebody declared dead marries later."""
    cremated = {change.deceased.number: change.died for change in history if isinstance(change, Cremation)}
    struck = [change for change in history if isinstance(change, RegisterCancelled)]
    assert any(cremated.get(change.person.number, change.died) != change.died for change in struck)
    assert any((change.day - change.died).days > 60 for change in struck if change.source != "COURT")
    declared = {change.person.number: change.day for change in struck if change.source == "COURT"}
    marriages = [change for change in history if isinstance(change, Marriage)]
    assert any(
        change.day > declared[one.number]
        for change in marriages
        for one in (change.first, change.second)
        if one.number in declared
    )


def test_some_benefits_are_paid_after_death(history: tuple[Change, ...]) -> None:
    """A benefit of a household without living members is stopped late."""
    assert any(change.reason == "DEATH" for change in history if isinstance(change, BenefitStopped))


def test_the_demos_own_world_is_large_enough() -> None:
    """With its defaults the demo has at least 50,000 sound entries."""
    history = live(populate(SEED, PERSONS), SEED)
    assert sum(change.defect is None for change in history) >= 50_000
