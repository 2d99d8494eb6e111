"""What a check has found, and how checks are grouped and run: none stops another, whatever happens to it.

Neighbours: each group's file has its checks, ``examination`` lists the groups, ``hutong doctor`` prints the findings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from hutong.errors import HutongError
from hutong.home import Home

__all__ = ["Context", "Examined", "Finding", "Group", "Severity", "examine", "several", "some"]

Severity = Literal["error", "warning", "note"]
"""``error``: something does not work; ``warning``: it will not for long, or not for all; ``note``: it could be better."""

_SHOWN = 5  # names, at most, that a finding gives

F = TypeVar("F")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What is examined.

    Attributes:
        home: where the embedded bus, passwords and keys are.
        schemas: the declarations.
        look_only: whether nothing may be written, not even for a moment.
    """

    home: Home
    schemas: Path
    look_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        check: which check has found it; a word for programs, which stays.
        severity: how bad it is.
        where: the file, port, topic, principal, address.
        what: the sentence that says so, with ``{name}`` for each fact.
        remedy: the sentence that says what to do, with the same facts.
        facts: their values.
    """

    check: str
    severity: Severity
    where: str
    what: str
    remedy: str
    facts: Mapping[str, object] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """For ``--json``: the sentences with their values, in English, and the values alone."""
        return {
            "check": self.check,
            "severity": self.severity,
            "where": self.where,
            "what": self.what.format(**self.facts),
            "remedy": self.remedy.format(**self.facts),
            "facts": {name: value if isinstance(value, int | float) else str(value) for name, value in self.facts.items()},
        }


def several(names: Collection[object], *, check: str, severity: Severity, what: str, remedy: str) -> Iterator[Finding]:
    """One finding about all that have the same thing wrong with them, none where there are none.

    Args:
        names: of what it is about; ``{number}`` in the sentences says how many they are.
        check: which check has found it.
        severity: how bad it is.
        what: the sentence that says so.
        remedy: the sentence that says what to do.
    """
    if names:
        yield Finding(check=check, severity=severity, where=some(names), what=what, remedy=remedy, facts={"number": len(names)})


def some(names: Collection[object]) -> str:
    """The first few of them."""
    shown = [str(name) for name in names]
    return ", ".join(shown[:_SHOWN]) + (", ..." if len(shown) > _SHOWN else "")


@dataclass(frozen=True, kw_only=True)
class Group(Generic[F]):
    """Checks that need the same facts.

    Attributes:
        name: what is examined, in a word.
        look: collects the facts.
        checks: name -> what judges them.
        needs: groups without whose facts there is nothing to look at here.
    """

    name: str
    look: Callable[[Context], F]
    checks: Mapping[str, Callable[[F], Iterator[Finding]]]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What came of it.

    Attributes:
        findings: the worst first.
        done: names of the checks that were made.
        left_out: names of those that could not be.
    """

    findings: Sequence[Finding]
    done: Sequence[str]
    left_out: Sequence[str]

    @property
    def well(self) -> bool:
        """Whether there is nothing worse than a note."""
        return all(one.severity == "note" for one in self.findings)


_ORDER = {"error": 0, "warning": 1, "note": 2}


def examine(context: Context, groups: Sequence[Group[Any]], tell: Callable[[str], None] = lambda _: None) -> Examined:
    """Run all checks.

    Args:
        context: what is examined.
        groups: the checks.
        tell: told the name of each group before it is looked at.
    """
    findings: list[Finding] = []
    done: list[str] = []
    left_out: list[str] = []
    blind: set[str] = set()
    for group in groups:
        if blind.intersection(group.needs):
            blind.add(group.name)
            left_out += group.checks
            continue
        tell(group.name)
        try:
            facts = group.look(context)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other groups are looked at, and it is told
            findings.append(_unseen(group, error))
            blind.add(group.name)
            left_out += group.checks
            continue
        for name, check in group.checks.items():
            try:
                findings += check(facts)
                done.append(name)
            except Exception as error:  # noqa: BLE001 - as above
                findings.append(_failed(name, error))
    findings.sort(key=lambda one: _ORDER[one.severity])
    return Examined(findings=findings, done=done, left_out=left_out)


def _unseen(group: Group[Any], error: Exception) -> Finding:
    problem = str(error) if isinstance(error, HutongError) else type(error).__name__
    return Finding(
        check=group.name,
        severity="error",
        where=group.name,
        what="it cannot be looked at: {problem}",
        remedy="put this right first; until then {number} checks are left out",
        facts={"problem": problem, "number": len(group.checks)},
    )


def _failed(check: str, error: Exception) -> Finding:
    return Finding(
        check=check,
        severity="error",
        where=check,
        what="the check itself has failed ({problem})",
        remedy="report it with the versions that `hutong --version` and `pip list` show",
        facts={"problem": type(error).__name__},
    )
