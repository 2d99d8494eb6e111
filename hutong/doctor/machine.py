"""The machine and the home: room on the disk, who may read the secrets, ports that others hold, processes that nobody knows.

Neighbours: ``embedded`` knows the home's parts; ``proc`` reads the system's tables.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hutong.doctor import proc
from hutong.doctor.finding import Context, Finding, Group, several
from hutong.embedded.process import processes, read
from hutong.embedded.state import load
from hutong.errors import HutongError
from hutong.home import Home

__all__ = ["GROUP", "Machine"]

_MIB = 1024 * 1024
_LEAST = 256 * _MIB
"""Without this much the bus is not started."""
_LITTLE = 2048 * _MIB
"""Kafka writes segments of 128 MiB for each of its partitions."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The facts.

    Attributes:
        home: the home.
        free_bytes: room on its disk.
        open_files: secrets and keys, and their directories, that others than the owner may read or write -> their mode.
        foreign: files among them that belong to another user than the one who looks.
        taken: part of the bus that is not running -> its port, and who holds it.
        dead: parts that have a record and no process.
        strays: process id -> name of a program that works in this home and has no record.
    """

    home: Path
    free_bytes: int
    open_files: Mapping[Path, int] = field(default_factory=dict)
    foreign: tuple[Path, ...] = ()
    taken: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    dead: tuple[str, ...] = ()
    strays: Mapping[int, str] = field(default_factory=dict)


def look(context: Context) -> Machine:
    """Look at the home and what runs in it."""
    home = context.home
    place = next(path for path in (home.root, *home.root.parents) if path.exists())
    private = list(_private(home))
    running = {one.name: one for one in processes(home.run)}
    records = [one for file in sorted(home.run.glob("*.json")) if (one := read(file)) is not None]
    pids = {one.pid for one in running.values()}
    return Machine(
        home=home.root,
        free_bytes=shutil.disk_usage(place).free,
        open_files={path: mode for path, mode, _ in private if mode & 0o077},
        foreign=tuple(path for path, _, owner in private if owner != os.geteuid()) if os.geteuid() else (),
        taken=_taken(home, frozenset(running)),
        dead=tuple(one.name for one in records if not one.alive),
        strays=proc.working_in(home.root, known=pids) if home.root.is_dir() else {},
    )


def _private(home: Home) -> Iterator[tuple[Path, int, int]]:
    """What only the owner may read, with its mode and owner."""
    for directory in (home.secrets, home.keys, home.tls):
        if not directory.is_dir():
            continue
        found = [directory, *(path for path in sorted(directory.rglob("*")))]
        for path in found:
            status = path.lstat()
            if directory == home.tls and (path.suffix == ".crt" or path.is_dir()):
                continue  # certificates are public
            yield path, stat.S_IMODE(status.st_mode), status.st_uid


def _taken(home: Home, running: frozenset[str]) -> dict[str, tuple[int, str]]:
    try:
        state = load(home)
    except HutongError:
        return {}  # `hutong status` and `up` tell of a damaged file
    if state is None:
        return {}
    ports = {node.name: node.port for node in state.nodes if node.name not in running}
    if "registry" not in running:
        ports["registry"] = state.registry_port
    return {name: (port, holder) for name, port in ports.items() if (holder := proc.listener(port)) is not None}


def check_disk(facts: Machine) -> Iterator[Finding]:
    """There is room on the disk."""
    if facts.free_bytes >= _LITTLE:
        return
    yield Finding(
        check="disk",
        severity="error" if facts.free_bytes < _LEAST else "warning",
        where=str(facts.home),
        what="{free} MiB are free on its disk",
        remedy="make room, or point HUTONG_HOME to another disk; a broker whose disk is full stops",
        facts={"free": facts.free_bytes // _MIB},
    )


def check_rights(facts: Machine) -> Iterator[Finding]:
    """Only the owner may read passwords and keys."""
    yield from several(
        facts.open_files,
        check="rights",
        severity="error",
        what="others than the owner may read or write passwords or keys: {number} files and directories",
        remedy="take the rights of others away with `chmod go=`; then change the passwords that they could read",
    )
    yield from several(
        facts.foreign,
        check="rights",
        severity="warning",
        what="{number} passwords or keys belong to another user than you",
        remedy="run the commands as the user who started the bus",
    )


def check_ports(facts: Machine) -> Iterator[Finding]:
    """The ports of parts that are not running are free."""
    for part, (port, holder) in facts.taken.items():
        yield Finding(
            check="ports",
            severity="error",
            where=part,
            what="its port {port} is held by {holder}",
            remedy="end that program, or take new ports with `hutong up --kafka-port 0 --registry-port 0`",
            facts={"port": port, "holder": holder},
        )


def check_orphans(facts: Machine) -> Iterator[Finding]:
    """What is recorded runs, and what runs is recorded."""
    for name in facts.dead:
        yield Finding(
            check="orphans",
            severity="error",
            where=name,
            what="it was started and has ended by itself, or was killed",
            remedy="`hutong up` starts it again; `hutong down` forgets it",
        )
    for pid, program in sorted(facts.strays.items()):
        yield Finding(
            check="orphans",
            severity="warning",
            where=f"pid {pid}",
            what="{program} works in {home} and has no record there",
            remedy="if nobody needs it, end it with `kill {pid}`; it may hold ports and data of the bus",
            facts={"program": program, "home": facts.home, "pid": pid},
        )


GROUP = Group(
    name="machine",
    look=look,
    checks={"disk": check_disk, "rights": check_rights, "ports": check_ports, "orphans": check_orphans},
)
