"""What a contender is to the bench: something that is started on a task and ends when told.

Neighbours: each contender's file has one ``Contender``; ``measure`` runs it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.bus import Declared
from hutong.home import Home, write_private
from hutong.kafka.settings import Settings

__all__ = ["CACHE", "Contender", "Running", "Task", "write_plan"]

CACHE = Path(__file__).parents[1] / ".cache"
"""What contenders need and the repository does not hold: their virtual environments, compiled classes."""

_STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run of one contender.

    Attributes:
        declared: the case on the bus.
        home: of the bus.
        settings: of the principal that routes; all contenders are the same one, and are held to the same access rules.
        operator: of the operator, for a contender that asks for more rights than routing needs.
        group: consumer group, new for this run.
        folder: for plan and log.
    """

    declared: Declared
    home: Home
    settings: Settings
    operator: Settings
    group: str
    folder: Path


class Contender(Protocol):
    """Something that routes."""

    @property
    def name(self) -> str:
        """As results name it."""

    @property
    def exactly_once(self) -> bool:
        """Whether no delivery may come twice."""

    @property
    def copies(self) -> bool:
        """Whether it only copies the event's own bytes."""

    def problem(self) -> str | None:
        """Why it cannot take part here, or None; makes ready what it needs."""

    def start(self, task: Task) -> Running:
        """Begin to route all that is on the topic."""


@dataclass(slots=True, kw_only=True)
class Running:
    """The processes of a contender at work.

    Attributes:
        log: what they print.
        processes: all of them.
        onlookers: what ends those who watch.
        commits_apart: whether threads or processes commit each for itself.
    """

    log: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    onlookers: list[Callable[[], None]] = field(default_factory=list)
    commits_apart: bool = False

    def add(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        """Start one more process."""
        with self.log.open("ab") as log:
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment))

    def check(self) -> None:
        """Raise when a process has ended by itself."""
        for process in self.processes:
            if process.poll() is not None:
                last = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
                raise SystemExit(f"{process.args!r} ended with {process.returncode}; the end of {self.log}:\n{last}")

    def cpu_seconds(self) -> float:
        """Processor time of all processes so far."""
        ticks = 0
        for process in self.processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mb(self, which: str = "VmRSS") -> float:
        """Resident memory, of the largest process; ``VmHWM`` for the most that it ever was."""
        sizes = [0.0]
        for process in self.processes:
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith(which):
                    sizes.append(int(line.split()[1]) / 1024)
        return max(sizes)

    def stop(self) -> None:
        """End every process by its id, and wait for it."""
        for end in self.onlookers:
            end()
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def write_plan(task: Task, **options: Any) -> Path:
    """The task as a JSON file, for contenders that are no part of Hutong. It holds a password: only its owner may read it."""
    settings = task.settings
    plan = {
        "bootstrap": settings.bootstrap_servers,
        "username": settings.username,
        "password": settings.password.get_secret_value() if settings.password else "",
        "group": task.group,
        "topic": task.declared.topic,
        "agreements": [
            {
                "id": party.id,
                "topic": party.topic,
                "schema_id": party.schema_id,
                "region": party.region,
                "shape": party.shape,
                "secret": party.secret.hex(),
            }
            for party in task.declared.parties
        ],
        **options,
    }
    file = task.folder / f"{task.group}.json"
    write_private(file, json.dumps(plan, ensure_ascii=False))
    return file
