"""Flows on the in-memory bus: the same as stepping by hand, over real agreements and channels, months in moments."""

from __future__ import annotations

import json
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import hutong
from hutong.contracts.schema import EventSchema
from hutong.errors import ContractViolation, NotAuthorised, UnknownContract
from hutong.flows.case import Case
from hutong.flows.flow import Duration, Flow
from hutong.flows.step import Stimulus, step
from hutong.simulation.simulation import Simulation
from tests.flow_samples import DAY_MS, DOCUMENT, SCHEMAS, START_MS, application, contract, plan, reply, stimuli

START = datetime.fromtimestamp(START_MS / 1000, UTC)
FLOW = Flow.model_validate(DOCUMENT)
CONTRACTS = [EventSchema(one) for one in SCHEMAS.values()]
AGENCIES = {"cars.office": "cars", "tax.office": "tax", "banks.union": "bank"}


def questions_to(agency: str) -> dict[str, Any]:
    """An agreement that brings an agency its questions."""
    return {
        "id": f"questions-to-{agency.replace('.', '-')}",
        "recipient": agency,
        "contract": "aid.centre.question_asked",
        "legal_basis": "A made-up act",
        "purpose": "Aid",
        "valid": {"from": "2026-01-01"},
        "channel": "questions",
        "rows": [{"field": "agency", "equals": agency}],
        "fields": [{"field": "question_number"}, {"field": "case_number"}],
    }


def simulation(*agencies: str, **changes: Any) -> Simulation:
    flow = Flow.model_validate({**DOCUMENT, **changes})
    agreements = [questions_to(agency) for agency in agencies]
    return Simulation([flow], contracts=CONTRACTS, start=START, agreements=agreements, timezone="Asia/Shanghai")


def whats(case: Case) -> list[str]:
    return [f"{one['what']}:{one['ask']}" if one["ask"] else one["what"] for one in case["timeline"]]


def events(chance: random.Random) -> list[tuple[int, str, dict[str, Any], str]]:
    """What might happen to a case, in order of time: (ms after the start, contract, data, id)."""
    happening = [(0, "aid.office.applied", application(signed=chance.random() < 0.7))]
    for agency, ask in AGENCIES.items():
        answer = reply("AID-A1", ask, count=chance.randrange(3), places=chance.choice([[], ["north.town", "south.town"]]))
        happening.append((chance.randrange(50 * DAY_MS), f"{agency}.answered", answer))
    for town, number in (("north.town", 1), ("south.town", 2)):
        happening.append((chance.randrange(50 * DAY_MS), f"{town}.answered", reply("AID-A1", f"town-{number}")))
    if chance.random() < 0.6:
        signature = {"number": "A1", "person": "p1"}
        happening.append((chance.randrange(5 * DAY_MS), f"aid.office.{chance.choice(['signed', 'took_back'])}", signature))
    if chance.random() < 0.5:
        decision = {"number": "A1", "decision": chance.choice(["resume", "revoke"])}
        happening.append((chance.randrange(50 * DAY_MS), "aid.office.decided", decision))
    return [(*one, f"e{at}") for at, one in enumerate(sorted(happening, key=lambda one: one[0]))]


@pytest.mark.parametrize("seed", range(25))
def test_the_simulation_agrees_with_stepping_by_hand(seed: int) -> None:
    """Whatever comes when: the same cases and events, though here a clock wakes cases, and by hand nothing does until the end."""
    happening, end_ms = events(random.Random(seed)), 60 * DAY_MS
    simulated, by_hand, case = simulation(), plan(), None
    emitted: list[str] = []
    for after_ms, name, data, id_ in happening:
        simulated.advance(to=START + timedelta(milliseconds=after_ms))
        simulated.publish(name, data, id=id_)
        for stimulus in stimuli(by_hand, name, data, id=id_, at_ms=START_MS + after_ms):
            outcome = step(by_hand, case, stimulus)
            case, emitted = outcome.case, emitted + [one.id for one in outcome.events]
    simulated.advance(to=START + timedelta(milliseconds=end_ms))
    outcome = step(by_hand, case, Stimulus(case="AID-A1", does="clock", at_ms=START_MS + end_ms, data={}))
    emitted += [one.id for one in outcome.events]
    assert outcome.case is not None
    expected = json.loads(json.dumps(outcome.case)) | {"now_ms": 0}
    assert json.loads(json.dumps(simulated.case("A1"))) | {"now_ms": 0} == expected
    published = [
        attributes.id
        for name in ("question_asked", "case_progressed", "reported")
        for attributes, _ in simulated.bus.published(f"aid.centre.{name}")
    ]
    assert sorted(published) == sorted(emitted)


