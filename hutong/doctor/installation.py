"""What is installed: Python, the packages that Hutong is tested with, librdkafka, the Rust extension.

Neighbour: ``kafka.libraries`` knows the client's own versions.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from hutong.doctor.finding import Context, Finding, Group

__all__ = ["GROUP", "Installed", "Requirement"]

_PYTHON = (3, 11)


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A package that this version of Hutong asks for.

    Attributes:
        name: the package's.
        bounds: comparison and version, as in ``(">=", "2.16.0")``.
        optional: whether it belongs to an extra that need not be installed.
        found: the installed version; None where it is not installed.
    """

    name: str
    bounds: tuple[tuple[str, str], ...]
    optional: bool
    found: str | None

    @property
    def wanted(self) -> str:
        """The bounds as pip takes them."""
        return self.name + ",".join(f"{sign}{version}" for sign, version in self.bounds)


@dataclass(frozen=True, kw_only=True)
class Installed:
    """The facts.

    Attributes:
        python: version of the interpreter.
        requirements: of the installed Hutong; empty where it runs without having been installed.
        client: version of librdkafka that confluent-kafka was made for.
        library: version of librdkafka that is loaded.
        native: whether the Rust extension is there.
    """

    python: tuple[int, int]
    requirements: tuple[Requirement, ...]
    client: str
    library: str
    native: bool


def look(_: Context) -> Installed:
    """Look at what is installed."""
    from hutong.kafka.libraries import librdkafka_versions
    from hutong.transcode.choice import is_native

    client, library = librdkafka_versions()
    try:
        asked = metadata.requires("hutong") or []
    except metadata.PackageNotFoundError:
        asked = []
    return Installed(
        python=sys.version_info[:2],
        requirements=tuple(one for text in asked if (one := requirement(text)) is not None),
        client=client,
        library=library,
        native=is_native(),
    )


def requirement(text: str) -> Requirement | None:
    """A line of the package's metadata; None for one that names another extra of Hutong itself."""
    needed, _, condition = text.partition(";")
    match = re.fullmatch(r"\s*([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(?:\(?([^)]*)\)?)\s*", needed)
    if match is None or match[1].lower() == "hutong":
        return None
    bounds = tuple((m[1], m[2]) for m in re.finditer(r"(==|>=|<=|!=|~=|<|>)\s*([^\s,]+)", match[2] or ""))
    try:
        found = metadata.version(match[1])
    except metadata.PackageNotFoundError:
        found = None
    return Requirement(name=match[1], bounds=bounds, optional="extra" in condition, found=found)


def _keeps(found: str, bounds: tuple[tuple[str, str], ...]) -> bool:
    ours = _numbers(found)
    for sign, version in bounds:
        theirs = _numbers(version)
        width = max(len(ours), len(theirs))
        mine, other = _padded(ours, width), _padded(theirs, width)
        if sign == "==" and mine != other:
            return False
        if sign == ">=" and mine < other:
            return False
        if sign == "<" and mine >= other:
            return False
    return True  # other signs do not occur in our metadata; what is not understood is not held against a package


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0]))


def _padded(numbers: tuple[int, ...], width: int) -> tuple[int, ...]:
    return numbers + (0,) * (width - len(numbers))


def check_python(facts: Installed) -> Iterator[Finding]:
    """Python is new enough."""
    if facts.python < _PYTHON:
        yield Finding(
            check="python",
            severity="error",
            where=sys.executable,
            what="Python is {found}, and Hutong needs {wanted} or newer",
            remedy="make a virtual environment with a newer Python and install Hutong there",
            facts={"found": ".".join(map(str, facts.python)), "wanted": ".".join(map(str, _PYTHON))},
        )


def check_packages(facts: Installed) -> Iterator[Finding]:
    """Every package has a version that Hutong is tested with."""
    for one in facts.requirements:
        if one.found is None and not one.optional:
            yield Finding(
                check="packages",
                severity="error",
                where=one.name,
                what="the package is not installed",
                remedy="pip install '{wanted}'",
                facts={"wanted": one.wanted},
            )
        elif one.found is not None and not _keeps(one.found, one.bounds):
            yield Finding(
                check="packages",
                severity="error",
                where=one.name,
                what="version {found} is installed, and Hutong is tested with {wanted}",
                remedy="pip install '{wanted}'",
                facts={"found": one.found, "wanted": one.wanted},
            )


def check_librdkafka(facts: Installed) -> Iterator[Finding]:
    """The Kafka client uses the library that it was made for."""
    if facts.client != facts.library:
        yield Finding(
            check="librdkafka",
            severity="warning",
            where="librdkafka",
            what="version {found} is loaded, and confluent-kafka was built for {wanted}",
            remedy="install confluent-kafka as a wheel, which brings its own librdkafka",
            facts={"found": facts.library, "wanted": facts.client},
        )


def check_native(facts: Installed) -> Iterator[Finding]:
    """The Rust extension was built."""
    if not facts.native:
        yield Finding(
            check="native",
            severity="note",
            where="native/",
            what="the Rust extension is not installed: the router does its work in Python, at a fifth of the speed",
            remedy="where there is cargo, `make native` in a clone builds it",
        )


GROUP = Group(
    name="installation",
    look=look,
    checks={"python": check_python, "packages": check_packages, "librdkafka": check_librdkafka, "native": check_native},
)
