"""The intake's handler and its finder of receivers, on their own: which events come to which case, which go to quarantine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.control.desired import Layout, desired
from hutong.errors import BrokerUnavailable, EventTooLarge, NoSuchDestination
from hutong.event import Attributes
from hutong.home import Home
from hutong.kafka.settings import Settings
from services.coordinator import metrics, receivers
from services.coordinator.events import Events
from services.coordinator.flows import Flows
from services.coordinator.intake import IntakeHandler
from services.coordinator.receivers import Receivers
from tests.declaring import Declarations
from tests.integration.loan_flow import FLOW, LAND, QUESTION, REQUESTED, TAX, declare, declare_flows, flow
from tests.unit.test_coordinator_service import Registry

ANSWERED = f"{TAX}.answered"


class Record:
    """A record as the client gives it."""

    def __init__(self, contract: str, value: bytes | None, headers: Any, at_ms: int) -> None:
        self._contract, self._value, self._headers, self._at_ms = contract, value, headers, at_ms

    def topic(self) -> str:
        return f"pub.{self._contract}"

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 7

    def key(self) -> bytes:
        return b"original"

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> Any:
        if isinstance(self._headers, Exception):
            raise self._headers
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return 1, self._at_ms


class Output:
    """Keeps what is produced; refuses what its test tells it to."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes | None, bytes | None, dict[str, bytes]]] = []
        self.too_large: set[str] = set()
        self.closed: set[str] = set()

    def produce(self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        if topic in self.closed:
            raise NoSuchDestination(topic)
        if topic in self.too_large and value is not None:
            raise EventTooLarge(topic)
        self.records.append((topic, key, value, dict(headers)))


class Intake:
    """A handler with the test flow."""

    def __init__(self, tmp_path: Path, **changes: Any) -> None:
        declare(tmp_path / "schemas")
        declare_flows(tmp_path / "schemas", flow())
        self.catalogue = Declarations(tmp_path / "copy", tmp_path / "schemas").catalogue()
        self.schemas = {name: one.versions[-1].schema for name, one in self.catalogue.contracts.items()}
        self.registry = Registry(self.schemas)
        self.flows = Flows(Home(root=tmp_path))
        self.asked: list[Any] = []
        self.update(flow(**changes))
        self.handler = IntakeHandler(self.flows, Events(self.registry), self)  # type: ignore[arg-type]
        self.output = Output()

    def begin(self) -> None:
        """In the place of the receivers."""

    def of(self, data: Any) -> list[dict[str, str]]:
        """In the place of the receivers."""
        self.asked.append(data)
        return [{"agency": LAND, "agreement": "x"}]

    def update(self, *flows: dict[str, Any], since: int = 0) -> None:
        documents = {
            one["id"]: {"format": 1, "flow": one, "schemas": self.schemas, "timezone": "Asia/Shanghai", "since": since}
            for one in flows
        }
        self.flows.update({name: json.dumps(one).encode() for name, one in documents.items()})

    def record(self, contract: str, data: dict[str, Any], *, source: str | None = None, at_ms: int = 9) -> Record:
        schema = EventSchema(self.schemas[contract])
        moment = datetime(2026, 1, 5, tzinfo=UTC)
        made = Attributes(id="e1", source=source or f"urn:hutong:{schema.department}", type=contract, time=moment)
        value = frame(self.registry.ids[contract]) + schema.encode(schema.check(data))
        return Record(contract, value, [*made.to_headers(), ("hutong_does", b"revoke")], at_ms)

    def requested(self, loan: str = "1", **how: Any) -> Record:
        return self.record(REQUESTED, {"loan": loan, "person": "P", "income": 5}, **how)

    def answered(self, case: str, question: str, **how: Any) -> Record:
        return self.record(ANSWERED, {"question_number": question, "case_number": case, "income": 5}, **how)

    def take(self, *records: Any) -> list[tuple[str, bytes | None, bytes | None, dict[str, bytes]]]:
        self.handler.begin()
        assert self.handler.handle(list(records), self.output)  # type: ignore[arg-type]
        taken, self.output.records = self.output.records, []
        return taken


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    return Intake(tmp_path)


def test_an_event_comes_to_its_case_byte_for_byte(intake: Intake) -> None:
    """Under the case's number, with its own value and headers, and what it means."""
    record = intake.requested()
    [(topic, key, value, headers)] = intake.take(record)
    assert (topic, key, value) == ("ctl.cases.inbox", b"LC-1", record.value())
    meant = ("flow", "does", "spec", "case_key", "key", "place")
    assert [headers[f"hutong_{name}"].decode() for name in meant] == [
        *(FLOW, "open", "0", "1", "original", f"pub.{REQUESTED}/3/7"),
    ]
    assert "hutong_receivers" not in headers
    [(_, key, _, headers)] = intake.take(intake.answered("LC-1", "LC-1-income"))
    assert (key, headers["hutong_does"], headers["hutong_spec"]) == (b"LC-1", b"answer", b"income/0")


@pytest.mark.parametrize("wrong", ["value", "source", "headers"])
def test_what_is_malformed_is_left_to_the_router(intake: Intake, wrong: str) -> None:
    """It quarantines that; here it is passed over, and what comes after it is taken."""
    first = intake.requested()
    broken = {
        "value": Record(REQUESTED, b"?", first.headers(), 9),
        "source": intake.requested(source="urn:hutong:tax.income"),
        "headers": Record(REQUESTED, first.value(), SystemError(), 9),
    }[wrong]
    assert [key for _, key, *_ in intake.take(broken, intake.requested("2"))] == [b"LC-2"]


def test_without_its_key_it_goes_to_quarantine(intake: Intake) -> None:
    """Whole, with the reason and its place; too large with what is added, without its value."""
    [(topic, key, value, headers)] = intake.take(intake.requested(loan=""))
    assert (topic, key, headers["hutong_reason"]) == (f"quarantine.{REQUESTED}", b"original", b"flow_key_missing")
    assert value is not None
    assert "hutong_does" not in headers
    intake.output.too_large = {f"quarantine.{REQUESTED}"}
    [(_, _, value, headers)] = intake.take(intake.requested(loan=""))
    assert value is None
    assert headers["hutong_source"] == f"pub.{REQUESTED}/3/7".encode()


def test_too_large_for_the_inbox_goes_to_quarantine(intake: Intake) -> None:
    """With what it means an event may be larger than the brokers take."""
    intake.output.too_large = {"ctl.cases.inbox"}
    assert [(topic, headers["hutong_reason"]) for topic, *_, headers in intake.take(intake.requested())] == [
        (f"quarantine.{REQUESTED}", b"too_large")
    ]


@pytest.mark.parametrize(("closed", "loan"), [("ctl.cases.inbox", "1"), (f"quarantine.{REQUESTED}", "")])
def test_without_a_destination_the_batch_waits(intake: Intake, closed: str, loan: str) -> None:
    """Nothing is left out because a topic may not be written for a while."""
    intake.output.closed = {closed}
    with pytest.raises(BrokerUnavailable):
        intake.take(intake.requested(loan=loan))


def test_counted_is_what_was_committed(intake: Intake) -> None:
    """A transaction that failed has brought nothing."""
    before = metrics.INTAKE_RECORDS.labels("open")._value.get()
    intake.take(intake.requested())
    intake.take(intake.requested("2"), intake.requested("3"))
    intake.handler.committed()
    assert metrics.INTAKE_RECORDS.labels("open")._value.get() - before == 2


def test_what_goes_to_quarantine_is_told_once_it_is_there(intake: Intake, caplog: pytest.LogCaptureFixture) -> None:
    """Which event, by its place and trace, and why; nothing of its data."""
    intake.take(intake.requested(loan=""))
    assert caplog.records == []
    intake.handler.committed()
    (line,) = caplog.records
    assert line.getMessage() == "quarantined"
    assert line.facts == {  # type: ignore[attr-defined]
        "reason": "flow_key_missing",
        "flow": FLOW,
        "place": f"pub.{REQUESTED}/3/7",
    }


def test_an_event_that_nothing_foresaw_is_told_by_its_place(
    intake: Intake, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes to quarantine, and whoever looks for it finds it."""

    def fails(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(type(intake.flows.intake), "meant", fails)
    [(topic, *_, headers)] = intake.take(intake.requested())
    assert (topic, headers["hutong_reason"]) == (f"quarantine.{REQUESTED}", b"internal_error")
    assert [one.facts for one in caplog.records] == [{"place": f"pub.{REQUESTED}/3/7"}]  # type: ignore[attr-defined]


def test_a_flow_looks_at_what_comes_after_it(intake: Intake) -> None:
    """What was published before its first application opens no case and is no mistake; an answer is always meant for its case."""
    intake.update(flow(), since=100)
    before = [intake.requested(at_ms=99), intake.requested(loan="", at_ms=99), intake.answered("XX-1", "XX-1-income", at_ms=99)]
    assert intake.take(*before) == []
    assert [key for _, key, *_ in intake.take(intake.answered("LC-1", "LC-1-income", at_ms=99), intake.requested(at_ms=100))] == [
        *(b"LC-1", b"LC-1"),
    ]
    [(topic, *_, headers)] = intake.take(intake.answered("XX-1", "XX-1-income", at_ms=100))
    assert (topic, headers["hutong_reason"]) == (f"quarantine.{ANSWERED}", b"unknown_case")


def test_receivers_are_found_where_a_flow_asks(tmp_path: Path) -> None:
    """They are in the event's headers, and are what the finder says."""
    opens = {"does": "open", "contract": REQUESTED, "case": "loan", "keep": {"receivers": "receivers", "person": "person"}}
    plain = flow()["events"][0]
    intake = Intake(tmp_path, events=[{**plain, "keep": {**plain["keep"], "receivers": opens["keep"]["receivers"]}}])  # type: ignore[index]
    [(*_, headers)] = intake.take(intake.requested())
    assert json.loads(headers["hutong_receivers"]) == [{"agency": LAND, "agreement": "x"}]
    assert [one["loan"] for one in intake.asked] == ["1"]


class Control:
    """A control topic that tells at once, or not at all."""

    documents: ClassVar[dict[str, bytes]] = {}
    latest: Control

    def __init__(self, _settings: Any, _topic: str, changed: Any, again: Any) -> None:
        self._changed, self.started, self.lost = changed, False, False
        Control.latest = self

    def start(self) -> None:
        self._changed(self.documents)
        self.started = True

    def check(self) -> None:
        if self.lost:
            raise BrokerUnavailable("not followed")

    def close(self) -> None:
        self.started = False


@pytest.fixture
def finder(intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receivers]:
    """Over one question to the land register, on its topic among others."""
    wanted = desired(intake.catalogue, Layout(brokers=1)).grants
    monkeypatch.setattr(Control, "documents", {name: one.grant(1).to_json() for name, one in wanted.items()})
    monkeypatch.setattr(receivers, "ControlTopic", Control)
    asked = {
        "question_number": "original",
        "case_number": "c",
        "agency": LAND,
        "due_at": "x",
        "person": None,
        "reminder": 0,
        "withdrawn": False,
    }
    found = intake.record(QUESTION, asked, at_ms=1_767_600_000_000)
    other = Record(QUESTION, b"?", [("ce_id", b"e0")], 1_767_600_000_000)
    monkeypatch.setattr(receivers, "records_since", lambda *_, **__: iter([other, found]))
    home = Home(root=tmp_path)
    for name in wanted:
        home.ensure_key(name)
    made = Receivers(
        Settings(bootstrap_servers="nowhere:1", registry_url="http://nowhere"),
        home,
        Events(intake.registry),  # type: ignore[arg-type]
    )
    yield made
    made.close()


def objection(**changes: Any) -> dict[str, Any]:
    return {"contract": QUESTION, "event_id": "e1", "event_time": "2026-01-05T08:00:00+00:00", **changes}


def test_who_had_got_an_event(finder: Receivers) -> None:
    """Those to whom its agreements let it through, each with its agreement."""
    assert finder.of(objection()) == [{"agency": LAND, "agreement": "questions-land-register"}]


@pytest.mark.parametrize("missing", ["contract", "event_id", "event_time"])
def test_who_had_got_nothing(finder: Receivers, missing: str) -> None:
    """Without a name or a time, or where there is no such event, nobody."""
    assert finder.of(objection(**{missing: None})) == []
    assert finder.of(objection(event_id="e2")) == []
    assert finder.of(objection(event_time="yesterday")) == []


def test_looking_for_events_comes_to_an_end(finder: Receivers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction has so much time for it, and what was found in one that had no more is known in the next."""
    looked: list[str] = []
    now = [1000.0]

    def records(_: Any, topic: str, *__: Any, **___: Any) -> Iterator[Any]:
        looked.append(topic)
        now[0] += 2.0
        return iter(())

    monkeypatch.setattr(receivers, "records_since", records)
    monkeypatch.setattr("services.coordinator.receivers.time.monotonic", lambda: now[0])
    wanted = [objection(event_id=f"unknown-{number}") for number in range(5)]
    for known in (2, 4):
        finder.begin()
        with pytest.raises(BrokerUnavailable, match="going on with the next"):
            [finder.of(one) for one in wanted]
        assert len(looked) == known
    finder.begin()
    assert [finder.of(one) for one in wanted] == [[]] * 5
    assert len(looked) == 5
    now[0] += 61
    finder.begin()
    finder.of(wanted[0])
    assert len(looked) == 6  # it may have come meanwhile


def test_agreements_that_are_not_followed_make_it_wait(finder: Receivers) -> None:
    """Whom an event went to is not guessed from an old table."""
    finder.of(objection())
    Control.latest.lost = True
    with pytest.raises(BrokerUnavailable):
        finder.of(objection())
