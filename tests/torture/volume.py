"""A disk of its own for a directory: a small file system in memory, mounted over it, that can be filled to the last byte.

Only the superuser may mount. Neighbour: ``faults.machine`` puts a broker's data there.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

__all__ = ["Volume", "may_mount"]

_PIECE = 1 << 20
_SMALLEST = 4096  # of what a file system in memory gives out


def may_mount() -> bool:
    """Whether this user may mount a file system here."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


class Volume:
    """A directory's own disk, for a while.

    Args:
        directory: its content moves to the new disk, and back again in the end. Nobody may use it during either.
        room: bytes that shall be free at first.
    """

    def __init__(self, directory: Path, room: int) -> None:
        self._directory = directory
        self._aside = directory.with_name(f"{directory.name}.aside")
        self._filler = directory / "filler"
        directory.rename(self._aside)
        directory.mkdir(mode=0o700)
        used = sum(file.stat().st_blocks * 512 for file in self._aside.rglob("*"))
        _run("mount", "-t", "tmpfs", "-o", f"size={used + room}", "none", str(directory))
        _copy(self._aside, directory)

    def fill(self) -> int:
        """Take all the room that is left; the bytes that were left."""
        with self._filler.open("ab", buffering=0) as file:
            for piece in (_PIECE, _SMALLEST):
                try:
                    while True:
                        file.write(b"\0" * piece)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
            return file.tell()

    def make_room(self) -> None:
        """Give the room back."""
        self._filler.unlink(missing_ok=True)

    def end(self) -> None:
        """The directory as before, with what was written meanwhile."""
        self.make_room()
        kept = self._directory.with_name(f"{self._directory.name}.kept")
        kept.mkdir(mode=0o700)
        _copy(self._directory, kept)
        _run("umount", "--lazy", str(self._directory))
        self._directory.rmdir()
        kept.rename(self._directory)
        shutil.rmtree(self._aside)


def _copy(source: Path, to: Path) -> None:
    """All of it; what is not there of a file with holes takes no room there either."""
    _run("cp", "--archive", "--sparse=always", f"{source}/.", str(to))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(command[:2])}: {done.stderr.strip()}"
