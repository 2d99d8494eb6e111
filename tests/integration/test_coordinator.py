"""The coordinator on a bus of its own: cases run through, deadlines are kept, flows come and go, corrections find who relies."""

from __future__ import annotations

import json
import time
from datetime import date
from pathlib import Path

import pytest
from confluent_kafka import Producer

from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.event import Attributes
from tests.integration.coordinating import (
    DAY_MS,
    Start,
    answer,
    ask_for,
    bus,
    old_case,
    questions,
    reports,
    start,
)
from tests.integration.coordinators import Bus
from tests.integration.correction import WRONG, applied, cremation, decided, declare_correction, objection
from tests.integration.loan_flow import FLOW, LAND, OFFICE, REQUESTED, TAX, flow
from tests.integration.routers import await_true, hutong

pytestmark = pytest.mark.timeout(300)

__all__ = ["bus", "start"]  # fixtures, found by name


def test_a_case_runs_through(bus: Bus, start: Start) -> None:
    """Opened, asked, answered, compared, reported; the state is on the changelog, the counts are on the metrics page."""
    coordinator = start().await_ready()
    with bus.publisher(OFFICE) as publisher:
        ask_for(publisher, "single-1", income=4)
    await_true(lambda: len(questions(bus, "LC-single-1")) == 2, "both agencies are asked")
    answer(bus, "LC-single-1", LAND, "houses")
    answer(bus, "LC-single-1", TAX, "income")
    await_true(lambda: reports(bus, "LC-single-1"), "the report is there")
    [(_, report)] = reports(bus, "LC-single-1")
    assert report == {"case_number": "LC-single-1", "result": "COMPLETE", "discrepancies": 1, "missing": 0}
    assert bus.cases()["LC-single-1"]["status"] == "closed"
    await_true(lambda: coordinator.metric("hutong_cases_closed_total", flow=FLOW, result="COMPLETE") == 1, "it is counted")
    assert coordinator.metric("hutong_answers_total", flow=FLOW, agency=TAX, outcome="in_time") == 1
    assert coordinator.metric("hutong_deadlines_total", flow=FLOW, kept="true") == 2
    seconds = coordinator.stop()
    print(f"stopped in {seconds:.1f} s")
    assert coordinator.process.returncode == 0
    assert seconds < 10


def test_an_aborted_transaction_on_the_inbox_does_not_happen(bus: Bus, start: Start) -> None:
    """What a transaction had written to the inbox before it was aborted opens no case; the next one's does."""
    start().await_ready()
    registered = bus.registry.latest(f"pub.{REQUESTED}-value")
    assert registered is not None
    schema = EventSchema(registered.schema)
    producer = Producer(bus.settings().client() | {"transactional.id": "hutong.test-abort"})
    producer.init_transactions(30)
    for commit in (False, True):
        key = f"single-commit-{commit}"
        producer.begin_transaction()
        data = schema.check({"loan": key, "person": "P", "income": 5})
        moment = Attributes(id=key, source=f"urn:hutong:{OFFICE}", type=REQUESTED, time=bus.now())
        meant = {"flow": FLOW, "does": "open", "spec": "0", "case_key": key, "place": f"pub.{REQUESTED}/0/0"}
        headers = [*moment.to_headers(), *((f"hutong_{name}", value.encode()) for name, value in meant.items())]
        producer.produce("ctl.cases.inbox", frame(registered.id) + schema.encode(data), f"LC-{key}", headers=headers, partition=0)  # type: ignore[arg-type]
        producer.flush()
        time.sleep(1)  # so that an uncommitted record would have been read
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    await_true(lambda: "LC-single-commit-True" in bus.cases(), "the committed one opens its case")
    assert "LC-single-commit-False" not in bus.cases()
    assert questions(bus, "LC-single-commit-False") == []


def test_an_answer_to_nothing_is_quarantined(bus: Bus, start: Start) -> None:
    """An answer to a case that is not there goes to quarantine, byte for byte, with the reason."""
    start().await_ready()
    id_ = answer(bus, "LC-nobody", LAND, "houses")
    await_true(lambda: bus.quarantined(f"{LAND}.answered"), "it is in quarantine")
    [(reason, record)] = bus.quarantined(f"{LAND}.answered")
    [original] = [one for one in bus.read(f"pub.{LAND}.answered") if dict(one.headers())["ce_id"].decode() == id_]
    assert reason == "unknown_case"
    assert (record.key(), record.value()) == (original.key(), original.value())
    headers = dict(record.headers())
    assert headers["hutong_source"] == f"pub.{LAND}.answered/{original.partition()}/{original.offset()}".encode()
    assert dict(original.headers()).items() <= headers.items()


def test_a_deadline_that_passed_while_it_was_down_is_kept_at_its_start(bus: Bus, start: Start) -> None:
    """After three days without any coordinator a case's deadline is found, and the case closes with what there is."""
    now_ms = time.time_ns() // 1_000_000
    case = old_case("LC-single-old", now_ms - 3 * DAY_MS)
    producer = Producer(bus.settings().client() | {"partitioner": "murmur2_random"})
    producer.produce("ctl.cases.state", json.dumps(case, separators=(",", ":")).encode(), case["number"])
    producer.flush()
    start("fresh").await_ready()
    await_true(lambda: reports(bus, "LC-single-old"), "its report is there", 20)
    [(_, report)] = reports(bus, "LC-single-old")
    assert (report["result"], report["missing"]) == ("PARTIAL", 1)
    assert {data["withdrawn"] for _, data in questions(bus, "LC-single-old")} == {True}
    closed = bus.cases()["LC-single-old"]
    assert closed["closed_ms"] == case["due_ms"]
    assert [one["what"] for one in closed["timeline"]] == ["LATE", "WITHDRAWN", "CLOSED"]


