"""Moments and counts on the command line: how people write since when, and how they see how far a long look has got.

Neighbours: ``quarantine``, ``replay`` and ``explain`` take and show these.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["MOMENT", "counting"]

_AGO = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SHOWN_EVERY = 10_000


class _Moment(click.ParamType):
    """``2026-05-04``, ``2026-05-04T10:00``, with ``+08:00`` or ``Z``, or ``90m`` ago; ms since the epoch."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ARG002 - click's
        if isinstance(value, int):
            return value
        if ago := _AGO.fullmatch(str(value)):
            return time.time_ns() // 1_000_000 - int(ago[1]) * _UNIT_MS[ago[2]]
        try:
            # Without a zone it is the wall time of whoever types it.
            return int(datetime.fromisoformat(str(value)).timestamp() * 1000)
        except (ValueError, OverflowError):
            self.fail("a moment is 2026-05-04, 2026-05-04T10:00 (with Z or +08:00, else this machine's time), or 90m, 2h, 3d ago")


MOMENT = _Moment()


@contextmanager
def counting(title: str, total: int | None = None, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Show how many were dealt with, on standard error: a bar on a terminal, now and then a line elsewhere."""
    console = Console(stderr=True, highlight=False)
    if quiet:
        yield lambda _: None
    elif console.is_terminal:
        columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(title, total=total)
            yield lambda done: bar.advance(task, done)
    else:
        yield _lines(console, title)


def _lines(console: Console, title: str) -> Callable[[int], None]:
    count = shown = 0

    def advance(done: int) -> None:
        nonlocal count, shown
        count += done
        if count // _SHOWN_EVERY > shown:
            shown = count // _SHOWN_EVERY
            console.print(f"{title}: {count}", markup=False)

    return advance
