"""Four departments' systems: each its own PostgreSQL database in its own style, and an application at its counters.

``application`` is what they have in common; one file per department holds its tables and what it tells the bus.
"""

from __future__ import annotations

from demo.systems.application import System

__all__ = ["systems"]


def systems() -> tuple[System, ...]:
    """All four, the busiest first."""
    from demo.systems import assistance, funeral, marriage, population

    return assistance.SYSTEM, population.SYSTEM, marriage.SYSTEM, funeral.SYSTEM