def test_what_is_due_happens_at_its_moment() -> None:
    """Reminders, escalation and the end bear the times at which they were due, and so do the events and the records."""
    simulated = simulation()
    simulated.publish("aid.office.applied", application())
    simulated.advance(by=Duration(days=60))
    zone = ZoneInfo("Asia/Shanghai")
    told = {
        what: datetime.fromtimestamp(one["at_ms"] / 1000, zone)
        for what, one in zip(whats(simulated.case("A1")), simulated.case("A1")["timeline"], strict=True)
    }
    assert told["LATE:cars"] == datetime(2026, 3, 10, tzinfo=zone)  # the fifth working day ends
    assert told["ESCALATED:cars"] == datetime(2026, 3, 12, tzinfo=zone)
    assert told["CLOSED"] == datetime(2026, 4, 15, tzinfo=zone)  # Qingming on 6 April is no working day
    ((attributes, data),) = simulated.bus.published("aid.centre.reported")
    assert attributes.time == data["at"] == told["CLOSED"]
    (record,) = simulated.bus.records("pub.aid.centre.reported")
    assert record.timestamp()[1] == told["CLOSED"].timestamp() * 1000
    assert simulated.now == START + timedelta(days=60)


def test_agencies_answer_what_the_bus_brings_them() -> None:
    """A question that no agreement carries is known not to have arrived, and its agency is not asked to answer."""
    simulated = simulation("cars.office", "tax.office", "north.town")
    asked: list[str] = []

    def answer(case: Case, question: Any) -> None:
        asked.append(question["number"])
        places = ["north.town"] if question["ask"] == "tax" else []
        data = reply(case["number"], question["number"].removeprefix(f"{case['number']}-"), places=places)
        later = simulated.now + timedelta(hours=1)
        simulated.at(later, lambda: simulated.publish(f"{question['agency']}.answered", data))

    simulated.on_question = answer
    simulated.publish("aid.office.applied", application())
    simulated.advance(by=Duration(days=1))
    assert asked == ["AID-A1-cars", "AID-A1-tax", "AID-A1-town-1"]
    assert simulated.reached == {"AID-A1-cars": True, "AID-A1-tax": True, "AID-A1-bank": False, "AID-A1-town-1": True}
    assert whats(simulated.case("A1"))[-1] == "ANSWERED:town"
    assert simulated.bus.delivered("questions-to-cars-office") == 1


def test_what_cannot_be_used_is_in_quarantine() -> None:
    """An answer to an unknown case, or with a number of no flow; malformed bytes are the router's."""
    simulated = simulation()
    simulated.publish("cars.office.answered", reply("AID-NOBODY", "cars"))
    simulated.publish("cars.office.answered", reply("XYZ-1", "cars"))
    simulated.bus.append("pub.aid.office.applied", b"A1", b"\0\0\0\0\1nonsense", [])
    simulated.settle()
    assert [one.reason for one in simulated.quarantined] == ["unknown_case", "unknown_case", "not_a_cloudevent"]
    assert simulated.quarantined[0].record.topic() == "pub.cars.office.answered"
    assert simulated.cases == {}


