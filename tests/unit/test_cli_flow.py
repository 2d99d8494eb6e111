"""``hutong flow``: flows in words, scenarios that hold and that do not, and every mistake in one with its line."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import pytest

from hutong.catalogue.load import load
from hutong.cli import main
from hutong.simulation.expectation import Expectation

SCHEMAS = Path(__file__).parents[2] / "schemas"
SCENARIOS = sorted((SCHEMAS / "flows/scenarios").glob("*.yaml"))
DEATH = SCHEMAS / "flows/scenarios/death.yaml"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run ``hutong flow``; its exit code."""
    monkeypatch.setattr(sys, "argv", ["hutong", "flow", *map(str, arguments), "--schemas", str(SCHEMAS)])
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    return code if isinstance(code, int) else 1


def spoilt(directory: Path, old: str, new: str) -> tuple[Path, int]:
    """The scenario of a death with one place changed, and that place's line."""
    text = DEATH.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    path = directory / "spoilt.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path, text[: text.index(old)].count("\n") + 1


def test_every_flow_has_its_scenario() -> None:
    """One file per declared flow, with its name."""
    assert [path.stem for path in SCENARIOS] == sorted(load(SCHEMAS).flows)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_the_scenarios_hold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scenario: Path) -> None:
    """What comes with the flows is true: the timeline is printed, each expectation with its place; and no case waits for time."""
    began = time.process_time()
    assert run(monkeypatch, "test", scenario.stem, "--scenario", scenario) == 0
    out = capsys.readouterr().out
    assert f"{scenario}:" in out
    assert "expectations, all hold" in out
    assert "closed          COMPLETE" in out or "closed          PARTIAL" in out
    assert time.process_time() - began < 20


def test_an_expectation_that_does_not_hold_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It is named with its line, what was expected and what was found; the others are still judged."""
    path, line = spoilt(tmp_path, "figures.overpaid_total: 6241", "figures.overpaid_total: 1")
    assert run(monkeypatch, "test", "death", "--scenario", path) == 1
    out = capsys.readouterr().out
    assert f"{path}:{line}: failed: the case reports figures.overpaid_total: 1; found: 6241.0" in out
    assert "22 expectations, 1 failed" in out


def test_json_is_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The same in JSON, with the version of its format."""
    path, line = spoilt(tmp_path, "missing: [assistance]", "missing: [pension]")
    assert run(monkeypatch, "test", "death", "--scenario", path, "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["format"], document["flow"], document["scenario"]) == (1, "death", str(path))
    (failed,) = [one for one in document["expectations"] if not one["holds"]]
    assert (failed["line"], failed["found"]) == (line, "assistance")
    assert [case["status"] for case in document["cases"]] == ["closed"]
    assert document["quarantined"] == document["not_reached"] == []


EXPECTED = [
    ("status: closed", "status: open", "failed: the case is open; found: closed"),
    ("cases: 1", "cases: 2", "failed: number of cases: 2; found: 1"),
    ("happened: [CONFIRMED]", "happened: [REVOKED]", "failed: the case: REVOKED; found: it has not happened"),
    ("not_happened: [ESCALATED assistance]", "not_happened: [LATE]", "failed: the case: no LATE; found: it has happened"),
    ("discrepancies: [pension-after-death]", "discrepancies: []", "discrepancies nothing; found: pension-after-death"),
    ("conflicts.0.field: died_on", "conflicts.9.field: died_on", "conflicts.9.field: died_on; found: nothing"),
    ("quarantined: []", "quarantined: [unknown_case]", "failed: in quarantine: unknown_case; found: nothing"),
    ("cases: 1", "published: {mca.information.question_asked: 3}", "question_asked: 3; found: 4"),
    ("cases: 1", "delivered: {cremation-to-pension: 2}", "failed: deliveries under cremation-to-pension: 2; found: 1"),
    ("cases: 1", "{case: NOBODY, status: open}", "failed: case NOBODY is open; found: none"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), EXPECTED, ids=lambda text: text[:30])
def test_every_kind_of_expectation_can_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, old: str, new: str, words: str
) -> None:
    """None of them passes whatever has happened."""
    if new.startswith("{case"):
        old, new = "      - cases: 1\n        happened: [CONFIRMED]", f"      - {new}"
    path, _ = spoilt(tmp_path, old, new)
    assert run(monkeypatch, "test", "death", "--scenario", path) == 1
    assert words in capsys.readouterr().out


