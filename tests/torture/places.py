"""Every place that a bus leaves words in and that is no store of events: logs, pages, processes, commands, control topics.

What lies on ``pub.*``, ``sub.*`` and in quarantine as the event itself is data, and so are the databases of Kafka and PostgreSQL;
there it belongs. Neighbours: ``personal`` looks through these places.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from hutong.cli import _group
from hutong.embedded import state
from hutong.home import Home
from hutong.kafka.scan import Scan
from hutong.kafka.settings import Settings
from hutong.kafka.topics import CASES_INBOX, CASES_STATE
from hutong.recovery.record import PREFIX, QuarantineRecord, headers_of
from hutong.runtime import addresses

__all__ = ["KINDS", "Place", "commands", "control_topics", "files", "pages", "processes", "quarantine"]

KINDS = (
    "log",
    "state file",
    "page",
    "command line",
    "environment",
    "command output",
    "quarantine",
    "control topic",
    "span",
    "error",
)
"""What kinds of places there are."""

_PAGES = ("/metrics", "/health/live", "/health/ready", "/no/such/page")
_COMMANDS = (
    ("status",),
    ("lag",),
    ("top", "--once"),
    ("doctor", "--look-only"),
    ("quarantine", "list"),
    ("quarantine", "list", "--json"),
)
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Something that was written somewhere.

    Attributes:
        kind: one of ``KINDS``.
        name: which of them.
        data: all that stands there.
    """

    kind: str
    name: str
    data: bytes


def files(home: Home) -> Iterator[Place]:
    """Logs of all processes, and what they keep to find each other."""
    for kind, directory in (("log", home.log), ("state file", home.run)):
        for file in sorted(directory.rglob("*")):
            with suppress(FileNotFoundError):
                if file.is_file():
                    yield Place(kind=kind, name=str(file.relative_to(home.root)), data=file.read_bytes())


def pages(home: Home) -> Iterator[Place]:
    """Metrics and health of the services that answer, and of the registry."""
    servers = {one.name: one.url for one in addresses.known(home) if one.alive}
    if (bus := state.load(home)) is not None:
        servers["registry"] = f"http://127.0.0.1:{bus.management_port}"
    for name, url in servers.items():
        for path in (*_PAGES, "/health", "/q/metrics") if name == "registry" else _PAGES:
            yield Place(kind="page", name=f"{name}{path}", data=_page(url + path))


def _page(url: str) -> bytes:
    """A page, whatever its status."""
    try:
        with _NO_PROXY.open(url, timeout=10) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.read()


def processes(home: Home) -> Iterator[Place]:
    """What everybody on the machine sees of the bus's processes, and what they were started with."""
    root = str(home.root).encode()
    parents, ours, seen = dict[int, int](), set[int](), dict[int, tuple[bytes, bytes]]()
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):  # it has ended meanwhile
            pid = int(directory.name)
            seen[pid] = (directory / "cmdline").read_bytes(), (directory / "environ").read_bytes()
            parents[pid] = int((directory / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
            if any(root in one for one in seen[pid]):
                ours.add(pid)
    for pid in seen:
        if any(one in ours for one in _line(pid, parents)):
            command, environment = (one.replace(b"\0", b"\n") for one in seen[pid])
            yield Place(kind="command line", name=str(pid), data=command)
            yield Place(kind="environment", name=str(pid), data=environment)


def _line(pid: int, parents: dict[int, int]) -> Iterator[int]:
    """A process and those that it comes from."""
    while pid:
        yield pid
        pid = parents.get(pid, 0)


def quarantine(settings: Settings) -> tuple[list[Place], list[QuarantineRecord]]:
    """What the bus has noted beside the events in quarantine; and of each kind of record one, for commands to tell of."""
    found: list[Place] = []
    some: dict[tuple[str, str, str | None], QuarantineRecord] = {}
    scan = Scan(settings)
    for message in scan.records(scan.stretches(scan.topics(PREFIX))):
        record = QuarantineRecord.read(message)
        noted = headers_of(message)[len(record.headers) :]
        lines = b"\n".join(name.encode() + b": " + (value or b"") for name, value in noted)
        found.append(Place(kind="quarantine", name=str(record.place), data=lines))
        some.setdefault((record.contract, record.reason, record.agreement), record)
    return found, list(some.values())


def control_topics(settings: Settings) -> Iterator[Place]:
    """The bus's own records. Those of cases are data."""
    scan = Scan(settings)
    topics = [name for name in scan.topics("ctl.") if name not in (CASES_INBOX, CASES_STATE)]
    for message in scan.records(scan.stretches(topics)):
        headers = [part for name, value in headers_of(message) for part in (name.encode(), value or b"")]
        data = b"\n".join([message.key() or b"", message.value() or b"", *headers])
        yield Place(kind="control topic", name=f"{message.topic()}/{message.partition()}/{message.offset()}", data=data)


def commands(home: Home, records: Iterable[QuarantineRecord]) -> Iterator[Place]:
    """What the commands print by default, about the bus and about these records."""
    about = [
        ("quarantine", verb, str(one.place), *(("--json",) if at % 2 else ()))  # the two forms say the same
        for at, one in enumerate(records)
        for verb in (("show", "explain") if at % 3 == 0 else ("show",))  # it tells the same, and takes a second
    ]
    runner = CliRunner(env={"HUTONG_HOME": str(home.root), "COLUMNS": "250", "HUTONG_LANG": "en"})
    group = _group()
    for words in (*_COMMANDS, *about):
        done = runner.invoke(group, words)
        yield Place(kind="command output", name=" ".join(("hutong", *words)), data=f"{done.output}\n{done.exception}".encode())
