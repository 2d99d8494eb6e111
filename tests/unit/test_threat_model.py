"""docs/threat-model.md keeps its form, and what it says of tests is so: they are there, they cannot be skipped, they ran."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import outcomes
from tests.known import Known, known_tests, read_tests
from tests.threats import PAGE, PARTS, Threat, main, problems, threats
from tests.torture.faults import FAULTS

ROOT = Path(__file__).parents[2]
TEXT = PAGE.read_text(encoding="utf-8")
THREATS = threats(TEXT)
KNOWN = known_tests(ROOT)
SCALE = "HML"

X_ROAD = {f"TM-{number:02}" for number in range(1, 11)}
"""The scenarios of X-Road's threat model, version 1.1."""

every_threat = pytest.mark.parametrize("threat", THREATS, ids=lambda one: one.id)


def rows(under: str) -> list[list[str]]:
    """The cells of the first table under a title, without its head."""
    section = TEXT.partition(f"\n## {under}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def registered(under: str) -> list[str]:
    return [row[0] for row in rows(under)]


def test_threats_are_numbered_without_a_gap() -> None:
    """Ids are quoted elsewhere: none is missing, none is there twice. Every title that looks like a threat was read as one."""
    assert [one.id for one in THREATS] == [f"T-{number:02}" for number in range(1, len(THREATS) + 1)]
    assert len(THREATS) == len(re.findall(r"^#+ T-", TEXT, re.MULTILINE)) >= 30


@every_threat
def test_every_part_of_a_threat_is_there(threat: Threat) -> None:
    """Who, control, default, what remains (with its rating), tests; and faults of the torture run, where some are named."""
    assert tuple(part for part in threat.says if part != "Torture") == PARTS
    assert set(threat.faults) <= set(FAULTS)
    assert bool(threat.faults) == ("Torture" in threat.says)
    assert all(len(said) > 10 for said in threat.says.values())
    assert re.match(r"[HML]\. ", threat.says["Remains"])


@every_threat
def test_the_rating_follows_from_the_table(threat: Threat) -> None:
    """Of impact and likelihood; and what remains is no more than there was."""
    table = {row[0]: dict(zip(SCALE, row[1:], strict=True)) for row in rows("How a threat is rated")}
    assert threat.risk == table[threat.impact][threat.likelihood]
    assert SCALE.index(threat.says["Remains"][0]) >= SCALE.index(threat.risk)


@every_threat
def test_boundaries_and_assets_are_listed(threat: Threat) -> None:
    """Each that a threat names."""
    assert set(threat.boundaries) <= set(registered("Trust boundaries"))
    assert set(threat.assets) <= set(registered("Assets"))


def test_no_boundary_and_no_asset_is_without_a_threat() -> None:
    """What is listed is also looked at; every boundary is in the picture, and every entry point lies on one."""
    assert {name for one in THREATS for name in one.boundaries} == set(registered("Trust boundaries"))
    assert {name for one in THREATS for name in one.assets} == set(registered("Assets"))
    picture = TEXT.partition("```mermaid")[2].partition("```")[0]
    assert set(re.findall(r"TB-\d+", picture)) == set(registered("Trust boundaries"))
    assert {name for row in rows("Entry points") for name in row[-1].split(", ")} <= set(registered("Trust boundaries"))


def test_others_lists_are_covered() -> None:
    """Each scenario of X-Road's model has its place here, and every threat that a table names is one."""
    section = TEXT.partition("\n## What others' lists have\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| (TM-\d+) \|.*T-\d+", section, re.MULTILINE))
    assert named == X_ROAD
    assert set(re.findall(r"(?<!\w)T-\d+", TEXT)) <= {one.id for one in THREATS}


@every_threat
def test_every_named_test_is_there_and_cannot_be_skipped(threat: Threat) -> None:
    """A test that may be left out where something is missing proves nothing there; one of each threat always runs."""
    assert len(threat.tests) == threat.says["Tests"].count("`") // 2, "a test that is not written as `tests/file.py::test_name`"
    assert len(set(threat.tests)) == len(threat.tests)
    names = [test.partition("[")[0] for test in threat.tests]
    for name in names:
        assert name in KNOWN, name
        assert not KNOWN[name].may_be_skipped, name
    assert any(not KNOWN[name].is_long for name in names)
    struck = [re.search(r"\[(.+)\]", test) for test in threat.tests if "/test_torture.py::" in test]
    assert all(FAULTS[case[1]].short_times for case in struck if case), "a fault that the short torture run leaves out"


THREAT = THREATS[0]
FIRST, *OTHERS = THREAT.tests


@pytest.mark.parametrize(
    ("became", "said"),
    [
        ({}, "did not run"),
        ({f"{FIRST}[a]": "passed", f"{FIRST}[b]": "failed"}, "failed"),
        ({FIRST: "skipped"}, "was skipped"),
        ({f"{FIRST}_too": "passed"}, "did not run"),
    ],
)
def test_a_test_that_did_not_run_and_pass_is_told(became: dict[str, str], said: str) -> None:
    """Also where a test with a longer name did, or one of its cases."""
    passed = dict.fromkeys(OTHERS, "passed")
    assert problems([THREAT], KNOWN, passed | {f"{FIRST}[a]": "passed", f"{FIRST}[b]": "skipped"}, long=False) == ([], [])
    assert problems([THREAT], KNOWN, passed | became, long=False) == ([f"T-01: {FIRST} {said}"], [])
    assert problems([THREAT], {}, {}, long=False)[0][0] == f"T-01: there is no {FIRST}"


