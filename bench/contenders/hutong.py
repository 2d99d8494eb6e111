"""Hutong's router, as ``hutong run router`` starts it: real processes, real agreements from the control topic."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from bench.contenders.contender import Running, Task

__all__ = ["Hutong", "add_router"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hutong:
    """One or more routers of one group.

    Attributes:
        name: as results name it.
        routers: how many.
    """

    name: str = "hutong"
    routers: int = 1

    @property
    def exactly_once(self) -> bool:
        """It is."""
        return True

    @property
    def copies(self) -> bool:
        """It transforms."""
        return False

    def problem(self) -> str | None:
        """None: it is here."""
        return None

    def start(self, task: Task) -> Running:
        """Start the routers."""
        running = Running(log=task.folder / f"{task.group}.log")
        for number in range(self.routers):
            add_router(running, task, f"bench-{number + 1}")
        return running


def add_router(running: Running, task: Task, instance: str) -> None:
    """Start one router of the task's group."""
    command = [sys.executable, "-m", "services.router", "--instance", instance, "--port", "0", "--group", task.group]
    running.add(command, os.environ | {"HUTONG_HOME": str(task.home.root)})
