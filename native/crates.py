"""Whether the crates that cargo has resolved are those of ``crates.lock``: name, version and SHA-256 of each.

``python3 native/crates.py`` is run before anything is built. With ``--write`` it takes over what cargo resolved, after a change
in Cargo.toml. Cargo's own lock file is not kept, since it would carry download addresses; it is made anew from the exact versions
in Cargo.toml, and cargo holds every file that it downloads against the sum in there. Standard library alone: the Dockerfile runs
this before anything is installed.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

__all__ = ["differences", "locked", "main", "resolved"]

HERE = Path(__file__).parent
_HEADER = """\
# The crates of the extension, those included that others bring along: name, version, SHA-256.
# Written by `python3 native/crates.py --write` from what `cargo fetch` resolved; compared before each build.
"""

Crates = frozenset[tuple[str, str, str]]
"""Name, version and SHA-256 of each."""


def locked(text: str) -> Crates:
    """What ``crates.lock`` names."""
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return frozenset((name, version, checksum) for name, version, checksum in lines)


def resolved(text: str) -> Crates:
    """What cargo's lock file names, without the extension itself. A crate from anywhere but the index has no sum: empty here."""
    packages = tomllib.loads(text)["package"]
    return frozenset((one["name"], one["version"], one.get("checksum", "")) for one in packages if one["name"] != "hutong-native")


def differences(wanted: Crates, found: Crates) -> list[str]:
    """In words, sorted; empty where there are none."""
    missing = (f"{name} {version} ({checksum}) is locked and was not resolved" for name, version, checksum in wanted - found)
    strange = (
        f"{name} {version} ({checksum or 'no sum'}) was resolved and is not locked" for name, version, checksum in found - wanted
    )
    return sorted([*missing, *strange])


def main(arguments: Sequence[str], here: Path = HERE) -> int:
    """0 where they are the same, else 1 with every difference."""
    found = resolved((here / "Cargo.lock").read_text(encoding="utf-8"))
    if arguments == ["--write"]:
        lines = "".join(f"{' '.join(crate)}\n" for crate in sorted(found))
        (here / "crates.lock").write_text(_HEADER + lines, encoding="utf-8")
        return 0
    differs = differences(locked((here / "crates.lock").read_text(encoding="utf-8")), found)
    for line in differs:
        sys.stderr.write(f"{line}\n")
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
