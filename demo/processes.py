"""The demo's processes: the router, relays, applications and ministries, each started and ended by its id, come what may.

They end with the demo however it ends, Ctrl-C and kill included, and ``hutong down`` knows them too. Neighbours:
``hutong.embedded.process`` keeps the records, the acts say what runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from hutong.embedded.process import Process, last_words, start, stop
from hutong.errors import HutongError
from hutong.home import Home

__all__ = ["Crew"]

_ROOT = Path(__file__).resolve().parent.parent
_PATIENCE = 10.0


class Crew:
    """Everything that the demo has started.

    Args:
        home: where the bus lives; records and logs go there.
        schemas: the declarations' directory.
    """

    def __init__(self, home: Home, schemas: Path) -> None:
        self._home = home
        self._environment = os.environ | {
            "HUTONG_HOME": str(home.root),
            "HUTONG_SCHEMAS": str(schemas.resolve()),
            "PYTHONPATH": str(_ROOT),
        }
        self._running: dict[str, Process] = {}
        self._ending: set[str] = set()
        self._peak_bytes: dict[str, int] = {}

    def start(
        self, name: str, module: str, *arguments: str, environment: Mapping[str, str] | None = None, ends: bool = False
    ) -> None:
        """Start a Python module as a process.

        Args:
            name: unique in the demo.
            module: what ``python -m`` runs.
            arguments: its command line; visible to every user of the machine, so no secrets.
            environment: variables besides the demo's own.
            ends: whether it does a piece of work and ends; all others must not end by themselves.
        """
        if ends:
            self._ending.add(name)
        self._running[name] = start(
            f"demo-{name}",
            [sys.executable, "-m", module, *arguments],
            run=self._home.run,
            output=self.log_of(name),
            environment={**self._environment, **(environment or {})},
            attached=True,
        )

    def log_of(self, name: str) -> Path:
        """The file with what a process writes."""
        return self._home.log / f"demo-{name}.log"

    def look(self) -> None:
        """Note everybody's memory.

        Raises:
            HutongError: a process has ended by itself that was not expected to.
        """
        for name, process in list(self._running.items()):
            used = process.rss_bytes
            self._peak_bytes[name] = max(used, self._peak_bytes.get(name, 0))
            if not process.alive and name not in self._ending:
                raise HutongError(f"{name} ended: {last_words(self.log_of(name))} (see {self.log_of(name)})")

    def memory(self) -> dict[str, int]:
        """The largest resident memory that each process was seen with, in bytes."""
        return dict(self._peak_bytes)

    def has_ended(self, name: str) -> bool:
        """Whether a process that ends by itself has done so."""
        process = self._running.get(name)
        if process is not None and process.alive:
            return False
        if process is not None:
            stop([self._running.pop(name)], patience=_PATIENCE)  # it has ended; this forgets it
        return True

    def stop(self, *names: str) -> None:
        """End processes and wait for them; without names, all of them."""
        doomed = [self._running.pop(name) for name in (names or tuple(self._running)) if name in self._running]
        stop(doomed, patience=_PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
