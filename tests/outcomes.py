"""What became of every test of a run, in a file: for whoever has to know that a test ran, and was not only there.

``pytest --outcomes FILE`` adds to the file when the session has ended: one line a test, ``passed``, ``failed`` or ``skipped`` and
its node id. A session that is killed adds nothing. With xdist the process that hands tests out writes. Neighbours: ``conftest``
switches it on; ``threats`` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

__all__ = ["Outcomes", "pytest_addoption", "pytest_configure", "read"]

_WORST = ("passed", "skipped", "failed")  # of a test's set-up, call and clean-up, the worst one counts


class Outcomes:
    """Notes the outcome of every test.

    Args:
        file: gets a line for each.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Set-up, call or clean-up of a test has ended."""
        known = self._found.get(report.nodeid, report.outcome)
        self._found[report.nodeid] = max(known, report.outcome, key=_WORST.index)

    def pytest_sessionfinish(self) -> None:
        """Every test has ended."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as out:
            out.writelines(f"{outcome} {test}\n" for test, outcome in self._found.items())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("hutong").addoption("--outcomes", metavar="FILE", help="add to this file what became of each test")


def pytest_configure(config: pytest.Config) -> None:
    file = config.getoption("--outcomes")
    if file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes(Path(file)))


def read(file: Path) -> Mapping[str, str]:
    """Node id -> outcome, of all sessions that added to the file; of a test that ran twice the worse one."""
    found: dict[str, str] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        outcome, _, test = line.partition(" ")
        found[test] = max(found.get(test, outcome), outcome, key=_WORST.index)
    return found
