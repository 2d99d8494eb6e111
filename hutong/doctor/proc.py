"""Who listens on a port, and who works in a directory, as far as Linux's ``/proc`` tells whoever asks.

Of processes of other users it tells little: then a port is held by somebody unknown. Neighbour: ``machine`` asks.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

__all__ = ["listener", "working_in"]

_PROC = Path("/proc")
_LISTEN = "0A"
_SERVERS = ("java", "postgres")
"""Programs that a home's parts run as; an editor that has a file of the home open is no part of it."""


def listener(port: int) -> str | None:
    """Who listens there: ``process 12 (java)``, or ``another program`` where it cannot be seen; None where nobody does."""
    sockets = {inode for table in ("tcp", "tcp6") for inode in _listening(_PROC / "net" / table, port)}
    if not sockets:
        return None
    for process in _processes():
        if sockets & set(_sockets(process)):
            return f"process {process.name} ({_program(process)})"
    return "another program"


def working_in(directory: Path, *, known: Collection[int]) -> dict[int, str]:
    """Servers that name this directory on their command line and are not among the known ones or their children."""
    place = f"{directory}{os.sep}".encode()
    found: dict[int, str] = {}
    for process in _processes():
        pid = int(process.name)
        command = _read(process / "cmdline")
        if place in command and _program(process) in _SERVERS and pid not in known and _parent(process) not in known:
            found[pid] = _program(process)
    return found


def _processes() -> Iterator[Path]:
    ours = str(os.getpid())
    return (path for path in _PROC.iterdir() if path.name.isdigit() and path.name != ours)


def _listening(table: Path, port: int) -> Iterator[str]:
    """Inodes of the sockets that listen on the port."""
    for line in _read(table).decode("ascii", "replace").splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
            yield fields[9]


def _sockets(process: Path) -> Iterator[str]:
    try:
        with os.scandir(process / "fd") as entries:
            links = [str(Path(entry.path).readlink()) for entry in entries]
    except OSError:  # another user's, or it has just ended
        return
    for link in links:
        if link.startswith("socket:["):
            yield link.removeprefix("socket:[").removesuffix("]")


def _program(process: Path) -> str:
    """The name of the program, as it was started."""
    first = _read(process / "cmdline").split(b"\0", 1)[0].decode("utf-8", "replace")
    return Path(first.split(":")[0]).name or _read(process / "comm").decode("utf-8", "replace").strip() or "unknown"


def _parent(process: Path) -> int:
    try:
        return int(_read(process / "stat").decode("utf-8", "replace").rpartition(")")[2].split()[1])
    except (ValueError, IndexError):
        return 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
