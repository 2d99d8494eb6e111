"""``hutong quarantine``, ``replay`` and ``explain``: what they print and keep to themselves, what they ask, and how they end."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import hutong.cli.explain as explain_command
import hutong.cli.quarantine as quarantine_command
import hutong.cli.replay as replay_command
from hutong.cli import main
from hutong.cli._quarantine import shown
from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.event import header
from hutong.kafka.topics import REPLAYS_TOPIC
from hutong.recovery.record import QuarantineRecord
from hutong.recovery.remedies import REMEDIES
from tests.recovering import PUB, MemoryBus, delivered, event, park
from tests.unit.test_routing import grant

ALL = grant("all", [{"field": "id"}])
MAPPING = grant("mapping", [{"field": "code", "transform": "map", "code_list": "codes"}])
SECRETS = ("SECRET-KEY", "SECRET-REGION", "SECRET-HEADER", "11010519491231002X")


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryBus:
    """Three records in quarantine: one that can go through, one that cannot, one for a flow alone."""
    made = MemoryBus(tmp_path, ALL, MAPPING)
    one = event(1, {"region": "SECRET-REGION"}, key="SECRET-KEY")
    odd = [("name", b"SECRET-HEADER"), ("11010519491231002X", b"")]
    park(made, one._replace(headers=[*one.headers, *odd]), "no_destination", "all")
    park(made, event(2, {"code": "zz"}), "transform_failed", "mapping")
    park(made, event(3), "unknown_case")
    for module in (quarantine_command, replay_command, explain_command):
        monkeypatch.setattr(module, "open_bus", lambda: made)
    return made


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, answer: str = "") -> int:
    monkeypatch.setattr(sys, "argv", ["hutong", *arguments])
    monkeypatch.setattr("builtins.input", lambda *_: answer)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda *_: answer)
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    return code if isinstance(code, int) else 1


def first_id(bus: MemoryBus) -> str:
    record = next(one for one in bus.log.records(PUB) if one.key() == b"SECRET-KEY")
    return (header(record.headers(), "ce_id") or b"").decode()


def test_the_list_counts_and_says_what_is_left(
    bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By contract and reason; exit code 1 as long as something is left."""
    assert run(monkeypatch, "quarantine", "list") == 1
    out = capsys.readouterr().out
    assert "3 of 3 records in quarantine are left to be dealt with" in out
    assert "no_destination" in out
    assert run(monkeypatch, "quarantine", "replay", "--yes", "--agreement", "all") == 0
    capsys.readouterr()
    assert run(monkeypatch, "quarantine", "list", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["format"] == 1
    assert {row["reason"]: (row["records"], row["left"]) for row in document["quarantine"]} == {
        "no_destination": (1, 0),
        "transform_failed": (1, 1),
        "unknown_case": (1, 1),
    }
    assert run(monkeypatch, "quarantine", "list", "--agreement", "all") == 0


def test_the_keys_of_a_map_are_masked_as_its_values_are(tmp_path: Path) -> None:
    """They may be somebody's number; the names of fields stay."""
    fields = [{"name": "id", "type": "string"}, {"name": "amounts", "type": {"type": "map", "values": "long"}}]
    facts = {"contract": "x.y.z", "version": 1, "key": ["id"], "sharing": "conditional"}
    schema = EventSchema({"type": "record", "name": "Z", "namespace": "x.y", "hutong": facts, "fields": fields})
    value = frame(7) + schema.encode({"id": "a", "amounts": {"11010519491231002X": 1, "王小明": 2}})
    record = QuarantineRecord.read(park(MemoryBus(tmp_path, ALL), event(1), "internal_error"))
    masked = shown(record, record.event._replace(value=value), schema, reveal=False)["value"]
    assert masked == {"id": "***", "amounts": {"key 1": "***", "key 2": "***"}}


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_nothing_of_an_event_is_printed_unless_it_is_asked_for(
    bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: tuple[str, ...]
) -> None:
    """Key, fields and headers of an application's own are masked everywhere; revealed they are there, and it is recorded."""
    event_id = first_id(bus)
    for command in (
        ("quarantine", "list"),
        ("quarantine", "show", event_id),
        ("quarantine", "explain", event_id),
        ("quarantine", "replay", "--dry-run"),
        ("explain", event_id, "--since", "1970-01-01"),
        ("replay", "all", "--since", "1970-01-01", "--dry-run"),
    ):
        run(monkeypatch, *command, *as_json)
        told = capsys.readouterr()
        assert told.out, command
        assert not [secret for secret in SECRETS if secret in told.out + told.err], command
    assert not bus.log.records(REPLAYS_TOPIC)
    assert run(monkeypatch, "quarantine", "show", event_id, "--reveal", "--as", "li", "--why", "ticket", *as_json) == 0
    out = capsys.readouterr().out
    assert [secret for secret in SECRETS if secret not in out] == []
    (noted,) = bus.log.records(REPLAYS_TOPIC)
    assert json.loads(noted.value() or b"")["who"] == "li"


def test_the_explanation_has_the_remedy_and_what_would_be_now(
    bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For one that would go through, and for one that would not."""
    assert run(monkeypatch, "quarantine", "explain", first_id(bus)) == 1
    out = capsys.readouterr().out
    assert REMEDIES["no_destination"].remedy in out
    assert "would go to all" in out
    second = next(one for one in bus.log.records(PUB) if one.key() == b"k2")
    place = f"{PUB}/{second.partition()}/{second.offset()}"
    assert run(monkeypatch, "quarantine", "explain", place, "--json") == 1
    (found,) = json.loads(capsys.readouterr().out)["records"]
    assert (found["reason"], found["now"], found["way"]) == ("transform_failed", {"failed_again": 1}, "replay")
    assert run(monkeypatch, "quarantine", "explain", "nobody") == 2
    assert "no such event is in quarantine" in capsys.readouterr().err


def test_a_replay_asks_and_does_it_once(
    bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No is no; yes delivers; the exit code says that something failed again."""
    assert run(monkeypatch, "quarantine", "replay", answer="n") == 130
    assert delivered(bus, "all") == []
    assert run(monkeypatch, "quarantine", "replay", answer="y") == 1
    told = capsys.readouterr()
    assert "Make 1 delivery?" in told.out + told.err
    assert "1 delivery made, replay quarantine-" in told.out
    assert "transform_failed: 1" in told.out
    assert delivered(bus, "all") == [first_id(bus)]
    assert run(monkeypatch, "quarantine", "replay", "--yes", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["counts"]["delivered"], document["counts"]["already_done"], document["counts"]["of_a_flow"]) == (0, 1, 1)
    assert delivered(bus, "all") == [first_id(bus)]


def test_what_nobody_has_to_see_to_is_settled(
    bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a reason why; nothing is delivered, and it is not left any more."""
    assert run(monkeypatch, "quarantine", "settle", "--yes", "--why", "all of it") == 2
    assert run(monkeypatch, "quarantine", "settle", "--reason", "unknown_case", "--yes") == 2
    capsys.readouterr()
    assert run(monkeypatch, "quarantine", "settle", "--reason", "unknown_case", "--why", "sent anew", answer="y") == 0
    assert "1 record is settled" in capsys.readouterr().out
    assert run(monkeypatch, "quarantine", "settle", "--reason", "unknown_case", "--why", "sent anew", "--json") == 0
    assert json.loads(capsys.readouterr().out)["settled"] == 0
    assert run(monkeypatch, "quarantine", "list", "--reason", "unknown_case") == 0
    assert [run["kind"] for run in bus.ledger().runs.values()] == ["settled"]
    assert delivered(bus, "all") == []


def test_a_period_asks_and_is_told(bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The question names recipient and period; what an agreement cannot take makes the exit code 1."""
    assert run(monkeypatch, "replay", "all", "--since", "1970-01-01T00:00:00Z", answer="n") == 130
    assert run(monkeypatch, "replay", "all", "--since", "1970-01-01T00:00:00Z", answer="y") == 0
    told = capsys.readouterr()
    assert "from 1970-01-01T00:00:00.000Z" in told.out + told.err
    assert "has come to its end" in told.out
    assert len(delivered(bus, "all")) == 3
    assert run(monkeypatch, "replay", "mapping", "--since", "1970-01-01", "--yes", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["delivered"], document["failed"]) == (2, {"transform_failed": 1})


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "all"),
        ("replay", "all", "--since", "yesterday"),
        ("replay", "all", "--since", "2026-05-02", "--until", "2026-05-01"),
        ("replay", "all", "--resume", "period-1", "--since", "2h"),
        ("replay", "all", "--resume", "period-1"),
        ("replay", "nobody", "--since", "2h", "--yes"),
        ("quarantine", "list", "--reason", "nonsense"),
        ("quarantine", "show", "nobody"),
        ("explain", "nobody"),
    ],
)
def test_wrong_use_ends_with_2(
    bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """One line that says what to do, and nothing done."""
    assert run(monkeypatch, *arguments) == 2
    assert capsys.readouterr().err
    assert not bus.log.records(REPLAYS_TOPIC)


def test_an_event_is_traced(bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In a table and for programs; exit code 1 while somebody has to see to it, 0 when it was replayed."""
    event_id = first_id(bus)
    options: tuple[Any, ...] = ("--since", "1970-01-01", "--contract", "x.y.thing_changed")
    assert run(monkeypatch, "explain", event_id, *options) == 1
    assert "in quarantine (all): no_destination" in capsys.readouterr().out
    assert run(monkeypatch, "quarantine", "replay", "--yes", "--event", event_id, "--as", "li") == 0
    capsys.readouterr()
    run(monkeypatch, "explain", event_id, *options)
    assert "by li" in capsys.readouterr().out
    run(monkeypatch, "explain", event_id, *options, "--json")
    document = json.loads(capsys.readouterr().out)
    found = {one["agreement"]: one for one in document["agreements"]}
    assert (found["all"]["verdict"], found["all"]["deliveries"][0]["by"]) == ("delivered", "li")
    assert document["quarantine"][0]["settled"] is True
