"""The coordinator's parts without a bus: batches applied to cases, flows, settings, health, the watch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.errors import BrokerUnavailable, ConfigurationError, EventTooLarge
from hutong.event import Attributes
from hutong.flows.intake import Meant
from hutong.flows.step import step
from hutong.flows.work import Emitted
from hutong.home import Home
from hutong.runtime.health import Health
from services.coordinator import cases as cases_module
from services.coordinator.cases import Worker, decode
from services.coordinator.events import Events
from services.coordinator.flows import Flows
from services.coordinator.inbox import Inboxed, clock_headers, own_headers, to_inbox
from services.coordinator.line import Both
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.watch import Watch
from tests.declaring import Declarations
from tests.integration.loan_flow import FLOW, LAND, OFFICE, REQUESTED, TAX, declare, flow
from tests.spans import spans_to

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Registry:
    """The contracts' schemas, by made-up ids."""

    def __init__(self, schemas: dict[str, dict[str, Any]]) -> None:
        self.ids = {name: number for number, name in enumerate(sorted(schemas), 1)}
        self._schemas = {self.ids[name]: schema for name, schema in schemas.items()}

    def by_id(self, schema_id: int) -> dict[str, Any] | None:
        return self._schemas.get(schema_id)


class Outbound:
    """Keeps what is sent; can be told to fail."""

    def __init__(self) -> None:
        self.events: list[Emitted] = []
        self.records: list[tuple[str, bytes | None, bytes | None, dict[str, bytes]]] = []
        self.flushed = 0
        self.fails: list[Exception] = []
        self.too_large = False

    def publish(self, owner: str, event: Emitted) -> None:
        assert owner == OFFICE
        self.events.append(event)

    def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> None:
        if self.too_large and value is not None:
            raise EventTooLarge("too large")
        self.records.append((topic, key, value, dict(headers)))

    def flush(self) -> None:
        if self.fails:
            raise self.fails.pop()
        self.flushed += 1

    def give_up(self) -> None:
        self.events.clear()
        self.records.clear()


class Line:
    """A worker with the test flow, and a store."""

    def __init__(self, tmp_path: Path) -> None:
        declare(tmp_path / "schemas")
        catalogue = Declarations(tmp_path / "copy", tmp_path / "schemas").catalogue()
        self.schemas = {name: one.versions[-1].schema for name, one in catalogue.contracts.items()}
        self.registry = Registry(self.schemas)
        self.flows = Flows(Home(root=tmp_path))
        self.document = {"format": 1, "flow": flow(), "schemas": self.schemas, "timezone": "Asia/Shanghai"}
        self.flows.update({FLOW: json.dumps(self.document).encode()})
        self.outbound = Outbound()
        self.worker = Worker(self.flows, Events(self.registry), self.outbound)  # type: ignore[arg-type]
        self.store: dict[str, bytes] = {}
        self.offset = 0

    def record(self, contract: str, data: dict[str, Any], meant: Meant, *, id_: str, at_ms: int = 1_000) -> Inboxed:
        schema = EventSchema(self.schemas[contract])
        checked = schema.check(data)
        moment = Attributes(
            id=id_, source=f"urn:hutong:{schema.department}", type=contract, time=datetime(2026, 1, 5, tzinfo=UTC)
        )
        value = frame(self.registry.ids[contract]) + schema.encode(checked)
        headers = to_inbox(
            meant, moment.to_headers(), key=b"original", place=f"pub.{contract}/2/7", appended_ms=9, receivers=None
        )
        self.offset += 1
        return Inboxed(0, self.offset, meant.case.encode(), value, headers, at_ms)

    def opened(self, key: str, *, id_: str | None = None, at_ms: int = 1_000) -> Inboxed:
        meant = Meant(flow=FLOW, case=f"LC-{key}", key=key, does="open", spec="0")
        return self.record(REQUESTED, {"loan": key, "person": "P", "income": 5}, meant, id_=id_ or f"open-{key}", at_ms=at_ms)

    def answered(self, key: str, name: str, *, department: str, at_ms: int = 2_000) -> Inboxed:
        number = f"LC-{key}"
        meant = Meant(flow=FLOW, case=number, key="", does="answer", spec=f"{name}/0")
        data = {"question_number": f"{number}-{name}", "case_number": number, name: 5}
        return self.record(f"{department}.answered", data, meant, id_=f"answer-{key}-{name}", at_ms=at_ms)

    def clock(self, key: str, at_ms: int) -> Inboxed:
        return Inboxed(0, 99, f"LC-{key}".encode(), None, clock_headers(FLOW, at_ms), at_ms)

    def run(self, *records: Inboxed) -> Any:
        stored = {(one.key or b"").decode(): self.store.get((one.key or b"").decode()) for one in records}
        done = self.worker.run(records, stored)
        self.store |= done.encoded
        return done

    def emitted(self, event: str) -> list[Emitted]:
        return [one for one in self.outbound.events if one.contract == f"office.loans.{event}"]


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


