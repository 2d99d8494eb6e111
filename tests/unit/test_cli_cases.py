"""``hutong cases``: what it lists and shows of a changelog, what it keeps to itself, and how it ends."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import hutong.cli.cases as cases_command
from hutong.cli import main
from hutong.contracts.schema import EventSchema
from hutong.errors import ConfigurationError
from hutong.flows.flow import Duration, Flow
from hutong.simulation.simulation import Simulation
from tests.flow_samples import DOCUMENT, SCHEMAS, START_MS, application, reply

NAMES = ("ZHANG-SAN", "LI-SI")
# With a point in them, so that no id or hash that is printed can hold them by chance.
INCOME, PAID = FIGURES = ("9000.25", "777.50")


class Changelog:
    """What the coordinator would have written: every state of every case, in order."""

    def __init__(self) -> None:
        self.values: list[bytes | None] = []
        self.asked: dict[str, Any] = {}
        self.simulation = Simulation(
            [Flow.model_validate({**DOCUMENT, "personal_key": True})],
            contracts=[EventSchema(one) for one in SCHEMAS.values()],
            start=datetime.fromtimestamp(START_MS / 1000, UTC),
            timezone="Asia/Shanghai",
        )

    def write(self) -> None:
        """Every case as it is now."""
        self.values += [json.dumps(one).encode() for one in copy.deepcopy(self.simulation.cases).values()]

    def changes(self, settings: Any, topic: str, *, missing: str, follow: bool = False) -> Iterator[bytes | None]:
        self.asked = {"topic": topic, "missing": missing, "follow": follow}
        yield from self.values


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Changelog:
    """Two cases: one without an answer, overdue; one closed."""
    made = Changelog()
    simulation = made.simulation
    for key in ("A1", "SECRET-KEY"):
        people = [{"id": name, "signed": True} for name in NAMES]
        simulation.publish("aid.office.applied", application(key, members=people, income=INCOME))
        made.write()
    number = simulation.case("A1")["number"]
    simulation.publish("cars.office.answered", reply(number, "cars", count=7, persons=["ZHANG-SAN"]))
    simulation.publish("tax.office.answered", reply(number, "tax", paid=PAID, persons=["ZHANG-SAN"]))
    made.write()
    simulation.advance(by=Duration(working_days=12))
    made.write()
    flows = {"aid": json.dumps({"timezone": "Asia/Shanghai"}).encode()}
    monkeypatch.setattr(cases_command, "changes", made.changes)
    monkeypatch.setattr(cases_command, "read_all", lambda _settings, topic: {"ctl.flows": flows}[topic])
    monkeypatch.setattr(cases_command.Settings, "resolve", lambda principal: {"operator": None}[principal])
    return made


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["hutong", "cases", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    return code if isinstance(code, int) else 1


def test_the_list_has_the_newest_state_and_nothing_personal(
    log: Changelog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a case, the one that ends next first, in the bus's time zone; who is overdue stands there."""
    assert run(monkeypatch, "list") == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[-1] == "2 cases"
    assert "open" in lines[1]
    assert "2026-03-02 09:00" in lines[1]
    assert lines[1].rstrip().endswith("cars.office, tax.office")
    assert "closed COMPLETE" in lines[2]
    assert "2 of 2" in lines[2]
    assert log.asked["topic"] == "ctl.cases.state"
    for secret in (*NAMES, "SECRET-KEY", *FIGURES):
        assert secret not in out


