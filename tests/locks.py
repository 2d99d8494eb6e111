"""The locks as data: Python packages of ``requirements.lock``, crates of ``native/crates.lock``.

Neighbours: ``test_supply_chain`` holds everything else to them; ``audit`` asks what is known against them.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

__all__ = ["Requirement", "crates", "crates_module", "requirements"]

ROOT = Path(__file__).parents[1]
_PIN = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]*)==(?P<version>[0-9][\w.!+]*)(?: ; (?P<marker>[^\\]+?))? \\")
_HASH = re.compile(r"    --hash=sha256:(?P<hash>[0-9a-f]{64})(?P<more> \\)?")


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One locked package.

    Attributes:
        version: exact.
        hashes: SHA-256 of each of its files.
    """

    version: str
    hashes: tuple[str, ...]


def requirements(text: str | None = None) -> dict[str, Requirement]:
    """Package -> what is locked of it.

    Raises:
        ValueError: a line is anything but a pin or its hash: an address, an option, an open version.
    """
    found: dict[str, Requirement] = {}
    name = version = ""
    hashes: list[str] = []
    for line in (text or (ROOT / "requirements.lock").read_text(encoding="utf-8")).splitlines():
        if pin := _PIN.fullmatch(line):
            name, version, hashes = pin["name"], pin["version"], []
        elif (one := _HASH.fullmatch(line)) and name:
            hashes.append(one["hash"])
            if not one["more"]:
                found[name] = Requirement(version=version, hashes=tuple(hashes))
                name = ""
        else:
            raise ValueError(f"requirements.lock has a line that is no pin with its hashes: {line}")
    return found


def crates_module() -> ModuleType:
    """``native/crates.py``, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("crates", ROOT / "native/crates.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def crates() -> list[tuple[str, str, str]]:
    """Name, version and SHA-256 of each crate."""
    found: list[tuple[str, str, str]] = sorted(crates_module().locked((ROOT / "native/crates.lock").read_text(encoding="utf-8")))
    return found
