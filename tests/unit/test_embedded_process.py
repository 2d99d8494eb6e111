"""Processes by pid and start time: recorded before they run, stopped for certain, and nobody else's touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hutong.embedded.process import Process, last_words, processes, read, start, stop
from hutong.errors import HutongError

_STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A directory of records, whose processes are ended after the test."""
    directory = tmp_path / "run"
    directory.mkdir()
    yield directory
    stop(processes(directory), patience=2)


def begin(run: Path, code: str = "import time; time.sleep(60)", *, name: str = "it", **options: object) -> Process:
    return start(name, [sys.executable, "-c", code], run=run, output=run / "output", environment={}, **options)  # type: ignore[arg-type]


def wait_for(text: str, output: Path) -> None:
    deadline = time.monotonic() + 10
    while text not in output.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_process_is_recorded(run: Path) -> None:
    """The record says who it is."""
    process = begin(run)
    assert [process] == processes(run)
    assert process.alive
    assert process.rss_bytes > 0
    assert stop([process], patience=5) == []
    assert (process.alive, process.rss_bytes, processes(run), list(run.glob("*.json"))) == (False, 0, [], [])


def test_stubborn_process_is_killed(run: Path) -> None:
    """What ignores the polite signal is killed after a bounded time."""
    process = begin(run, _STUBBORN)
    wait_for("ready", run / "output")
    began = time.monotonic()
    assert stop([process], patience=0.3) == ["it"]
    assert time.monotonic() - began < 3
    assert not process.alive


def test_own_stop_signal_is_used(run: Path) -> None:
    """A program that takes SIGTERM for something else is asked with its own signal."""
    process = begin(
        run, "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)", stop_signal=signal.SIGINT
    )
    assert stop([process], patience=5) == []


@pytest.mark.parametrize(
    "change", [{"started": 1}, {"boot": "another"}, {"pid": 0x7FFFFFFF}], ids=["other start", "other boot", "no process"]
)
def test_reused_pid_is_never_signalled(run: Path, change: dict[str, object]) -> None:
    """A record whose number now belongs to somebody else counts as dead."""
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        started = int(Path(f"/proc/{bystander.pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        facts = {"pid": bystander.pid, "started": started, "boot": boot, "stop_signal": signal.SIGTERM}
        record = run / "it.json"
        record.write_text(json.dumps(facts))
        assert [process.pid for process in processes(run)] == [bystander.pid]
        record.write_text(json.dumps(facts | change))
        assert processes(run) == []
        if stale := read(record):
            stop([stale], patience=0.2)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_child_that_somebody_else_ended_is_waited_for(run: Path) -> None:
    """Its record is gone too, as after ``hutong down`` in another process; it does not stay a zombie."""
    process = begin(run)
    os.kill(process.pid, signal.SIGKILL)
    process.record.unlink()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{process.pid}").exists():
        assert time.monotonic() < deadline
        assert processes(run) == []
        time.sleep(0.01)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"bootstrap_servers": ""}'])
def test_what_is_no_record_is_passed_over(run: Path, text: str) -> None:
    """Half a record, or another file of that directory, is not taken for a process."""
    (run / "it.json").write_text(text)
    assert processes(run) == []


def test_program_that_is_not_there_is_told(run: Path) -> None:
    """A start that fails says why, in one line, and leaves no process."""
    process = start("it", ["/nowhere/program"], run=run, output=run / "output", environment={})
    deadline = time.monotonic() + 10
    while process.alive:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert last_words(run / "output") == "error: cannot run /nowhere/program: No such file or directory"


def test_start_that_cannot_be_recorded_leaves_no_process(run: Path) -> None:
    """What is not known is not left behind."""
    (run / "it.json.new").mkdir()
    with pytest.raises(HutongError, match="it could not be started: IsADirectoryError"):
        begin(run)
    assert processes(run) == []


def test_record_exists_before_the_program_runs(run: Path) -> None:
    """The program finds its own record: whoever dies in between, it is known."""
    code = f"import json, os; print(json.load(open({str(run / 'it.json')!r}))['pid'] == os.getpid(), flush=True)"
    begin(run, code)
    wait_for("True", run / "output")


@pytest.mark.parametrize("attached", [True, False])
def test_what_the_terminal_sends_does_not_reach_it(run: Path, attached: bool) -> None:
    """An attached process is of its starter's session, and shares the cores with it; of its group neither is."""
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    process = start("it", sleep, run=run, output=run / "output", environment={}, attached=attached)
    try:
        assert os.getpgid(process.pid) == process.pid != os.getpgrp()
        assert os.getsid(process.pid) == (os.getsid(0) if attached else process.pid)
    finally:
        stop([process], patience=2)


def test_attached_process_ends_with_its_parent(run: Path) -> None:
    """For tests and the demo: however the parent ends, the kernel ends the child."""
    code = f"""
import sys, os, signal
from pathlib import Path
from hutong.embedded.process import start
run = Path({str(run)!r})
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
start("it", sleep, run=run, output=run / "output", environment={{}}, attached=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    process = read(run / "it.json")
    assert process
    deadline = time.monotonic() + 10
    while process.alive:
        assert time.monotonic() < deadline
        time.sleep(0.01)