def test_a_batch_takes_a_case_from_opening_to_report(line: Line) -> None:
    """All records of a case in one batch: one case to store, all events confirmed before."""
    done = line.run(line.opened("1"), line.answered("1", "houses", department=LAND), line.answered("1", "income", department=TAX))
    assert list(done.encoded) == ["LC-1"]
    assert decode(done.encoded["LC-1"])["status"] == "closed"
    assert len(line.emitted("question")) == 2
    assert [one.data["result"] for one in line.emitted("report")] == ["COMPLETE"]
    assert line.outbound.flushed == 1


def test_a_repetition_gives_the_same_ids(line: Line) -> None:
    """A batch that runs again over the same stored cases sends the same events; over the new ones, none."""
    batch = [line.opened("1"), line.answered("1", "houses", department=LAND)]
    line.worker.run(batch, {"LC-1": None})
    first = [one.id for one in line.outbound.events]
    line.outbound.events.clear()
    line.run(*batch)
    assert [one.id for one in line.outbound.events] == first
    line.outbound.events.clear()
    line.run(*batch)
    assert line.outbound.events == []


def test_a_traced_event_is_received_at_its_case(line: Line) -> None:
    """Its arrival is the parent of all that the case sends, also later on; given up and done again, it has arrived twice."""
    exporter = InMemorySpanExporter()
    line.worker._spans = spans_to(exporter)
    record = line.opened("1")
    record = record._replace(headers=[*record.headers, ("traceparent", SAMPLED.encode())])
    line.outbound.fails = [BrokerUnavailable("away")]
    with pytest.raises(BrokerUnavailable):
        line.run(record)
    line.run(record)
    line.run(line.clock("1", at_ms=1_000 + 600_000))
    first, second = exporter.get_finished_spans()
    assert {first.name, second.name} == {f"receive pub.{REQUESTED}"}
    assert [one.status.status_code for one in (first, second)] == [StatusCode.ERROR, StatusCode.UNSET]
    assert second.parent is not None
    assert f"{second.parent.span_id:016x}" == SAMPLED.split("-")[2]
    own = f"{SAMPLED[:36]}{second.context.span_id:016x}-01"
    assert {one.traceparent for one in line.outbound.events} == {own}
    assert (len(line.emitted("question")) >= 2, len(line.emitted("report"))) == (True, 1)


def test_what_is_not_sampled_leaves_no_span_and_what_is_refused_says_why(line: Line) -> None:
    """The publisher has decided; an answer to no case has failed."""
    exporter = InMemorySpanExporter()
    line.worker._spans = spans_to(exporter)
    unsampled = SAMPLED[:-2] + "00"
    record, stray = line.opened("1"), line.answered("9", "houses", department=LAND)
    line.run(
        record._replace(headers=[*record.headers, ("traceparent", unsampled.encode())]),
        stray._replace(headers=[*stray.headers, ("traceparent", SAMPLED.encode())]),
    )
    assert {one.traceparent for one in line.outbound.events} == {unsampled}
    assert [(one.name, one.status.description) for one in exporter.get_finished_spans()] == [
        (f"receive pub.{LAND}.answered", "unknown_case")
    ]


def test_nothing_is_to_be_stored_before_the_brokers_have_what_goes_out(line: Line) -> None:
    """Where they do not confirm, the batch raises and is run again."""
    line.outbound.fails = [BrokerUnavailable("away")]
    with pytest.raises(BrokerUnavailable):
        line.run(line.opened("1"))
    assert line.store == {}
    assert line.outbound.events == []
    line.run(line.opened("1"))
    assert len(line.emitted("question")) == 2


def test_the_clock_closes_what_is_due(line: Line) -> None:
    """The clock's record has no value and no id; after the deadline the case ends with what there is."""
    line.run(line.opened("1"))
    line.run(line.clock("1", at_ms=1_000 + 600_000))
    assert [one.data["result"] for one in line.emitted("report")] == ["PARTIAL"]
    assert decode(line.store["LC-1"])["closed_ms"] == 601_000


def test_an_answer_to_no_case_goes_to_quarantine_whole(line: Line) -> None:
    """With its own key, value and headers, the reason, and where it lies."""
    record = line.answered("9", "houses", department=LAND)
    line.run(record)
    [(topic, key, value, headers)] = line.outbound.records
    assert (topic, key, value) == (f"quarantine.{LAND}.answered", b"original", record.value)
    assert headers["hutong_reason"] == b"unknown_case"
    assert headers["hutong_source"] == f"pub.{LAND}.answered/2/7".encode()
    assert headers["hutong_appended_ms"] == b"9"
    assert dict(own_headers(record.headers)).items() <= headers.items()
    assert line.store == {}


def test_too_large_for_quarantine_keeps_its_place(line: Line) -> None:
    """The record goes there without its value."""
    line.outbound.too_large = True
    line.run(line.answered("9", "houses", department=LAND))
    [(_, _, value, headers)] = line.outbound.records
    assert value is None
    assert headers["hutong_source"] == f"pub.{LAND}.answered/2/7".encode()


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, b"null_value"), (b"\0\0\0\0\x63x", b"unknown_schema"), (b"\0\0\0\0\x01", b"foreign_schema"), (b"x", b"not_framed")],
)
def test_what_cannot_be_read_goes_to_quarantine(line: Line, value: bytes | None, reason: bytes) -> None:
    """And the records beside it are worked off."""
    line.run(line.opened("1")._replace(value=value), line.opened("2"))
    [(topic, _, kept, headers)] = line.outbound.records
    assert (topic, kept) == (f"quarantine.{REQUESTED}", value)
    assert headers["hutong_reason"] == reason
    assert list(line.store) == ["LC-2"]