def test_the_receivers_of_an_objected_event_come_from_its_deliveries() -> None:
    """Only who got that very event, and only under an agreement that is still in force."""
    objected = contract("aid.office.objected", ["number"], number="string", contract="string", event="string")
    flow = Flow.model_validate({
        **DOCUMENT,
        "events": [{
            "does": "open", "contract": "aid.office.objected", "case": "number",
            "keep": {"contract": "contract", "event_id": "event", "receivers": "event"},
        }],
        "people": None, "figures": {}, "rules": [],
        "ask": [{**DOCUMENT["ask"][3], "after": None, "each": "data.receivers", "agency": {"path": "item.agency"}}],
    })  # fmt: skip
    to_town = {
        **questions_to("north.town"), "id": "marriages-to-town", "contract": "reg.weddings.married", "channel": "marriages",
        "rows": [{"field": "one", "equals": "p1"}], "fields": [{"field": "one"}],
    }  # fmt: skip
    to_south = {**to_town, "id": "marriages-to-south", "recipient": "south.town"}
    simulated = Simulation(
        [flow], contracts=[*CONTRACTS, EventSchema(objected)], start=START, agreements=[to_town, to_south], timezone="UTC"
    )
    wedding = {"one": "p1", "other": "p2", "on": "2026-02-01"}
    wrong = simulated.publish("reg.weddings.married", wedding)
    simulated.publish("reg.weddings.married", {**wedding, "one": "p3"}, id="unseen")
    simulated.bus.revoke("marriages-to-south")
    for number, event in (("O1", wrong), ("O2", "unseen"), ("O3", "unknown")):
        simulated.publish("aid.office.objected", {"number": number, "contract": "reg.weddings.married", "event": event})
    assert simulated.case("O1")["data"]["receivers"] == [{"agency": "north.town", "agreement": "marriages-to-town"}]
    assert [one["agency"] for one in simulated.case("O1")["questions"].values()] == ["north.town"]
    assert simulated.case("O2")["data"]["receivers"] == simulated.case("O3")["data"]["receivers"] == []


def test_an_applications_own_publisher_is_on_the_bus() -> None:
    """In the bus's block an application publishes as ever; ``settle`` lets flows react."""
    simulated = simulation()
    with simulated.bus, hutong.Publisher("aid.office") as publisher:
        publisher.publish(application(), "aid.office.applied")
    simulated.settle()
    assert simulated.case("AID-A1")["status"] == "open"


def test_wrong_use_is_told() -> None:
    """What cannot be published is raised, as by a publisher; time does not go back."""
    simulated = simulation()
    with pytest.raises(UnknownContract, match=r"no contract aid\.office\.nothing"):
        simulated.publish("aid.office.nothing", {})
    with pytest.raises(ContractViolation, match=r"members\[0\]\.name: is no field"):
        simulated.publish("aid.office.applied", {**application(), "members": [{"id": "p1", "signed": True, "name": "x"}]})
    with pytest.raises(NotAuthorised):
        simulated.publish("aid.office.applied", application(), by="cars.office")
    with pytest.raises(ValueError, match="has passed"):
        simulated.advance(to=START - timedelta(seconds=1))
    with pytest.raises(ValueError, match="to a moment, or by"):
        simulated.advance()
    with pytest.raises(LookupError, match="no cases"):
        simulated.case("A1")
    assert simulated.cases == {}


def test_months_pass_quickly() -> None:
    """Three hundred cases that nobody answers, over a year: seconds of processor time."""
    simulated = simulation(*AGENCIES)
    began = time.process_time()
    for number in range(300):
        simulated.publish("aid.office.applied", application(f"A{number}"))
        simulated.advance(by=Duration(days=1))
    simulated.advance(by=Duration(days=90))
    assert {case["status"] for case in simulated.cases.values()} == {"closed"}
    assert time.process_time() - began < 30


def test_the_declared_flows_run() -> None:
    """A directory is enough; a personal key does not show in a number."""
    simulated = Simulation.of(Path(__file__).parents[2] / "schemas", datetime(2026, 3, 2, 9))
    assert simulated.now == datetime(2026, 3, 2, 1, tzinfo=UTC)
    assert {"death", "correction", "low-income-verification"} <= simulated.plans.keys()
    assert "110105194011120018" not in simulated.plans["death"].number("110105194011120018")
