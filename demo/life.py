"""Months pass in the demo's world. A pure function: population, seed and months give the same history every time.

Rates are near those of a real town, a little brisk. Some entries carry a slip of the pen that the department's software must
refuse; how many is known beforehand. Neighbours: ``vital``, ``residence`` and ``aid`` write the chapters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from demo import aid, residence, vital
from demo.changes import Change
from demo.living import Month, Town
from demo.population import Population
from demo.slips import DEFECTS, spoil

__all__ = ["MONTHS", "live"]

MONTHS = 60
"""Simulated months of a history: five years."""

_SLIPS = 40

# Per month and 10,000 people.
_DEATHS, _MARRIAGES, _DIVORCES, _BIRTHS, _MOVES, _NAMES, _APPLICATIONS = 15, 13, 6, 9, 30, 9, 12
_RECIPIENTS = 0.15  # of the households, on the first day


def live(population: Population, seed: int, months: int = MONTHS) -> tuple[Change, ...]:
    """What happens, in order: a person's changes stand in the order in which they happened."""
    random = Random(f"life {seed}")  # noqa: S311 - a history, not a secret
    town = Town.found(population, random)
    aid.old_recipients(town, _RECIPIENTS)
    for index in range(months):
        _month(town, Month.number(index))
    # Things decided but not yet done when the simulated time ends have not happened.
    end = Month.number(months).first
    happened = sorted((change for change in town.history if change.day < end), key=lambda change: change.day)
    return tuple(_with_slips(happened, random))


def _month(town: Town, month: Month) -> None:
    def often(rate: float) -> int:
        expected = rate * len(town.people) / 10_000
        return int(expected) + (town.random.random() < expected % 1)

    vital.deaths(town, month, often(_DEATHS))
    vital.marriages(town, month, often(_MARRIAGES))
    vital.divorces(town, month, often(_DIVORCES))
    vital.births(town, month, often(_BIRTHS))
    vital.declarations(town, month, often(0.1))
    residence.moves(town, month, often(_MOVES))
    residence.identity_changes(town, month, often(_NAMES))
    aid.reverifications(town, month)
    aid.applications(town, month, often(_APPLICATIONS))


def _with_slips(changes: Sequence[Change], random: Random) -> Iterator[Change]:
    slips = min(_SLIPS, len(changes) // 20)
    chosen = dict(zip(sorted(random.sample(range(len(changes)), slips)), DEFECTS * slips, strict=False))
    for position, change in enumerate(changes):
        yield spoil(change, chosen[position]) if position in chosen else change
