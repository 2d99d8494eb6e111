"""The rows of a run as a table and as a file.

Neighbours: ``attack`` makes rows, ``__main__`` runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.attack import Row

__all__ = ["table", "write"]

_SHOWN = 3
_HEAD = f"{'surface':<16} {'values':>9} {'a second':>9} {'slowest ms':>10} {'grown MiB':>9}  outcomes"


def table(rows: Sequence[Row]) -> str:
    """A line for each surface, and their sum."""
    lines = [_HEAD, *map(_line, rows)]
    total = Row(surface="all", values=sum(row.values for row in rows), seconds=sum(row.seconds for row in rows))
    total.slowest = max((row.slowest for row in rows), default=0.0)
    total.grown = max((row.grown for row in rows), default=0)
    return "\n".join([*lines, _line(total)])


def _line(row: Row) -> str:
    common = row.outcomes.most_common()
    told = ", ".join(f"{what} {times:,}" for what, times in common[:_SHOWN])
    more = f", {len(common) - _SHOWN} others" if len(common) > _SHOWN else ""
    figures = f"{row.values:>9,} {row.rate:>9,.0f} {row.slowest * 1000:>10.2f} {row.grown / 2**20:>9.1f}"
    return f"{row.surface:<16} {figures}  {told}{more}".rstrip()


def write(rows: Sequence[Row], seed: int, path: Path) -> None:
    """The same for programs."""
    document = {
        "seed": seed,
        "values": sum(row.values for row in rows),
        "surfaces": [
            {
                "surface": row.surface,
                "values": row.values,
                "values_per_second": round(row.rate),
                "slowest_ms": round(row.slowest * 1000, 3),
                "grown_bytes": row.grown,
                "outcomes": dict(row.outcomes.most_common()),
            }
            for row in rows
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
