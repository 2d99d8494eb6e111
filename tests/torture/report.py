"""What came of a run: a table on the screen, and ``.hutong/torture/report.json``.

Neighbours: ``runner`` makes the rows, ``personal`` the hits.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.torture.evidence import FAULTS, Verdict
from tests.torture.runner import Row

__all__ = ["document", "show", "write"]

_COUNTS = ("events", "delivered", "filtered", "quarantined")
_HEADINGS = {name: name.replace("_", "\n") for name in FAULTS} | {
    "duplicated": "dupli-\ncated",
    "misordered": "mis-\nordered",
    "conflicting": "con-\nflicting",
    "unaccounted": "unac-\ncounted",
}


def document(rows: Sequence[Row], *, seed: int, hits: Sequence[str] | None, **facts: Any) -> dict[str, Any]:
    """The report, JSON-shaped.

    Args:
        rows: one for each fault.
        seed: of the run.
        hits: places where personal data were found; None where nobody looked.
        facts: further ones of the run.
    """
    return {
        "format": 1,
        "seed": seed,
        "clean": all(row.is_clean for row in rows) and not hits,
        **facts,
        "personal_data": None if hits is None else {"hits": len(hits), "places": list(hits)},
        "faults": [_row(row) for row in rows],
    }


def _row(row: Row) -> dict[str, Any]:
    verdict = row.verdict
    counts = {} if verdict is None else {name: getattr(verdict, name) for name in (*_COUNTS, "acknowledged", "asked", "late_ms")}
    return {
        "name": row.name,
        "says": row.says,
        "times": row.times,
        "struck": row.struck,
        "seconds": round(row.seconds, 1),
        "recovery_seconds": _recovery(row.recovery),
        **counts,
        "faults": {} if verdict is None else dict(verdict.faults),
        "shown": {} if verdict is None else dict(verdict.shown),
        "problem": row.problem,
        "control": row.is_control,
        "clean": row.is_clean,
    }


def _recovery(seconds: Sequence[float]) -> dict[str, float] | None:
    return {"median": round(statistics.median(seconds), 2), "worst": round(max(seconds), 2)} if seconds else None


def write(path: Path, report: dict[str, Any]) -> None:
    """Write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def show(rows: Sequence[Row], console: Console) -> None:
    """The table, and what is wrong below it."""
    table = Table(show_footer=len(rows) > 1)
    table.add_column("fault", "all")
    table.add_column("times", str(sum(row.struck for row in rows)), justify="right")
    verdicts = [row.verdict or Verdict() for row in rows if not row.is_control]
    for name in _COUNTS:
        table.add_column(name, f"{sum(getattr(one, name) for one in verdicts):,}", justify="right")
    for name in FAULTS:
        table.add_column(_HEADINGS[name], str(sum(one.faults[name] for one in verdicts)), justify="right")
    table.add_column("recovery s\nmedian / worst", justify="right")
    for row in rows:
        table.add_row(*_cells(row), style="bold red" if not row.is_clean else "dim" if row.is_control else None)
    console.print(table)
    for row in rows:
        for line in (*filter(None, [row.problem]), *_shown(row)):
            console.print(f"{row.name}: {line}", style="red", markup=False)


def _cells(row: Row) -> list[str]:
    recovery = _recovery(row.recovery)
    told = "" if recovery is None else f"{recovery['median']:.1f} / {recovery['worst']:.1f}"
    times = str(row.struck) if row.struck == row.times else f"{row.struck} of {row.times}"
    if row.verdict is None:
        return [row.name, times, *["?"] * (len(_COUNTS) + len(FAULTS)), told]
    counts = [f"{getattr(row.verdict, name):,}" for name in _COUNTS]
    return [row.name, times, *counts, *(str(row.verdict.faults[name]) for name in FAULTS), told]


def _shown(row: Row) -> list[str]:
    return [f"{fault}: {one}" for fault, some in (row.verdict.shown if row.verdict else {}).items() for one in some]
