"""A test that fails shows what its services have logged: why something did not happen is seldom in the test's own words."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.integration.processes import last_words


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections += [(f"log of {name}", text) for name, text in last_words(call.start)]
    return report
