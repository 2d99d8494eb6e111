"""Where the services of this home answer: each writes down its health address while it runs.

``run/services/<service>-<instance>.json`` is written when the pages are served and taken away when the service ends in good
order; what is left behind by a killed one is known by its process (pid, start time, boot), and shown as down. Nobody is asked to
keep this right: another start of the same instance replaces it. Neighbours: ``health`` announces; ``hutong status``, ``top`` and
``doctor`` look here.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from hutong.home import Home, write_private

__all__ = ["Announcement", "ServiceAddress", "announce", "forget_gone", "known"]

_LOG = logging.getLogger("hutong")
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - what is asked for on this machine
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, kw_only=True)
class ServiceAddress:
    """A service that has announced itself.

    Attributes:
        service: ``router``, ``coordinator``, ``monitor``, or a connector's name.
        instance: which of them.
        url: base URL of its health and metrics pages.
        pid: its process id.
        started: the process's start time in clock ticks since boot; None where the system does not say.
        boot: the boot that these ticks count from.
        record: the file that says so.
    """

    service: str
    instance: str
    url: str
    pid: int
    started: int | None
    boot: str
    record: Path

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a pid that was given to another one does not count."""
        return self.boot == _boot() and _started(self.pid) == self.started is not None

    @property
    def name(self) -> str:
        """How people are told of it."""
        return f"{self.service}-{self.instance}"


class Announcement:
    """A service's own record, for as long as it runs.

    Args:
        record: the file; None where there is nowhere to write it.
    """

    def __init__(self, record: Path | None) -> None:
        self._record = record

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Take the record away, unless a successor has replaced it."""
        record, self._record = self._record, None
        if record is not None and (found := _read(record)) is not None and found.pid == os.getpid():
            with suppress(OSError):
                record.unlink(missing_ok=True)


def announce(home: Home, *, service: str, instance: str, host: str, port: int) -> Announcement:
    """Write down where a service's pages are.

    On a machine without this home, in a container say, nothing is written: there the orchestrator knows its addresses.

    Args:
        home: the bus's home.
        service: what it is.
        instance: which of them; unique among those that run.
        host: the address that it listens on.
        port: its port, as it was got.
    """
    if not home.root.is_dir():
        return Announcement(None)
    host = _EVERYWHERE.get(host, f"[{host}]" if ":" in host else host)
    record = _directory(home) / f"{quote(f'{service}-{instance}', safe='')}.json"
    facts = {
        "service": service,
        "instance": instance,
        "url": f"http://{host}:{port}",
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "boot": _boot(),
    }
    try:
        write_private(record, json.dumps(facts) + "\n", mode=0o644)
    except OSError as error:
        # It does its work all the same; only `hutong status` and `top` have to be told with --metrics where it is.
        _LOG.warning("the health address cannot be written down", extra={"facts": {"file": str(record), "error": error.strerror}})
        return Announcement(None)
    return Announcement(record)


def known(home: Home) -> list[ServiceAddress]:
    """Every service that has announced itself and has not ended in good order, by name."""
    found = (_read(record) for record in sorted(_directory(home).glob("*.json")))
    return [one for one in found if one is not None]


def forget_gone(home: Home) -> list[ServiceAddress]:
    """Take away the records of services that have ended without doing it themselves.

    Returns:
        Those that are forgotten.
    """
    gone = [one for one in known(home) if not one.alive]
    for one in gone:
        with suppress(OSError):
            one.record.unlink(missing_ok=True)
    return gone


def _directory(home: Home) -> Path:
    return home.run / "services"


def _read(record: Path) -> ServiceAddress | None:
    try:
        facts: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        started = facts["started"]
        return ServiceAddress(
            service=str(facts["service"]),
            instance=str(facts["instance"]),
            url=str(facts["url"]),
            pid=int(facts["pid"]),
            started=None if started is None else int(started),
            boot=str(facts["boot"]),
            record=record,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """Field 22 of ``/proc/<pid>/stat``, counted after the command's name; None for a zombie or where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if fields[0] == "Z" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
