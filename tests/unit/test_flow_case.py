"""A case as an earlier version kept it goes on; one of a newer version is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hutong.errors import ConfigurationError
from hutong.flows.case import FORMAT, Case, restored
from hutong.flows.step import Stimulus, step
from services.coordinator.cases import decode, encode
from services.coordinator.wakeups import is_closed
from tests.flow_samples import DAY_MS, START_MS, application, plan, stimuli

PLAN = plan()
NUMBER = "AID-A1"


def opened() -> dict[str, Any]:
    """A case with open questions and a held authorisation, as JSON holds it."""
    case: Case | None = None
    early = stimuli(PLAN, "aid.office.signed", {"number": "A1", "person": "p1"}, id="early", at_ms=START_MS - 5)
    for one in (*early, *stimuli(PLAN, "aid.office.applied", application(), id="a", at_ms=START_MS)):
        case = step(PLAN, case, one).case
    assert case is not None
    assert case["questions"]
    found: dict[str, Any] = json.loads(json.dumps(case))
    return found


def ended(case: Case) -> Case:
    """The case after its deadline."""
    outcome = step(PLAN, case, Stimulus(case=NUMBER, does="clock", at_ms=START_MS + 90 * DAY_MS, data={}))
    assert outcome.case is not None
    return outcome.case


def lacking() -> list[tuple[str, str]]:
    """Every field that a version before its time did not write: what it belongs to, and its name."""
    case = opened()
    parts = {"case": case, "questions": next(iter(case["questions"].values())), "people": next(iter(case["people"].values()))}
    needed = {
        "case": {"flow", "number", "status", "now_ms", "due_ms", "people", "questions", "data", "done", "sources"},
        "questions": {"number", "ask", "agency", "status", "asked_ms", "due_ms"},
        "people": set(),
    }
    return [(part, name) for part, fields in parts.items() for name in fields if name not in needed[part]]


@pytest.mark.parametrize(("part", "name"), lacking())
def test_a_field_that_an_earlier_version_did_not_write_does_not_stop_its_case(part: str, name: str) -> None:
    """It goes on to its end, and is as complete then as any."""
    case = opened()
    del case["format"]
    for one in [case] if part == "case" else case[part].values():
        one.pop(name, None)
    found = ended(restored(case))
    assert (found["status"], found["format"]) == ("closed", FORMAT)
    whole = ended(restored(opened()))
    assert found.keys() == whole.keys()
    fields = [{tuple(sorted(question)) for question in one["questions"].values()} for one in (found, whole)]
    assert fields[0] == fields[1]


def test_what_is_kept_now_comes_back_as_it_was() -> None:
    """Nothing is added to it or taken from it, and whether it is closed is seen without reading it."""
    case = restored(opened())
    kept = encode(case, 7)
    assert decode(kept) == case == opened()
    assert not is_closed(kept)
    assert is_closed(encode(ended(decode(kept)), 8))


def test_a_case_of_a_newer_version_is_left_alone() -> None:
    """What it means is not known here, and would be lost with the next state."""
    case = opened() | {"format": FORMAT + 1}
    with pytest.raises(ConfigurationError, match=f"{NUMBER} was kept by a newer version"):
        decode(encode(case, 1))  # type: ignore[arg-type]
