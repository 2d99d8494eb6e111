"""The simulated calendar against the clock on the wall: all departments live through the same day at the same time.

Neighbours: ``act_two`` sets the clock, ``demo.systems`` take their cases when their day has come.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Self

from demo.changes import Change
from demo.population import FIRST_DAY

__all__ = ["Clock", "batches"]

_WAIT_SECONDS = 0.05  # a counter that is ahead of the clock looks again after this


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How fast simulated time passes.

    Attributes:
        begins: when the first simulated day begins, in seconds since the epoch.
        seconds: how long all simulated days take together, on a machine that keeps up.
        days: how many simulated days there are.
    """

    begins: float
    seconds: float
    days: int

    def comes(self, day: date) -> float:
        """When a simulated day is over and its cases are on the counter, in seconds since the epoch."""
        return self.begins + self.seconds * ((day - FIRST_DAY).days + 1) / self.days

    def arguments(self) -> list[str]:
        """As a command line takes it."""
        return [str(self.begins), str(self.seconds), str(self.days)]

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Self:
        """Back from a command line."""
        begins, seconds, days = arguments
        return cls(begins=float(begins), seconds=float(seconds), days=int(days))


def batches(cases: Iterable[Change], clock: Clock, most: int) -> Iterator[list[Change]]:
    """The cases in order, as many together as have come, but not more than ``most``; waits for those that have not."""
    batch: list[Change] = []
    for case in cases:
        if len(batch) == most or (batch and clock.comes(case.day) > time.time()):
            yield batch
            batch = []
        while clock.comes(case.day) > time.time():
            time.sleep(_WAIT_SECONDS)
        batch.append(case)
    if batch:
        yield batch
