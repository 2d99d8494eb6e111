"""What a scenario says must be so, and whether it is.

Neighbours: ``scenario`` plays the steps and asks here after each; ``simulation`` holds what there is to see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from hutong.catalogue.document import Document, Path
from hutong.flows.case import Case
from hutong.simulation.simulation import Simulation

__all__ = ["Expectation", "Judged", "judge"]


class Expectation(BaseModel):
    """What must be so; every part that is given.

    Attributes:
        case: whose; number or key. May be left out while there is one case.
        status: the case's.
        happened: what must be on its timeline: ``OPENED``, or ``ASKED vehicles`` with the question.
        not_happened: what must not.
        report: parts of its report by dotted path, list items by position: ``discrepancies.0.found: 2``.
        discrepancies: the rules that hit, all of them.
        missing: the questions without an answer in the report, all of them.
        cases: how many cases there are.
        quarantined: the reasons in quarantine so far, in order.
        published: contract -> how many events of it there are.
        delivered: agreement -> how many events it has let through.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str | None = None
    status: Literal["none", "expected", "waiting", "open", "review", "closed"] | None = None
    happened: tuple[str, ...] | None = None
    not_happened: tuple[str, ...] | None = None
    report: dict[str, Any] | None = None
    discrepancies: tuple[str, ...] | None = None
    missing: tuple[str, ...] | None = None
    cases: int | None = None
    quarantined: tuple[str, ...] | None = None
    published: dict[str, int] | None = None
    delivered: dict[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An expectation, and what was found.

    Attributes:
        file: where it stands.
        line: on which line.
        expected: in words.
        holds: whether it is so.
        found: what is, where it does not hold.
    """

    file: str
    line: int
    expected: str
    holds: bool
    found: str


def judge(simulation: Simulation, flow: str, expected: Expectation, document: Document, place: Path) -> Iterator[Judged]:
    """Hold an expectation against what has happened.

    Args:
        simulation: where it happened.
        flow: whose cases are meant.
        expected: what must be so.
        document: the scenario's file.
        place: where in it the expectation stands.
    """
    cases = [one for one in simulation.cases.values() if one["flow"] == flow]
    for part, words, wanted, found in _parts(simulation, cases, expected):
        holds = wanted == found
        line = document.line((*place, *part))
        yield Judged(file=document.file, line=line, expected=words, holds=holds, found="" if holds else _shown(found))


_Part = tuple[Path, str, Any, Any]
"""Where it stands in the expectation, in words, what is wanted, what is."""


def _parts(simulation: Simulation, cases: list[Case], expected: Expectation) -> Iterator[_Part]:
    yield from _of_case(_case(cases, expected.case), expected)
    if expected.cases is not None:
        yield ("cases",), f"number of cases: {expected.cases}", expected.cases, len(cases)
    if expected.quarantined is not None:
        reasons = [one.reason for one in simulation.quarantined]
        yield ("quarantined",), f"in quarantine: {_shown(expected.quarantined)}", list(expected.quarantined), reasons
    for contract, count in (expected.published or {}).items():
        there = len(simulation.bus.records(f"pub.{contract}"))
        yield ("published", contract), f"events of {contract}: {count}", count, there
    for agreement, count in (expected.delivered or {}).items():
        yield ("delivered", agreement), f"deliveries under {agreement}: {count}", count, simulation.bus.delivered(agreement)


def _case(cases: list[Case], wanted: str | None) -> Case | None:
    found = [one for one in cases if wanted is None or wanted in (one["number"], one["key"])]
    return found[0] if len(found) == 1 else None


def _of_case(case: Case | None, expected: Expectation) -> Iterator[_Part]:
    name = f"case {expected.case}" if expected.case else "the case"
    if expected.status is not None:
        yield ("status",), f"{name} is {expected.status}", expected.status, case["status"] if case else "none"
    happened = _happened(case)
    for at, what in enumerate(expected.happened or ()):
        yield ("happened", at), f"{name}: {what}", what, what if what in happened else "it has not happened"
    for at, what in enumerate(expected.not_happened or ()):
        yield ("not_happened", at), f"{name}: no {what}", "", "it has happened" if what in happened else ""
    report = (case["report"] if case else None) or {}
    for path, wanted in (expected.report or {}).items():
        yield ("report", path), f"{name} reports {path}: {_shown(wanted)}", wanted, _follow(report, path)
    if expected.discrepancies is not None:
        rules = sorted(one["rule"] for one in report.get("discrepancies", ()))
        yield ("discrepancies",), f"{name}: discrepancies {_shown(expected.discrepancies)}", sorted(expected.discrepancies), rules
    if expected.missing is not None:
        asks = sorted(one["ask"] for one in report.get("missing", ()))
        yield ("missing",), f"{name}: missing {_shown(expected.missing)}", sorted(expected.missing), asks


def _happened(case: Case | None) -> set[str]:
    """What is on a case's timeline, with and without its question, and with its detail: ``CLOSED COMPLETE``."""
    found: set[str] = set()
    for entry in case["timeline"] if case else ():
        what = entry["what"]
        found |= {what} | {f"{what} {more}" for more in (entry["ask"], entry["detail"]) if more}
    return found


def _follow(value: Any, path: str) -> Any:
    for segment in path.split("."):
        if isinstance(value, list) and segment.isdigit() and int(segment) < len(value):
            value = value[int(segment)]
        elif isinstance(value, dict):
            value = value.get(segment)
        else:
            return None
    return value


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value)) or "nothing"
    return "nothing" if value is None else str(value)
