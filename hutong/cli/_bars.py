"""How the commands show progress: bars on a terminal, plain lines elsewhere, all of it on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from hutong.embedded import Progress
from hutong.language import translated

__all__ = ["ShownProgress"]

_STEPS = 10  # lines of a download where there is no terminal


class ShownProgress(Progress):
    """Tells a person what happens."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(translated(text), markup=False, soft_wrap=True)

    @contextmanager
    def amount(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Draw a bar, or print every tenth of the way."""
        title = translated(title)
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
            )
            with Bars(*columns, console=self._console) as bars:
                task = bars.add_task(title, total=total)
                yield lambda done: bars.advance(task, done)
            return
        yield self._lines(title, total)

    def _lines(self, title: str, total: int) -> Callable[[int], None]:
        mebibytes = total / (1024 * 1024)
        self.say(f"{title}: {mebibytes:.0f} MiB")
        got, shown = 0, 0

        def advance(done: int) -> None:
            nonlocal got, shown
            got += done
            tenth = got * _STEPS // total
            if tenth > shown:
                shown = tenth
                self.say(f"{title}: {min(100, tenth * 100 // _STEPS)} %")

        return advance
