"""Asks the OSV database about every package that is locked: Python packages, the bus's jars, the extension's crates.

``make audit``; exit code 0: nothing is known, 1: something is, 2: nobody could be asked. It needs the internet, so it is no part
of ``make test``. What lies inside the registry's archive, images and npm packages of tests is not asked about. The service is
public and needs no key: https://google.github.io/osv.dev/post-v1-querybatch
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hutong.embedded.jars import distributions
from tests.locks import crates, requirements

__all__ = ["CRATES", "Locked", "ask", "everything", "main"]

SERVICE = "https://api.osv.dev"
CRATES = ".".join(("crates", "io"))  # as OSV calls them
_MOST = 1000  # questions in one request, as the service says
_SECONDS = 30


@dataclass(frozen=True, kw_only=True, order=True)
class Locked:
    """A package at its version.

    Attributes:
        ecosystem: as OSV calls it.
        name: of the package.
        version: the one that is locked.
    """

    ecosystem: str
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.ecosystem} {self.name} {self.version}"


def everything() -> Iterator[Locked]:
    """All that the three locks name."""
    for name, one in requirements().items():
        yield Locked(ecosystem="PyPI", name=name, version=one.version)
    for program in distributions().values():
        for artifact in program.artifacts:
            group, name, version, *_ = artifact.coordinate.split(":")
            yield Locked(ecosystem="Maven", name=f"{group}:{name}", version=version)
    for name, version, _ in crates():
        yield Locked(ecosystem=CRATES, name=name, version=version)


def ask(service: str, packages: Sequence[Locked]) -> dict[Locked, list[str]]:
    """What is known against which packages, as ids of advisories.

    Raises:
        OSError: the service cannot be reached, or refuses.
        ValueError: it answers something else.
    """
    found: dict[Locked, list[str]] = {}
    for first in range(0, len(packages), _MOST):
        some = packages[first : first + _MOST]
        queries = [{"package": {"ecosystem": one.ecosystem, "name": one.name}, "version": one.version} for one in some]
        request = urllib.request.Request(  # noqa: S310 - the service's address, or one that was given by hand
            f"{service}/v1/querybatch",
            data=json.dumps({"queries": queries}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310 - as above
            results = json.load(response)["results"]
        for one, result in zip(some, results, strict=True):
            if known := result.get("vulns"):
                found[one] = [str(vulnerability["id"]) for vulnerability in known]
    return found


def main(arguments: Sequence[str]) -> int:
    """Ask, and say what is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit", description="Ask OSV about every locked package.")
    parser.add_argument("--service", default=SERVICE, help="another place with the same interface")
    service: str = parser.parse_args(arguments).service
    packages = sorted(set(everything()))
    try:
        found = ask(service, packages)
    except (OSError, ValueError, KeyError) as error:
        why = f"{type(error).__name__}: {error}"
        sys.stderr.write(f"{service} could not be asked ({why}); nothing is known about {len(packages)} packages\n")
        return 2
    for package, ids in found.items():
        sys.stdout.write(f"{package}: {', '.join(ids)}\n")
    sys.stdout.write(f"== {len(packages)} locked packages asked about, {len(found)} with known vulnerabilities\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
