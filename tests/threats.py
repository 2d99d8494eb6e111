"""``docs/threat-model.md`` as data, and whether the tests that it names are there and ran.

``make test`` ends with ``python -m tests.threats --outcomes FILE``: a threat whose test is missing, skipped or failed ends the
run. Neighbours: ``outcomes`` writes the file; ``test_threat_model`` holds the page to its form.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import outcomes
from tests.known import Known, known_tests

__all__ = ["PAGE", "PARTS", "Threat", "main", "problems", "threats"]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/threat-model.md"
PARTS = ("Who", "Control", "Default", "Remains", "Tests")
"""What is said of every threat, in this order; before the tests some name faults of the torture run (``Torture``)."""

_HEAD = re.compile(r"^### (T-\d+) (.+)\n\n(.+)\n", re.MULTILINE)
_FACTS = re.compile(
    r"(?P<boundaries>TB-\d+(?:, TB-\d+)*) · (?P<assets>A-\d+(?:, A-\d+)*) · "
    r"impact (?P<impact>[HML]), likelihood (?P<likelihood>[HML]): (?P<risk>[HML])"
)
_PART = re.compile(r"^- \*\*(\w+)\.\*\* (.+?)(?=^- \*\*|^#|^$|\Z)", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"`(tests/[\w/]+\.py::\w+(?:::\w+)?(?:\[[^]`]+\])?)`")


@dataclass(frozen=True, kw_only=True)
class Threat:
    """One threat.

    Attributes:
        id: ``T-01``.
        title: what happens.
        boundaries: the trust boundaries that it crosses.
        assets: what it is after.
        impact: H, M or L.
        likelihood: H, M or L.
        risk: of the two; before any control.
        says: part -> its text.
        tests: node ids of the tests that show the defence; without parameters, where all of a test's cases are meant.
        faults: of the torture run.
    """

    id: str
    title: str
    boundaries: tuple[str, ...]
    assets: tuple[str, ...]
    impact: str
    likelihood: str
    risk: str
    says: Mapping[str, str]
    tests: tuple[str, ...]
    faults: tuple[str, ...]


def threats(page: str) -> list[Threat]:
    """The threats of a page, in its order.

    Raises:
        ValueError: a threat's line of facts cannot be read.
    """
    heads = list(_HEAD.finditer(page))
    ends = [head.start() for head in heads[1:]] + [len(page)]
    return [_threat(head, page[head.end() : end]) for head, end in zip(heads, ends, strict=True)]


def _threat(head: re.Match[str], text: str) -> Threat:
    facts = _FACTS.fullmatch(head[3])
    if facts is None:
        raise ValueError(f"{head[1]}: the line under its title is not 'TB-n · A-n · impact X, likelihood X: X'")
    says = {name: " ".join(said.split()) for name, said in _PART.findall(text.partition("\n## ")[0])}
    return Threat(
        id=head[1],
        title=head[2],
        boundaries=tuple(facts["boundaries"].split(", ")),
        assets=tuple(facts["assets"].split(", ")),
        impact=facts["impact"],
        likelihood=facts["likelihood"],
        risk=facts["risk"],
        says=says,
        tests=tuple(_TEST.findall(says.get("Tests", ""))),
        faults=tuple(re.findall(r"`([\w-]+)`", says.get("Torture", ""))),
    )


def problems(
    found: Sequence[Threat], known: Mapping[str, Known], became: Mapping[str, str], *, long: bool
) -> tuple[list[str], list[str]]:
    """What is wrong with the threats' tests after a run.

    Args:
        found: the threats.
        known: the tests that there are.
        became: node id -> outcome, of the run.
        long: whether the tests marked ``long`` were part of it.

    Returns:
        A line for each test that is missing, did not run, or did not pass; and the long ones that were left out.
    """
    wrong, left_out = [], []
    for threat in found:
        for test in threat.tests:
            name = test.partition("[")[0]
            outcome = {one for node, one in became.items() if test in (node, node.partition("[")[0])}
            if name not in known:
                wrong.append(f"{threat.id}: there is no {test}")
            elif not outcome and known[name].is_long and not long:
                left_out.append(test)
            elif not outcome:
                wrong.append(f"{threat.id}: {test} did not run")
            elif "failed" in outcome:
                wrong.append(f"{threat.id}: {test} failed")
            elif "passed" not in outcome:
                wrong.append(f"{threat.id}: {test} was skipped")
    return wrong, sorted(set(left_out))


def main(arguments: Sequence[str]) -> int:
    """0 where every threat's tests ran and passed; else 1, with what is wrong on the standard error output."""
    parser = argparse.ArgumentParser(prog="python -m tests.threats", description="Whether the threat model's tests ran.")
    parser.add_argument("--outcomes", type=Path, required=True, help="the file that pytest's --outcomes wrote")
    parser.add_argument("--long", action="store_true", help="the tests marked long were run too")
    asked = parser.parse_args(arguments)
    found = threats(PAGE.read_text(encoding="utf-8"))
    wrong, left_out = problems(found, known_tests(ROOT), outcomes.read(asked.outcomes), long=asked.long)
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    tests = {test for threat in found for test in threat.tests}
    later = f"; {len(left_out)} more run with LONG=1" if left_out else ""
    ran = len(tests) - len(left_out)
    if not wrong:
        sys.stdout.write(f"== threat model: {len(found)} threats, their {ran} tests ran and passed{later}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
