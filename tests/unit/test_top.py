"""``hutong top``: what it shows, how much of it fits, which key ends it, and what it tells programs."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from hutong.cli import main
from hutong.cli._top import picture, span
from hutong.overview.agreements import AgreementState, Quarantine
from hutong.overview.picture import Picture
from hutong.overview.services import ServiceState
from tests.serving import Served

NOW = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
MONITOR = """\
hutong_agreement_info{{agreement="divisions-all",contract="mca.divisions.changed",publisher="mca.divisions",recipient="x.y"}} 1.0
hutong_pending_deliveries{{agreement="divisions-all"}} 12.0
hutong_delivery_freshness_seconds{{agreement="divisions-all"}} {freshness}
hutong_freshness_objective_seconds{{agreement="divisions-all"}} 60.0
"""
PROGRAM = "import sys; sys.argv[0] = 'hutong'; from hutong.cli import main; main()"


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as pages:
        pages.pages["/metrics"] = MONITOR.format(freshness=90).encode()
        yield pages


def shown(found: Picture, *, height: int | None = None, width: int = 140, live: bool = False) -> str:
    """The picture as text."""
    out = Console(file=io.StringIO(), width=width, highlight=False)
    out.print(picture(found, height=height, now=NOW, live=live))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def state(number: int, **more: object) -> AgreementState:
    facts = {
        "agreement": f"a-{number}",
        "contract": "x.y.changed",
        "publisher": "x.y",
        "recipient": "r.s",
        "freshness": 0.0,
        **more,
    }
    return AgreementState(**facts)  # type: ignore[arg-type]


def test_what_is_shown() -> None:
    """Services with what they wait for, agreements with rate, freshness, objective, pending, and quarantine by reason."""
    found = Picture(
        source="monitor",
        agreements=[state(1, rate=12.345, freshness=7200.0, objective=60.0, pending=1234567, exact=False, untaken=3)],
        quarantine=[
            Quarantine(contract="x.y.changed", reason="null_key", rate=2.0),
            Quarantine(contract="x.y.changed", records=7),
        ],
        services=[
            ServiceState(
                service="router",
                instance="a",
                url="http://x",
                pid=1,
                state="not ready",
                waiting_for={"agreements": "the control topic has not been read yet"},
                step_seconds=0.25,
            )
        ],
    )
    text = shown(found)
    row = next(line for line in text.splitlines() if "a-1" in line)
    assert row.split() == ["x.y", "changed", "r.s", "a-1", "12.3", "2", "h", "1", "min", "~1,234,567", "3"]
    assert "not all is well" in text
    assert "1 beyond their objective" in text
    assert "agreements: the control topic has not been read yet" in text
    assert "x.y.changed: 2.0 a second, null_key" in text
    assert "7 records lie there: x.y.changed; see `hutong quarantine list`" in text


def test_it_fits_the_terminal() -> None:
    """Of a hundred agreements as many as there are lines for, and how many more there are; a file gets them all."""
    many = [state(number, rate=0.0, freshness=90.0 if number == 99 else 0.0, objective=60.0) for number in range(100)]
    found = Picture(source="monitor", agreements=many, quarantine=[], services=[])
    for height in (24, 50):
        lines = shown(found, height=height, live=True).splitlines()
        assert len(lines) <= height
        assert any("more agreements, 1 beyond their objective" in line for line in lines)
        assert "q ends" in lines[0]
    assert sum("a-" in line for line in shown(found).splitlines()) == 100


def test_spans_are_short() -> None:
    """One unit, and a part of a second only where it matters."""
    told = {None: "-", 0.0: "0 s", 0.44: "0.4 s", 12.4: "12 s", 90.0: "2 min", 7200.0: "2 h", 200_000.0: "2 d"}
    assert {seconds: span(seconds) for seconds in told} == told


def top(monkeypatch: pytest.MonkeyPatch, home: Path, *arguments: str) -> int:
    monkeypatch.setenv("HUTONG_HOME", str(home))
    monkeypatch.setattr(sys, "argv", ["hutong", "top", "--interval", "0.2", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_once_ends_with_what_it_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, served: Served
) -> None:
    """1 while something is beyond its objective, 0 when nothing is; with a rate, since it looks twice."""
    assert top(monkeypatch, tmp_path, "--once", "--json", "--metrics", served.url) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["format"], document["source"], document["well"]) == (1, "monitor", False)
    (told,) = document["agreements"]
    assert (told["agreement"], told["judgement"], told["pending"], told["objective"]) == ("divisions-all", "broken", 12.0, 60.0)
    served.pages["/metrics"] = MONITOR.format(freshness=1).encode()
    monkeypatch.setenv("HUTONG_METRICS_URLS", f"{served.url}/metrics {served.url}")
    assert top(monkeypatch, tmp_path, "--once") == 0
    assert "all is well" in capsys.readouterr().out


def test_without_anything_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """No service, no monitor, no bus: no trace, but what to do; nobody knows how it is, which is not well."""
    assert top(monkeypatch, tmp_path, "--once") == 1
    out = capsys.readouterr().out
    assert "not all is well" in out
    assert "no service has announced itself in this home; name others with --metrics" in out
    assert "hutong run monitor" in out
    assert "nothing says where the bus is" in out
    assert top(monkeypatch, tmp_path, "--once", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["well"] is False
    assert "nothing says where the bus is" in document["problem"]


def test_a_monitor_that_cannot_measure_is_not_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, served: Served
) -> None:
    """What it declares is there, what it measures is not: a hyphen, the agreement's name, and exit code 1."""
    declared = MONITOR.splitlines()[0] + '\nhutong_agreement_in_force{{agreement="divisions-all"}} 1.0\n'
    served.pages["/metrics"] = declared.format().encode()
    assert top(monkeypatch, tmp_path, "--once", "--metrics", served.url) == 1
    out = capsys.readouterr().out
    assert "cannot be measured now for divisions-all; see `hutong doctor`" in out
    assert "not all is well" in out