LAST = "  - at: 2026-06-30T09:00"
WRONG = [
    ("start: 2026-04-28T10:00", "start: soon", "start: must be a moment such as 2026-03-02T09:00"),
    ("start: 2026-04-28T10:00", "start: 5", "start: must be a moment"),
    ("start: 2026-04-28T10:00", "begin: 2026-04-28T10:00", "start: is required; add it (and 1 more)"),
    ("  assistance: silent", "  nobody: silent", "answers.nobody: flow death asks no nobody; it asks allowance, assistance"),
    ("  assistance: silent", "  assistance: mute", "answers.assistance"),
    ("{after: {hours: 3}, sample: nothing}", "{after: {hours: 3}, sample: none-such}", "there is no sample none-such"),
    ("{after: {hours: 3}, sample: nothing}", "{contract: mca.other, sample: nothing}", "is answered by mca.ageing.death_acted"),
    ("{after: {hours: 3}, sample: nothing}", "{after: {hours: 3, days: 1}}", "a duration has exactly one of"),
    ("{after: {days: 1}, sample: nothing}", "{after: {days: 1}, data: {colour: red}}", "field colour: is no field"),
    (LAST, "  - at: 2026-04-01T09:00", "has passed: it is 2026-05-09"),
    (LAST, "  - {at: 2026-06-30T09:00, after: {days: 1}}\n" + LAST, "not both"),
    (LAST, "  - {data: {a: 1}}\n" + LAST, "data needs publish or answer"),
    (LAST, "  - {publish: a.b, answer: pension}\n" + LAST, "an event or an answer"),
    (LAST, "  - {answer: rent}\n" + LAST, "flow death asks no rent"),
    (LAST, "  - {answer: pension-resumed}\n" + LAST, "has 0 questions pension-resumed"),
    (LAST, "  - {answer: pension, case: X}\n" + LAST, "no cases have this number or key"),
    (LAST, "  - {answer: pension, sample: x}\n" + LAST, "there is no sample x"),
    (LAST, "  - {answer: pension, by: mca.ageing, sample: nothing}\n" + LAST, "may not publish"),
    ("publish: nhc.health.death_certificate_issued", "publish: nhc.health.birth", "no contract nhc.health.birth"),
    ("certificate_number: DC-2026-0001", "certificate_numbers: DC-2026-0001", "field certificate_numbers: is no field"),
    ("      certificate_number: DC-2026-0001\n", "", "certificate_number"),
    ("quarantined: []", "quarantine: []", "is not known here"),
    ("status: closed", "status: done", "must be one of"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), WRONG, ids=[f"{one[2][:24]}-{at}" for at, one in enumerate(WRONG)])
def test_a_wrong_scenario_ends_with_2_and_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, old: str, new: str, words: str
) -> None:
    """One line that begins with file and line and says what to do; nothing is printed as if it had been played."""
    path, line = spoilt(tmp_path, old, new)
    assert run(monkeypatch, "test", "death", "--scenario", path) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    told = captured.err.removeprefix(f"hutong: {path}:").partition(":")[0]
    assert told.isdigit(), captured.err
    assert abs(int(told) - line) <= 12, f"{captured.err}, and the mistake is on line {line}"
    assert captured.out == ""
    assert "Traceback" not in captured.err


def test_wrong_use_ends_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An unknown flow, a file that is not there, no scenario, no YAML."""
    assert run(monkeypatch, "test", "birth", "--scenario", DEATH) == 2
    assert run(monkeypatch, "show", "birth") == 2
    assert "there is no flow birth; there are: correction, death" in capsys.readouterr().err
    assert run(monkeypatch, "test", "death", "--scenario", tmp_path / "none.yaml") == 2
    assert "the file cannot be read" in capsys.readouterr().err
    assert run(monkeypatch, "test", "death") == 2
    (tmp_path / "no.yaml").write_text("a: [", encoding="utf-8")
    assert run(monkeypatch, "test", "death", "--scenario", tmp_path / "no.yaml") == 2
    captured = capsys.readouterr()
    assert f"{tmp_path / 'no.yaml'}:" in captured.err
    assert "Traceback" not in captured.err


def test_a_question_that_reaches_nobody_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the agreements are in force nothing is delivered, and no simulated agency answers."""
    monkeypatch.setattr("hutong.testing.Bus.grant", lambda *_: None)
    assert run(monkeypatch, "test", "death", "--scenario", DEATH) == 1
    out = capsys.readouterr().out
    assert out.count("no agreement brings this question to its agency") == 4


def test_flows_in_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The list names each; a flow tells what opens it, whom it asks by when, its rules and its end."""
    assert run(monkeypatch, "list") == 0
    listed = capsys.readouterr().out
    assert "death                    Stop of payments after a death" in listed
    for name, flow in load(SCHEMAS).flows.items():
        assert run(monkeypatch, "show", name) == 0
        shown = capsys.readouterr().out
        assert all(event.contract in shown for event in flow.events)
        assert all(f"{ask.id}: " in shown and ask.question["zh"] in shown for ask in flow.ask)
        assert all(f"{rule.id}: {rule.says['en']}" in shown for rule in flow.rules)
        assert "working days, then it ends with what there is" in shown


def test_the_documented_commands_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/flows.md tells to type ends with 0."""
    text = (SCHEMAS.parent / "docs/flows.md").read_text(encoding="utf-8")
    commands = [line.split()[2:] for line in text.splitlines() if line.startswith("hutong flow ")]
    assert {one[0] for one in commands} == {"list", "show", "test"}
    monkeypatch.chdir(SCHEMAS.parent)
    for arguments in commands:
        assert run(monkeypatch, *arguments) == 0


def test_the_documented_timeline_is_whole() -> None:
    """The table has every entry that the code makes, and no other."""
    root = SCHEMAS.parent
    code = "\n".join(path.read_text(encoding="utf-8") for path in (root / "hutong/flows").glob("*.py"))
    made = set(re.findall(r"\.note\(\s*\"([A-Z_]+)\"", code)) | set(re.findall(r"\"(ANSWERED(?:_LATE)?)\"", code))
    table = (root / "docs/flows.md").read_text(encoding="utf-8").partition("| on the timeline |")[2]
    told = {name for row in table.splitlines() for name in re.findall(r"`([A-Z_]+)`", row.split("|")[1] if "|" in row else "")}
    assert told == made


def test_the_documented_expectations_are_all() -> None:
    """docs/flows.md names each thing that a scenario can expect."""
    text = (SCHEMAS.parent / "docs/flows.md").read_text(encoding="utf-8")
    assert not [name for name in Expectation.model_fields if f"`{name}`" not in text]
