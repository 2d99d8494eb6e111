"""What is shown while the demo works: bars on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["Shown"]

_LINE_SECONDS = 3.0


class Shown:
    """Shows what happens on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        """A line."""
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def counts(self, **totals: int) -> Iterator[Callable[..., None]]:
        """Several counts that grow at the same time.

        Args:
            totals: name -> what it will be in the end.

        Yields:
            A function to call with the counts by name, as often as they change.
        """
        if not self._console.is_terminal:
            yield self._lines(totals)
            return
        columns = (TextColumn("  {task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console) as bars:
            tasks = {name: bars.add_task(name, total=total) for name, total in totals.items()}

            def show(**counts: int) -> None:
                for name, count in counts.items():
                    bars.update(tasks[name], completed=count)

            yield show

    def _lines(self, totals: dict[str, int]) -> Callable[..., None]:
        next_line = time.monotonic() + _LINE_SECONDS

        def show(**counts: int) -> None:
            nonlocal next_line
            if time.monotonic() >= next_line:
                next_line = time.monotonic() + _LINE_SECONDS
                self.say("  " + ", ".join(f"{name} {count:,} of {totals[name]:,}" for name, count in counts.items()))

        return show
