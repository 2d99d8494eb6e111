"""Events that are hostile to the coordinator: what they name need not exist, and what lies beside it may be anything."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from services.coordinator import receivers
from services.coordinator.receivers import Receivers
from tests.integration.loan_flow import LAND, QUESTION
from tests.unit import test_coordinator_intake as intake_tests
from tests.unit.test_coordinator_intake import Intake, Record, objection

intake, finder = intake_tests.intake, intake_tests.finder


def test_a_record_that_the_client_cannot_read_is_looked_past(
    finder: Receivers, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A header's name that is not UTF-8 makes the client raise; whoever looks for another event must not fall over it."""
    kept = receivers.records_since

    def with_another(*how: Any, **more: Any) -> Any:
        yield Record(QUESTION, b"?", SystemError("not UTF-8"), 1_767_600_000_000)
        yield from kept(*how, **more)

    monkeypatch.setattr(receivers, "records_since", with_another)
    assert finder.of(objection()) == [{"agency": LAND, "agreement": "questions-land-register"}]


@pytest.mark.parametrize("contract", ["no.such.contract", "a\0b", "x" * 100_000, "/../", "ctl.agreements", " ", "é"])
def test_an_objection_to_what_nobody_may_get_has_no_receivers(
    finder: Receivers, contract: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No topic is looked for under a name that somebody made up."""

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("looked for")

    monkeypatch.setattr(receivers, "records_since", never)
    assert finder.of(objection(contract=contract)) == []


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00", "9999-12-31T23:59:59", "9999-12-31T23:59:59-23:59", datetime.min, datetime.max, 7, ""]
)
def test_an_objections_time_may_be_any(finder: Receivers, moment: Any) -> None:
    """Also one that this machine's clock cannot tell."""
    assert finder.of(objection(event_time=moment)) in ([], [{"agency": LAND, "agreement": "questions-land-register"}])