def test_a_failure_in_the_middle_of_a_step_leaves_the_case_as_it_was(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that changes a case and then fails is undone; what came before it in the batch is not."""

    def failing(plan: Any, case: Any, stimulus: Any) -> Any:
        if stimulus.id == "answer-1-income":
            case["data"] = {"spoilt": True}
            raise RuntimeError
        return step(plan, case, stimulus)

    monkeypatch.setattr(cases_module, "step", failing)
    done = line.run(line.opened("1"), line.answered("1", "houses", department=LAND), line.answered("1", "income", department=TAX))
    case = decode(done.encoded["LC-1"])
    assert case["data"] == {"person": "P", "income": 5}
    assert [one["status"] for one in case["questions"].values()] == ["answered", "open"]
    assert [headers["hutong_reason"] for *_, headers in line.outbound.records] == [b"internal_error"]


def test_a_record_that_no_intake_wrote_is_passed_over(line: Line) -> None:
    """It belongs to no contract's quarantine, and stops nothing."""
    line.run(Inboxed(0, 1, None, b"?", [], 1), line.opened("1"))
    assert line.outbound.records == []
    assert list(line.store) == ["LC-1"]


def test_a_flow_that_is_gone_lets_its_cases_rest(line: Line) -> None:
    """Events for them are kept in quarantine, the clock's records are not."""
    line.run(line.opened("1"))
    before = dict(line.store)
    line.flows.update({})
    line.run(line.answered("1", "houses", department=LAND), line.clock("1", at_ms=10**13))
    assert line.store == before
    assert [headers["hutong_reason"] for *_, headers in line.outbound.records] == [b"no_flow"]


def test_a_flow_that_cannot_be_run_does_not_stop_the_others(line: Line) -> None:
    """An unreadable record, and a personal key that is not here, are left out; the key's arrival brings its flow."""
    personal = {**line.document, "flow": flow(id="personal", prefix="P", personal_key=True)}
    entries = {"broken": b"{}", FLOW: json.dumps(line.document).encode(), "personal": json.dumps(personal).encode()}
    line.flows.update(entries)
    assert list(line.flows.plans) == [FLOW]
    line.flows._home.ensure_key("flow.personal")
    line.flows.update(entries)
    assert sorted(line.flows.plans) == [FLOW, "personal"]
    assert line.flows.plans["personal"].number("1").startswith("P-")


def test_headers_that_a_publisher_made_up_mean_nothing(line: Line) -> None:
    """Only the intake says what an event does."""
    meant = Meant(flow=FLOW, case="LC-1", key="1", does="open", spec="0")
    made = to_inbox(meant, [("hutong_does", b"revoke"), ("ce_id", b"1")], key=None, place="p/0/0", appended_ms=1, receivers=[])
    assert [value for name, value in made if name == "hutong_does"] == [b"open"]
    assert dict(made)["hutong_receivers"] == b"[]"
    assert own_headers(made) == [("ce_id", b"1")]


def test_settings_are_read_and_wrong_ones_named() -> None:
    """A flag wins over the environment."""
    found = CoordinatorSettings.read(["--instance", "a"], {"HUTONG_COORDINATOR_INSTANCE": "b", "HUTONG_COORDINATOR_PORT": "1"})
    assert (found.instance, found.port) == ("a", 1)
    with pytest.raises(ConfigurationError, match="HUTONG_COORDINATOR_INSTANCE"):
        CoordinatorSettings.read(["--instance", "../a"], {})


def test_health_is_that_of_both_loops() -> None:
    """One that waits makes the process unready, one that is stuck makes it dead."""
    intake, cases = Health(), Health(stuck_after=0)
    both = Both(intake=intake, cases=Health())
    assert both.ready()[0]
    intake.wait_for("flows", "not yet")
    assert both.ready() == (False, {"intake": {"waiting_for": {"flows": "not yet"}}, "cases": {"waiting_for": {}}})
    assert both.live()[0]
    assert not Both(intake=intake, cases=cases).live()[0]


def test_the_watch_knows_a_partition_that_is_not_read_any_more() -> None:
    """Unread records, and a position that does not move for a minute."""
    watch = Watch(None, dead_seconds=60)  # type: ignore[arg-type]  # it is not asked for the bus here
    watch.look(0, 5, 9, now=0)
    watch.look(0, 6, 9, now=59)
    watch.look(0, 6, 9, now=118)
    watch.look(1, 9, 9, now=0)
    watch.look(1, 9, 9, now=1_000)
    watch.look(1, 9, 12, now=1_059)
    with pytest.raises(BrokerUnavailable, match="partition 0"):
        watch.look(0, 6, 9, now=119)
