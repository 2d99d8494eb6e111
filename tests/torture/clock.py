"""Wall clocks that can be made to jump, one for each process that is started with one.

Neighbours: ``clock.c`` is what such a process loads; ``faults.machine`` lets them jump.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

__all__ = ["Clock", "compiler"]

_NANOSECONDS = 1_000_000_000


def compiler() -> str | None:
    """The C compiler of this machine, where there is one."""
    return shutil.which("cc")


class Clock:
    """A clock.

    Args:
        directory: where its file lies, and the library; one directory serves many clocks.
        name: of the file.
    """

    def __init__(self, directory: Path, name: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._library = directory / "clock.so"
        if not self._library.exists():
            _build(self._library)
        self._path = directory / name
        self._path.write_bytes(struct.pack("=q", 0))

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment."""
        return {"LD_PRELOAD": str(self._library), "TORTURE_CLOCK": str(self._path)}

    def jump(self, seconds: float) -> None:
        """Be wrong by so much from now on, before or behind; 0 is right again."""
        with self._path.open("r+b", buffering=0) as file:  # in place: the processes have mapped it
            os.pwrite(file.fileno(), struct.pack("=q", int(seconds * _NANOSECONDS)), 0)


def _build(library: Path) -> None:
    program = compiler()
    assert program is not None, "there is no C compiler here (on Debian: apt-get install gcc)"
    source = Path(__file__).with_name("clock.c")
    command = [program, "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
