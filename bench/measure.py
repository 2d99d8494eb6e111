"""One run of one contender: started, watched through its group's committed offsets, stopped, and its output checked.

The clock is the same for all. It starts at the first commit past a third of the events, so that starting up, the first slow
transaction and a just-in-time compiler's warming are nobody's loss. It ends at the last commit that left events on every
partition, so that nobody waits for company that has gone; where that is less than half of the way, at the end. Of a contender
whose threads or processes commit apart, a partition's progress between two of its commits counts as even: else the moment between
one's commit and another's would hold a second's work of both.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from bench.bus import Bus, Declared, Progress
from bench.check import Expected, deliveries
from bench.contenders.contender import Contender, Running, Task
from bench.workload import untraced

__all__ = ["Measured", "Sample", "even", "run", "task_of", "window"]

_EVERY_SECONDS = 0.05
_PATIENCE_SECONDS = 240.0
_WARM = 1 / 3


class Sample(NamedTuple):
    """Where a contender stood at a moment.

    Attributes:
        seconds: of a monotonic clock.
        committed: events on each partition.
        cpu_seconds: processor time so far.
    """

    seconds: float
    committed: tuple[float, ...]
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run whose output was right.

    Attributes:
        events_per_s: events taken in.
        deliveries_per_s: deliveries made of them.
        cpu_us: processor time of the contender's own processes per event, in µs.
        peak_mb: the most memory that its largest process had.
        repeated: deliveries that came more than once.
    """

    events_per_s: float
    deliveries_per_s: float
    cpu_us: float
    peak_mb: float
    repeated: int


def run(bus: Bus, declared: Declared, contender: Contender, expected: Expected, *, group: str, folder: Path) -> Measured:
    """Measure one contender once.

    Raises:
        Wrong: its output is not what it must be.
    """
    starts = bus.ends(declared.destinations)
    goal = bus.ends([declared.topic])
    task = task_of(bus, declared, group=group, folder=folder)
    progress = Progress(bus.operator, group, list(goal))
    running = contender.start(task)
    try:
        samples = _watch(running, progress, tuple(goal.values()))
        peak = running.memory_mb("VmHWM")
    finally:
        running.stop()
        progress.close()
    found = deliveries(bus.operator, starts)
    if getattr(contender, "traces", False):
        found = map(untraced, found)
    repeated = expected.compare(found, exactly_once=contender.exactly_once)
    bus.forget(bus.ends(declared.destinations))
    first, last = window(even(samples) if running.commits_apart else samples, tuple(goal.values()))
    events = sum(last.committed) - sum(first.committed)
    rate = events / (last.seconds - first.seconds)
    return Measured(
        events_per_s=rate,
        deliveries_per_s=rate * declared.workload.case.fan_out,
        cpu_us=(last.cpu_seconds - first.cpu_seconds) / events * 1e6,
        peak_mb=peak,
        repeated=repeated,
    )


def task_of(bus: Bus, declared: Declared, *, group: str, folder: Path) -> Task:
    """The task of routing a case on a bus."""
    settings, operator = bus.router, bus.operator
    return Task(declared=declared, home=bus.home, settings=settings, operator=operator, group=group, folder=folder)


def _watch(running: Running, progress: Progress, goal: tuple[int, ...]) -> list[Sample]:
    """Every change of the committed offsets, until all is committed."""
    samples = [Sample(time.perf_counter(), tuple(0 for _ in goal), 0.0)]
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for committed in progress:
        running.check()
        if committed != samples[-1].committed:
            samples.append(Sample(time.perf_counter(), committed, running.cpu_seconds()))
        if committed == goal:
            return samples
        if time.monotonic() > deadline:
            raise SystemExit(f"{sum(committed)} of {sum(goal)} events after {_PATIENCE_SECONDS:g} s; see {running.log}")
        time.sleep(_EVERY_SECONDS)
    raise AssertionError("progress never ends")


def even(samples: Sequence[Sample]) -> list[Sample]:
    """The samples, with each partition's progress between two of its commits spread evenly over the time between them."""
    columns = []
    for values in zip(*(sample.committed for sample in samples), strict=True):
        moves = [0, *(at for at in range(1, len(values)) if values[at] != values[at - 1]), len(values) - 1]
        column = list(values)
        for before, after in pairwise(moves):
            start, end = samples[before].seconds, samples[after].seconds
            for at in range(before + 1, after):
                column[at] += (values[after] - values[before]) * (samples[at].seconds - start) / (end - start)
        columns.append(column)
    return [sample._replace(committed=committed) for sample, committed in zip(samples, zip(*columns, strict=True), strict=True)]


def window(samples: Sequence[Sample], goal: tuple[int, ...]) -> tuple[Sample, Sample]:
    """The samples between which the clock runs.

    Args:
        samples: every change that was seen, from nothing committed to everything.
        goal: events on each partition.

    Raises:
        SystemExit: too few commits were seen to time anything.
    """
    total = sum(goal)
    first = next(sample for sample in samples if sum(sample.committed) >= total * _WARM)
    if first is samples[-1]:
        first = samples[1]
    if first is samples[-1]:
        raise SystemExit(f"all {total} events were committed at once: that is no rate; give the case more events")
    busy = [sample for sample in samples if all(done < end for done, end in zip(sample.committed, goal, strict=True))]
    last = busy[-1]
    half = sum(last.committed) - sum(first.committed) >= (total - sum(first.committed)) / 2
    return first, last if half else samples[-1]
