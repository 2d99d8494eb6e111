"""Node.js with packages of npm that tests take as peers: installed once, at exact versions, in the virtual environment."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

import pytest

__all__ = ["Node"]

_ENOUGH = 240  # seconds; an install takes 15, and a registry that hangs shall fail the test, not the run


@dataclass(frozen=True, kw_only=True)
class Node:
    """A directory in which ``node`` finds packages.

    Attributes:
        program: ``node``.
        place: the directory.
    """

    program: str
    place: Path

    @classmethod
    def with_packages(cls, *packages: str) -> Self:
        """Node.js with packages, each written ``name@version``.

        A test that asks is skipped where there is no npm or no way to its registry, but never in continuous integration.
        """
        program, npm = shutil.which("node"), shutil.which("npm")
        if program is None or npm is None:
            _missing("there is no Node.js here (on Debian: apt-get install nodejs npm)")
        place = Path(sys.prefix) / "npm" / "+".join(sorted(one.replace("/", "_") for one in packages))
        place.mkdir(parents=True, exist_ok=True)
        with (place / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes share it
            if not (place / ".ready").exists():
                _install(npm, place, packages)
                (place / ".ready").touch()
        return cls(program=program, place=place)

    def run(self, script: str, *arguments: str) -> str:
        """What a script prints that gets these arguments."""
        command = [self.program, "-e", script, "--", *arguments]
        done = subprocess.run(command, cwd=self.place, capture_output=True, text=True, timeout=_ENOUGH, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout


def _install(npm: str, place: Path, packages: tuple[str, ...]) -> None:
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "--prefix", str(place), *packages]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_ENOUGH)
    except subprocess.TimeoutExpired:
        _missing(f"npm did not end within {_ENOUGH} s")
    except subprocess.CalledProcessError as error:
        _missing(f"npm cannot install {' '.join(packages)}: {error.stderr[-500:]}")


def _missing(why: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