def test_the_list_is_for_programs_too(
    log: Changelog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON with the version of its format, and exactly these keys."""
    assert run(monkeypatch, "list", "--json") == 0
    out = capsys.readouterr().out
    document = json.loads(out)
    assert document["format"] == 1
    waiting, closed = document["cases"]
    assert waiting.keys() == {
        "number", "flow", "status", "opened_ms", "due_ms", "closed_ms", "result", "asked", "answered", "late",
    }  # fmt: skip
    assert (waiting["late"], closed["late"], closed["result"]) == (["cars.office", "tax.office"], [], "COMPLETE")
    assert "SECRET-KEY" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "statuses"),
    [
        (["--status", "open"], 0, ["open"]),
        (["--status", "review"], 0, []),
        (["--flow", "aid"], 0, ["open", "closed"]),
        (["--flow", "other"], 0, []),
        (["--late"], 1, ["open"]),
        (["--late", "--status", "closed"], 0, []),
    ],
)
def test_the_list_can_be_narrowed(
    log: Changelog,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    statuses: list[str],
) -> None:
    """By flow, status and delay, judged by the newest state; with --late, finding one is exit code 1."""
    assert run(monkeypatch, "list", "--json", *arguments) == code
    assert [one["status"] for one in json.loads(capsys.readouterr().out)["cases"]] == statuses


def test_a_case_is_shown_without_its_persons(
    log: Changelog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its timeline, who has answered and who has not, and the report; of persons only that there are some."""
    number = log.simulation.case("A1")["number"]
    assert run(monkeypatch, "show", number) == 0
    out = capsys.readouterr().out
    for words in (
        "2026-03-02 09:00  opened",
        "answered        cars  cars.office",
        "closed          COMPLETE",
        "more-cars",
        "person 2",
    ):
        assert words in out
    assert run(monkeypatch, "show", number, "--json") == 0
    printed = capsys.readouterr().out
    (case,) = json.loads(printed)["cases"]
    assert (case["number"], case["key"], case["data"]["income"]) == (number, "***", "***")
    assert case["report"]["discrepancies"][0]["declared"] == "***"
    for secret in (*NAMES, '"A1"', *FIGURES):
        assert secret not in out + printed


def test_persons_are_shown_on_demand(log: Changelog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """--reveal shows the case as it is kept, found by its key too."""
    assert run(monkeypatch, "show", "A1", "--reveal", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"format": 1, "cases": [json.loads(json.dumps(log.simulation.case("A1")))]}
    assert run(monkeypatch, "show", "A1", "--reveal") == 0
    out = capsys.readouterr().out
    assert "ZHANG-SAN: authorised 2026-03-02 09:00" in out
    assert "cars.office has 7" in out


def test_no_such_case_ends_with_2(log: Changelog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what to do."""
    assert run(monkeypatch, "show", "NOBODY") == 2
    assert capsys.readouterr().err == "hutong: no case has the number or key NOBODY; `hutong cases list` has them all\n"
    assert run(monkeypatch, "list", "--status", "lost") == 2


def test_one_case_is_watched_until_it_is_closed(
    log: Changelog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From its beginning, each entry once, though every state holds all of them."""
    case = log.simulation.case("A1")
    log.values.append(None)
    assert run(monkeypatch, "watch", case["number"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(case["timeline"])
    assert lines[-1].endswith("COMPLETE")
    assert log.asked["follow"]


def test_watching_all_shows_what_is_new(
    log: Changelog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The past is passed over; what comes after it is printed with the case's number, and nothing personal."""
    log.values.append(None)
    log.simulation.advance(by=Duration(days=60))
    log.write()
    log.write()  # a state that says nothing new
    assert run(monkeypatch, "watch") == 0
    out = capsys.readouterr().out
    number = log.simulation.case("SECRET-KEY")["number"]
    assert all(line.startswith(f"{number}  ") for line in out.splitlines())
    assert "closed          PARTIAL" in out
    assert "opened" not in out
    assert "SECRET-KEY" not in out


def test_without_the_topic_no_flow_is_applied(
    log: Changelog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2."""

    def nothing(settings: Any, topic: str, *, missing: str, follow: bool = False) -> Iterator[bytes | None]:
        raise ConfigurationError(missing)

    monkeypatch.setattr(cases_command, "changes", nothing)
    for arguments in (["list"], ["show", "A1"], ["watch", "A1"]):
        assert run(monkeypatch, *arguments) == 2
        assert capsys.readouterr().err.startswith("hutong: no flow is applied: the bus has no topic ctl.cases.state; declare one")


def test_without_a_bus_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """As every command."""
    monkeypatch.setenv("HUTONG_HOME", str(tmp_path))
    assert run(monkeypatch, "list") == 2
    assert "nothing says where the bus is" in capsys.readouterr().err
