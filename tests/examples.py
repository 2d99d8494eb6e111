"""How many examples a property is tried with: all with ``make test LONG=1``, a third of them else."""

from __future__ import annotations

import os

__all__ = ["examples"]


def examples(count: int) -> int:
    """Of so many, those that this run makes."""
    return count if os.environ.get("LONG") else count // 3