def test_json_goes_on_line_by_line(tmp_path: Path, served: Served) -> None:
    """Each look is a document of its own; whoever reads ends it."""
    command = [sys.executable, "-c", PROGRAM, "top", "--json", "--interval", "0.2", "--metrics", served.url]
    environment = {"HUTONG_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            looks = [json.loads(running.stdout.readline()) for _ in range(3)]
        finally:
            running.kill()
    assert {look["format"] for look in looks} == {1}


def test_a_key_ends_it_and_the_terminal_is_as_it_was(tmp_path: Path, served: Served) -> None:
    """On a real terminal: it is shown, ``q`` ends it with 0, and what is typed then is echoed as before."""
    environment = {
        "HUTONG_HOME": str(tmp_path),
        "PYTHONPATH": ":".join(sys.path),
        "PATH": "/usr/bin:/bin",
        "TERM": "xterm",
        "COLUMNS": "140",
        "LINES": "30",
    }
    child, handle = pty.fork()
    if child == 0:
        command = [sys.executable, "-c", PROGRAM, "top", "--interval", "0.2", "--metrics", served.url]
        os.execve(sys.executable, command, environment)  # noqa: S606 - a child on a terminal of its own
    try:
        assert _read_until(handle, "divisions-all")
        os.write(handle, b"q")
        assert _read_until(handle, "\x1b[?1049l")  # back from the other screen
    finally:
        _, how = os.waitpid(child, 0)
        os.close(handle)
    assert os.waitstatus_to_exitcode(how) == 0


def _read_until(handle: int, text: str) -> bool:
    got, deadline = "", time.monotonic() + 60
    while text not in got and time.monotonic() < deadline:
        if select.select([handle], [], [], 1.0)[0]:
            try:
                got += os.read(handle, 65536).decode("utf-8", "replace")
            except OSError:  # the other end is closed
                break
    return text in got
