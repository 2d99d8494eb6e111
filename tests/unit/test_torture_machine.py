"""The torture run's own disk and clocks: full is full, what was there stays there, and a clock that jumps moves nothing else."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.torture.clock import Clock, compiler
from tests.torture.volume import Volume, may_mount

needs_compiler = pytest.mark.skipif(compiler() is None, reason="there is no C compiler")
needs_mount = pytest.mark.skipif(not may_mount(), reason="only root may mount")

_LOOK = """
import sys, threading, time
for line in sys.stdin:
    began = time.monotonic()
    threading.Event().wait(0.01)
    print(time.time(), time.monotonic() - began, flush=True)
"""


@needs_compiler
def test_a_clock_jumps_under_a_running_process(tmp_path: Path) -> None:
    """Forward, back and right again; what only counts goes on as before, and so do waits."""
    clock = Clock(tmp_path, "one")
    environment = {**os.environ, **clock.environment}
    command = [sys.executable, "-c", _LOOK]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for wrong_by in (0, 86_400, -3_600, 0):
            clock.jump(wrong_by)
            process.stdin.write("\n")
            process.stdin.flush()
            now, waited = (float(word) for word in process.stdout.readline().split())
            assert abs(now - time.time() - wrong_by) < 60
            assert 0 < waited < 60
        process.stdin.close()


@needs_compiler
def test_clocks_are_wrong_by_themselves(tmp_path: Path) -> None:
    """One library, a file for each."""
    one, other = Clock(tmp_path, "one"), Clock(tmp_path, "other")
    one.jump(86_400)
    shown = [
        float(
            subprocess.run(["/bin/date", "+%s"], env={**os.environ, **each.environment}, capture_output=True, check=True).stdout
        )
        for each in (one, other)
    ]
    assert 86_300 < shown[0] - shown[1] < 86_500


@needs_mount
def test_a_disk_that_is_full_takes_no_more(tmp_path: Path) -> None:
    """Not a byte; after room was made it does; in the end all that was written is where it was."""
    place = tmp_path / "data"
    (place / "below").mkdir(parents=True)
    (place / "below" / "old").write_text("old")
    with (place / "holes").open("wb") as file:
        file.truncate(8 << 20)
    volume = Volume(place, 1 << 20)
    try:
        assert volume.fill() < 2 << 20
        with pytest.raises(OSError, match="No space left") as full, (place / "new").open("wb", buffering=0) as new:
            new.write(b"x")
        assert full.value.errno == errno.ENOSPC
        volume.make_room()
        (place / "new").write_text("new")
    finally:
        volume.end()
    assert not place.is_mount()
    assert sorted(file.name for file in place.iterdir()) == ["below", "holes", "new"]
    assert (place / "below" / "old").read_text() == "old"
    assert (place / "new").read_text() == "new"
    assert (place / "holes").stat().st_size == 8 << 20
