"""The cases that wait at each department's counter, in files: the world is imagined once, and by one process.

Neighbours: ``stage`` writes them, ``demo.systems`` works through them.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

from demo.changes import Change

__all__ = ["read_cases", "write_cases"]


def write_cases(directory: Path, department: str, cases: Sequence[Change]) -> None:
    """Put a department's cases down."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{department}.pickle").write_bytes(pickle.dumps(list(cases), pickle.HIGHEST_PROTOCOL))


def read_cases(directory: Path, department: str) -> list[Change]:
    """A department's cases, in order."""
    content = (directory / f"{department}.pickle").read_bytes()
    cases: list[Change] = pickle.loads(content)  # noqa: S301 - written a moment ago, by this demo, into its own directory
    return cases
