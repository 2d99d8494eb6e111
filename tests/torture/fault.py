"""What a fault is to the run: a name, how often it strikes, and the deed itself.

Neighbours: ``faults`` has them, ``runner`` strikes with them while the load runs, ``world`` is what they strike at.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from tests.torture.world import World

__all__ = ["Fault", "Prepared"]


class Fault(Protocol):
    """One kind of fault.

    Attributes:
        name: as ``--fault`` takes it, "router-killed".
        says: one line for the table.
        times: how often it strikes in the full run.
        short_times: how often in the short run; 0: it is not part of it.
        brokers: of the world that it needs, 1 or 3.

    One that has ``is_control`` set is a negative control: with it the judge must find something.
    """

    name: str
    says: str
    times: int
    short_times: int
    brokers: int

    def strike(self, world: World, random: Random) -> None:
        """Let it happen once, now, and undo it: when this returns, the line must recover by itself.

        Raises:
            AssertionError: the fault did not happen, or a defence did not show.
        """


@runtime_checkable
class Prepared(Protocol):
    """A fault that needs things of its own for its whole time, such as a database."""

    def prepare(self, world: World) -> None:
        """Before the load begins."""

    def clear(self, world: World) -> None:
        """After the load has ended and before the judge reads; whatever happened."""
