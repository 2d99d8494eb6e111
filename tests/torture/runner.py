"""Goes through the faults: for each a load, strikes at random moments, recovery after each, and the judge at the end.

Neighbours: ``__main__`` says which faults, ``report`` shows the rows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from tests.torture.evidence import Verdict
from tests.torture.fault import Fault, Prepared
from tests.torture.judge import judge
from tests.torture.world import World

__all__ = ["Row", "run", "torture"]

_LONGEST_PAUSE = 2.0


@dataclass(kw_only=True)
class Row:
    """What came of one fault.

    Attributes:
        name: of the fault.
        says: the fault in words.
        times: how often it was to strike.
        struck: how often it did.
        recovery: of each strike, seconds from its end until events published after it were delivered on every partition; or from
            a blow in the midst of it, such as a broker's death before it is started again, where that took longer.
        seconds: of it all.
        verdict: the judge's; None where there was nothing to judge.
        problem: why it is not all well, besides the verdict.
        is_control: whether the judge must find something: then a verdict without offences is what is wrong.
    """

    name: str
    says: str
    times: int
    struck: int = 0
    recovery: list[float] = field(default_factory=list)
    seconds: float = 0.0
    verdict: Verdict | None = None
    problem: str = ""
    is_control: bool = False

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem and self.verdict is not None and self.verdict.is_clean != self.is_control


def run(world: World, faults: Sequence[tuple[Fault, int]]) -> list[Row]:
    """Let faults strike, one kind after the other, each so often; a row for each."""
    return [torture(world, fault, times) for fault, times in faults]


def torture(world: World, fault: Fault, times: int) -> Row:
    """One kind of fault, so often."""
    control, began = getattr(fault, "is_control", False), time.monotonic()
    row = Row(name=fault.name, says=fault.says, times=times, is_control=control)
    world.say(f"{fault.name} x {times}: {fault.says}")
    world.begin(fault.name)
    try:
        _strike_on(world, fault, row)
        row.verdict = judge(world.end())
    except Exception as error:  # noqa: BLE001 - whatever went wrong belongs into the row, and the other faults have their turn
        _note(row, error)
    finally:
        world.close_time()
    try:
        world.mend()
    except Exception as error:  # noqa: BLE001
        _note(row, error)
    row.seconds = time.monotonic() - began
    well = "the judge has found it" if control else "nothing lost, nothing twice"
    world.say(f"{fault.name}: {well if row.is_clean else f'NOT WELL {row.problem}'}")
    return row


def _strike_on(world: World, fault: Fault, row: Row) -> None:
    """The load, and the strikes in it; both have ended when this returns."""
    chance = Random(f"{world.seed}/{fault.name}")
    prepared = fault if isinstance(fault, Prepared) else None
    try:
        if prepared is not None:
            prepared.prepare(world)
        world.load.start()
        world.probe()  # it runs, and all is well before the first strike
        for _ in range(row.times):
            time.sleep(chance.uniform(0, _LONGEST_PAUSE))  # the moment of the strike is chance; nothing is waited for
            before = len(world.recoveries)
            fault.strike(world, chance)
            world.recovered()
            row.recovery.append(max(world.recoveries[before:]))
            row.struck += 1
        world.load.stop()
    finally:
        world.load.kill()
        if prepared is not None:
            prepared.clear(world)


def _note(row: Row, error: Exception) -> None:
    row.problem = "; ".join(filter(None, (row.problem, f"{type(error).__name__}: {error}")))