def test_a_flow_that_comes_and_goes(bus: Bus, start: Start) -> None:
    """A flow that is taken away leaves its cases at rest, and answers to them in quarantine; it goes on when it is back."""
    start().await_ready()
    with bus.publisher(OFFICE) as publisher:
        ask_for(publisher, "single-rest")
    await_true(lambda: len(questions(bus, "LC-single-rest")) == 2, "the agencies are asked")
    bus.apply(flow(id="loan-check-2", prefix="LD"))
    with bus.publisher(OFFICE) as publisher:
        ask_for(publisher, "single-second")
    await_true(lambda: len(questions(bus, "LD-single-second")) == 2, "the other flow asks", 60)
    early = answer(bus, "LC-single-rest", TAX, "income")
    await_true(lambda: early in quarantined_ids(bus, f"{TAX}.answered", "unknown_case", "no_flow"), "its answer is kept")
    bus.apply(flow())
    answer(bus, "LC-single-rest", TAX, "income")
    answer(bus, "LC-single-rest", LAND, "houses")
    await_true(lambda: reports(bus, "LC-single-rest"), "the first goes on", 60)
    assert questions(bus, "LC-single-second") == []


def quarantined_ids(bus: Bus, contract: str, *reasons: str) -> set[str]:
    return {dict(one.headers())["ce_id"].decode() for reason, one in bus.quarantined(contract) if reason in reasons}


def test_a_flow_looks_at_what_comes_after_it(bus: Bus, start: Start) -> None:
    """A new flow opens no case for what was published before; a change of the flow does not make it forget since when it is."""
    with bus.publisher(OFFICE) as publisher:
        ask_for(publisher, "single-before")
    bus.apply(flow(), flow(id="loan-check-3", prefix="LE"))
    with bus.publisher(OFFICE) as publisher:
        ask_for(publisher, "single-after")
    bus.apply(flow(), flow(id="loan-check-3", prefix="LE", purpose="Made up otherwise"))
    start().await_ready()
    await_true(lambda: len(questions(bus, "LE-single-after")) == 2, "what came after it opens a case", 60)
    assert questions(bus, "LE-single-before") == []
    assert len(questions(bus, "LC-single-before")) == 2
    bus.apply(flow())


@pytest.mark.long
def test_a_correction_goes_to_everybody_who_had_got_the_wrong_value(bus: Bus, start: Start, tmp_path: Path) -> None:
    """The sample's flow: the agreements whose rows the doubted event passed say whom to ask, and no event beside it does."""
    declare_correction(tmp_path)
    hutong(bus.home, "apply", "--schemas", str(tmp_path))
    coordinator = start()
    source, case = "mca.funeral", "COR-OB-2026-0001"
    with bus.publisher(source) as publisher:
        publisher.publish(cremation("CR-2026-0001", born=date(1940, 11, 12), died=date(2026, 2, 19)), WRONG)
        young = date(1970, 1, 1)  # whose death the elderly allowance is not told of
        wrong = publisher.publish(cremation("CR-2026-0002", born=young, died=date(2026, 2, 20)), WRONG).event_id
        publisher.publish(cremation("CR-2026-0003", born=date(1940, 11, 12), died=date(2026, 2, 22)), WRONG)
    with bus.publisher("mohrss.insurance") as publisher:
        publisher.publish(objection("OB-2026-0001", wrong), "mohrss.insurance.objection_raised")
    coordinator.await_ready()
    await_true(lambda: asked(bus, case) == {(source, None): f"{case}-verify"}, "its source is asked")
    with bus.publisher(source) as publisher:
        corrected = cremation("CR-2026-0002", born=young, died=date(2026, 2, 21))
        right = publisher.publish(corrected, WRONG, corrects=wrong).event_id
        publisher.publish(decided(case, wrong, right), f"{source}.objection_decided")
    relied = {("mca.disability", "cremation-to-disability-subsidy"), ("mohrss.insurance", "cremation-to-pension")}
    await_true(lambda: asked(bus, case).keys() == {(source, None), *relied}, "who had got it is asked")
    for (agency, _), question in asked(bus, case).items():
        if agency != source:
            with bus.publisher(agency) as publisher:
                publisher.publish(applied(case, question, right), f"{agency}.correction_applied")
    await_true(lambda: bus.events("mca.information.correction_concluded"), "it is concluded")
    [(_, report)] = bus.events("mca.information.correction_concluded")
    assert (report["result"], report["missing"], report["correction_id"]) == ("COMPLETE", [], right)
    assert {(one["agency"], one["agreement"]) for one in report["receivers"]} == relied
    assert len(report["confirmed"]) == 3


def asked(bus: Bus, case: str) -> dict[tuple[str, str | None], str]:
    """Agency and agreement -> the question's number."""
    found = [data for _, data in bus.events("mca.information.question_asked") if data["case_number"] == case]
    return {(one["agency"], one["agreement"]): one["question_number"] for one in found}
