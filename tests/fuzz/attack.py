"""One surface under attack: values drawn, each given to it, its outcome, its time and the memory noted; a fault ends it.

Neighbours: ``surfaces`` has one module for each surface, ``report`` shows the rows, ``watchdog`` ends what hangs.
"""

from __future__ import annotations

import gc
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.fuzz.memory import resident_bytes
from tests.fuzz.watchdog import within

__all__ = ["MOST_SECONDS", "Attack", "Found", "Row", "Surface", "attack"]

MOST_SECONDS = 0.1
"""Processor time that a value may cost."""

_AGAIN = 3
_LONGEST_SHOWN = 1_500


class Found(AssertionError):
    """A value to which the surface does not behave; the message has all that is needed to see it again."""


class Attack(Protocol):
    """A surface that has been set up."""

    def draw(self, rng: random.Random) -> Any:
        """The next value."""

    def strike(self, value: Any) -> str:
        """Give it to the surface; what became of it in a word or two. Raises ``Found`` where that is wrong."""


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A place where somebody's input comes in.

    Attributes:
        name: of the row.
        says: what is attacked with what.
        share: of a million values.
        open: (seed, a directory of its own) -> the attack, for as long as the context lasts.
        clock: the processor time that counts: this thread's, or the process's where the surface has threads.
    """

    name: str
    says: str
    share: int
    open: Callable[[int, Path], AbstractContextManager[Attack]]
    clock: Callable[[], float] = time.thread_time


@dataclass(slots=True, kw_only=True)
class Row:
    """What became of a surface's values.

    Attributes:
        surface: its name.
        values: how many there were.
        outcomes: what became of them.
        seconds: how long all of it took.
        slowest: processor time of the slowest value, in seconds.
        grown: bytes by which the process has grown meanwhile.
    """

    surface: str
    values: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: float = 0.0
    grown: int = 0

    @property
    def rate(self) -> float:
        """Values a second."""
        return self.values / self.seconds if self.seconds else 0.0


def attack(surface: Surface, count: int, seed: int, directory: Path) -> Row:
    """Give so many values to a surface.

    Raises:
        Found: with the first value that it does not take as it should.
    """
    row, rng = Row(surface=surface.name), random.Random(f"{surface.name} {seed}")
    directory.mkdir(parents=True, exist_ok=True)
    with surface.open(seed, directory) as made:
        _values(surface, made, min(100, count), rng, Row(surface=surface.name))  # what is made at first use is no growth
        gc.collect()
        began, before = time.perf_counter(), resident_bytes()
        _values(surface, made, count, rng, row)
        row.seconds = time.perf_counter() - began
        gc.collect()
        row.grown = max(0, resident_bytes() - before)
    return row


def _values(surface: Surface, made: Attack, count: int, rng: random.Random, row: Row) -> None:
    for _ in range(count):
        value = made.draw(rng)
        try:
            outcome, seconds = _timed(surface, made, value)
            if seconds > MOST_SECONDS:  # once may be the collector of garbage, or a page that was not there
                seconds = min(seconds, *(_timed(surface, made, value)[1] for _ in range(_AGAIN)))
        except Exception as error:
            problem = str(error) if isinstance(error, Found) else f"{type(error).__name__} got out: {error}"
            raise Found(f"{surface.name}: {problem}\nvalue {repr(value)[:_LONGEST_SHOWN]}") from error
        if seconds > MOST_SECONDS:
            raise Found(f"{surface.name}: took {seconds:.3f} s of processor time\nvalue {repr(value)[:_LONGEST_SHOWN]}")
        row.values += 1
        row.outcomes[outcome] += 1
        row.slowest = max(row.slowest, seconds)


def _timed(surface: Surface, made: Attack, value: Any) -> tuple[str, float]:
    began = surface.clock()
    with within():
        outcome = made.strike(value)
    return outcome, surface.clock() - began
