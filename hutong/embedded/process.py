"""Processes that outlive the command that started them, known by pid and start time, stopped by id alone.

A process is recorded in ``run/<name>.json``. A pid is only believed together with its start time in clock ticks since boot
(``/proc/<pid>/stat``, field 22) and the boot's id: a pid that the system has given to somebody else is never signalled.
Neighbours: ``launch`` writes the record, ``bus`` and ``postgres`` decide what runs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hutong.embedded import launch
from hutong.errors import HutongError

__all__ = ["Process", "last_words", "processes", "start", "stop"]

_TICK = 0.02  # seconds between two looks at a process
_LAUNCH_SECONDS = 10.0  # a Python that only writes a record takes 20 ms; more means that the machine is in trouble


@dataclass(frozen=True, kw_only=True)
class Process:
    """A recorded process.

    Args:
        name: what it is, e.g. ``kafka-1``.
        pid: its process id.
        started: its start time in clock ticks since boot.
        stop_signal: the signal that asks it to end in good order.
        record: the file that keeps this.
    """

    name: str
    pid: int
    started: int
    stop_signal: int
    record: Path

    @property
    def alive(self) -> bool:
        """Whether this very process still runs. A zombie does not, unless only its first thread has ended: others hold ports."""
        fields = _stat(self.pid)
        return fields is not None and (fields[0] != "Z" or int(fields[17]) > 1) and int(fields[19]) == self.started

    @property
    def rss_bytes(self) -> int:
        """Resident memory, 0 when it does not run."""
        with suppress(OSError, ValueError, IndexError):
            if self.alive:
                pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
                return int(pages) * os.sysconf("SC_PAGE_SIZE")
        return 0

    def signal(self, number: int) -> None:
        """Send it a signal, if it is still this process."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def start(
    name: str,
    command: Sequence[str],
    *,
    run: Path,
    output: Path,
    environment: Mapping[str, str],
    stop_signal: int = signal.SIGTERM,
    user: str = "",
    attached: bool = False,
) -> Process:
    """Start a process and record it before it runs. What the terminal sends to whoever started it does not reach it.

    A detached one has a session of its own. An attached one has only a process group (PostgreSQL's children make sessions): Linux
    shares the cores out by session where ``sched_autogroup_enabled`` is 1, and a client that spins in one has kept the brokers of
    another from two cores for 5 s.

    Args:
        name: what it is called in ``run/``.
        command: program (absolute path) and arguments; visible to every user of the machine, so no secrets.
        run: directory of the records.
        output: file that gets what it writes to standard output and error.
        environment: its whole environment.
        stop_signal: the signal that asks it to end in good order.
        user: system user to become, for what refuses to run as root.
        attached: end it when the process that calls this ends, however it ends.

    Raises:
        HutongError: it could not be started.
    """
    record = run / f"{name}.json"
    record.unlink(missing_ok=True)
    launcher = [sys.executable, "-I", "-S", str(Path(launch.__file__)), str(record), user, str(int(stop_signal))]
    with output.open("ab") as out:
        child = subprocess.Popen(
            [*launcher, "attached" if attached else "detached", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=not attached,
            process_group=0 if attached else None,
            cwd="/",
        )
    try:
        process = _recorded(child, record, output)
    except BaseException:
        child.kill()
        child.wait()
        raise
    _CHILDREN[process.pid] = child
    return process


def _recorded(child: subprocess.Popen[bytes], record: Path, output: Path) -> Process:
    deadline = time.monotonic() + _LAUNCH_SECONDS
    while (process := read(record)) is None:
        if child.poll() is not None or time.monotonic() > deadline:
            raise HutongError(f"{record.stem} could not be started: {last_words(output)}")
        time.sleep(_TICK)
    return process


# Our own children must be waited for, or they stay zombies for as long as this process lives.
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


def processes(run: Path) -> list[Process]:
    """Every process recorded there that still runs, ordered by name; records of others are left for ``start`` to replace."""
    _wait_for_ended()
    return [found for record in sorted(run.glob("*.json")) if (found := read(record)) is not None and found.alive]


def _wait_for_ended() -> None:
    """Wait for children that have ended: where somebody else ended them, their records are gone, and nobody asks for them."""
    for pid, child in list(_CHILDREN.items()):
        if child.poll() is not None:
            _CHILDREN.pop(pid, None)


def read(record: Path) -> Process | None:
    """The recorded process, dead or alive; None when the file is not a record of this boot."""
    try:
        facts = json.loads(record.read_text(encoding="ascii"))
        if facts["boot"] != _boot():
            return None
        return Process(
            name=record.stem,
            pid=int(facts["pid"]),
            started=int(facts["started"]),
            stop_signal=int(facts["stop_signal"]),
            record=record,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def stop(doomed: Iterable[Process], *, patience: float) -> list[str]:
    """End processes: ask all of them, wait for them together, then kill those that are left.

    Args:
        doomed: what to end; what has ended already is only forgotten.
        patience: seconds to wait between asking and killing.

    Returns:
        Names of those that had to be killed.
    """
    waiting = list(doomed)
    for process in waiting:
        process.signal(process.stop_signal)
    _wait(waiting, patience)
    killed = [process for process in waiting if process.alive]
    for process in killed:
        process.signal(signal.SIGKILL)
    _wait(killed, patience)
    for process in waiting:
        if not process.alive:
            process.record.unlink(missing_ok=True)
            if child := _CHILDREN.pop(process.pid, None):
                child.wait()
    return [process.name for process in killed]


def _wait(gone: Sequence[Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for process in gone:
            if child := _CHILDREN.get(process.pid):
                child.poll()
        if not any(process.alive for process in gone):
            return
        time.sleep(_TICK)


def _stat(pid: int) -> list[str] | None:
    """The fields of ``/proc/<pid>/stat`` after the command name, from the state on; None when there is no such process."""
    if child := _CHILDREN.get(pid):
        child.poll()
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def last_words(output: Path) -> str:
    """The last line that is not blank: what a program said before it ended."""
    try:
        with output.open("rb") as file:
            file.seek(max(0, output.stat().st_size - 4096))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
    except OSError:
        return "it wrote nothing"
    return next((line for line in reversed(lines) if line), "it wrote nothing")
