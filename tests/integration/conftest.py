"""What many files here need: a bus with the declarations ``fi`` and routers on it; other files have others of the same names.

A test that fails shows what its services have logged: why something did not happen is seldom in the test's own words.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from hutong.home import Home
from tests.integration.processes import last_words
from tests.integration.routers import Start, bus_with_line, starting


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections += [(f"log of {name}", text) for name, text in last_words(call.start)]
    return report


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """Where a bus of this file alone runs."""
    with bus_with_line() as home:
        yield home


@pytest.fixture
def start(home: Home) -> Iterator[Start]:
    """Starts routers there."""
    with starting(home) as start:
        yield start