def test_one_case_of_a_test_is_that_case() -> None:
    """Where the page names a case, another case that passed says nothing."""
    one = dataclasses.replace(THREAT, tests=(f"{FIRST}[a]",))
    assert problems([one], KNOWN, {f"{FIRST}[a]": "passed", f"{FIRST}[b]": "failed"}, long=False) == ([], [])
    assert problems([one], KNOWN, {f"{FIRST}[b]": "passed"}, long=False) == ([f"T-01: {FIRST}[a] did not run"], [])


def test_long_tests_are_left_out_only_where_they_were() -> None:
    """Told as left out of a usual run; missed in a long one."""
    known = {test: Known(marks=frozenset({"long"})) for test in THREAT.tests}
    assert problems([THREAT], known, {}, long=False) == ([], sorted(THREAT.tests))
    assert len(problems([THREAT], known, {}, long=True)[0]) == len(THREAT.tests)


def test_marks_and_skips_are_seen_wherever_they_stand(tmp_path: Path) -> None:
    """On the test, its class, its module, under a name of the module's; and tests that a file takes over whole."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text(
        "import pytest\n"
        "needs = pytest.mark.skipif(True, reason='x')\n"
        "@needs\ndef test_a(): ...\n"
        "@pytest.mark.long\nclass TestB:\n    def test_b(self): ...\n    def other(self): ...\n"
        "def test_c():\n    pytest.skip('x')\n"
        "def test_d():\n    if True:\n        pytest.skip('x')\n"
    )
    (tmp_path / "tests/test_b.py").write_text(
        "import pytest\nfrom tests.test_a import *\npytestmark = [pytest.mark.timeout(1)]\n"
    )
    found = dict(read_tests(tmp_path / "tests/test_a.py", tmp_path))
    assert {name: (one.may_be_skipped, one.is_long) for name, one in found.items()} == {
        **{"test_a": (True, False), "TestB::test_b": (False, True), "test_c": (True, False), "test_d": (False, False)},
    }
    taken = dict(read_tests(tmp_path / "tests/test_b.py", tmp_path))
    assert {name: one.marks for name, one in taken.items()} == {name: one.marks | {"timeout"} for name, one in found.items()}


SAMPLE = """
import pytest
@pytest.mark.parametrize("n", [1, 2])
def test_fine(n): pass
def test_wrong(): assert False
def test_left_out(): pytest.skip("x")
@pytest.fixture
def broken(): yield; raise ValueError
def test_fine_and_then_not(broken): pass
"""


@pytest.mark.parametrize("workers", [[], ["-p", "xdist", "-n", "2"]], ids=["one process", "two workers"])
def test_outcomes_are_noted_once_each(tmp_path: Path, workers: list[str]) -> None:
    """By the process that hands the tests out; of set-up, call and clean-up the worst counts; a second run adds to the file."""
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    file = tmp_path / "out/outcomes"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.outcomes", "-p", "no:cacheprovider", *workers]
    command += ["--rootdir", str(tmp_path), "-c", str(tmp_path / "pytest.ini"), "--outcomes", str(file), str(tmp_path)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert outcomes.read(file) == {
        "test_sample.py::test_fine[1]": "passed",
        "test_sample.py::test_fine[2]": "passed",
        "test_sample.py::test_wrong": "failed",
        "test_sample.py::test_left_out": "skipped",
        "test_sample.py::test_fine_and_then_not": "failed",
    }
    assert len(file.read_text().splitlines()) == 5
    with file.open("a") as more:
        more.write("failed test_sample.py::test_fine[1]\n")
    assert outcomes.read(file)["test_sample.py::test_fine[1]"] == "failed"


def test_the_command_ends_with_an_error_where_one_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the last step of ``make test``."""
    every = [test for one in THREATS for test in one.tests]
    file = tmp_path / "outcomes"
    file.write_text("".join(f"passed {test}\n" for test in every))
    assert main(["--outcomes", str(file), "--long"]) == 0
    assert f"{len(THREATS)} threats, their {len(set(every))} tests ran and passed" in capsys.readouterr().out
    file.write_text("".join(f"passed {test}\n" for test in every if test != every[0]))
    assert main(["--outcomes", str(file), "--long"]) == 1
    assert f"T-01: {every[0]} did not run" in capsys.readouterr().err


def test_make_notes_what_became_of_the_tests_and_compares() -> None:
    """Both sessions write to the file that the last step reads; it begins anew with every run."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ntest: ")[2].partition("\n\n")[0]
    sessions = [line for line in recipe.splitlines() if "-m pytest" in line and "$(ARGS)" not in line]
    assert len(sessions) == 2
    assert all("--outcomes .venv/outcomes " in line for line in sessions)
    assert (
        recipe.index("rm -f .venv/outcomes")
        < recipe.index("--outcomes")
        < recipe.index("-m tests.threats --outcomes .venv/outcomes")
    )
