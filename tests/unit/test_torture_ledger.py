"""The torture run's book and report: nothing that a killed process has noted is lost, nothing that is wrong is called clean."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.torture.__main__ import main
from tests.torture.evidence import FAULTS as COUNTS
from tests.torture.evidence import Verdict
from tests.torture.faults import FAULTS
from tests.torture.ledger import Entry, Ledger, Terms
from tests.torture.report import document, show
from tests.torture.runner import Row


def entry(name: str, **facts: Any) -> Entry:
    return Entry(id=name, contract="x.y", key="k", sequence=1, data={"name": "王"}, **facts)


def test_books_of_several_writers_make_one_account(tmp_path: Path) -> None:
    """What became of an event may be in another book than the event."""
    ledger = Ledger(tmp_path / "ledger")
    with ledger.book("z") as first, ledger.book("a") as second:
        first.attempted(entry("1"), entry("2"), entry("3"))
        second.acknowledged("1")
        second.aborted("2")
        for began in (5, 3):
            second.terms(Terms(agreement="g", terms="", began_ms=began, acknowledged_ms=began + 1))
    account = ledger.account()
    assert {name: one.state for name, one in account.entries.items()} == {"1": "acknowledged", "2": "aborted", "3": "attempted"}
    assert account.entries["1"].data == {"name": "王"}
    assert [one.began_ms for one in account.terms] == [3, 5]


def test_a_line_that_a_killed_writer_left_unfinished_says_nothing(tmp_path: Path) -> None:
    """And what was noted before it stands."""
    ledger = Ledger(tmp_path)
    with ledger.book("killed") as book:
        book.attempted(entry("1"))
    file = tmp_path / "killed.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + whole.replace(b'"1"', b'"2"')[:-9])
    assert list(ledger.account().entries) == ["1"]


def test_an_id_that_was_used_twice_is_told(tmp_path: Path) -> None:
    """Else one of two events could be lost unseen."""
    ledger = Ledger(tmp_path)
    with ledger.book("one") as one, ledger.book("two") as two:
        one.attempted(entry("1"))
        two.attempted(entry("1"))
    with pytest.raises(AssertionError, match="an id twice"):
        ledger.account()


def row(verdict: Verdict | None = None, **facts: Any) -> Row:
    return Row(name="router-killed", says="says", times=2, struck=2, recovery=[1.0, 3.0], verdict=verdict, **facts)


def with_one(fault: str) -> Verdict:
    verdict = Verdict(events=10)
    verdict.offence(fault, f"event 7 is {fault}")
    return verdict


@pytest.mark.parametrize(
    "bad", [row(), row(Verdict(), problem="it did not happen"), *(row(with_one(name)) for name in Verdict().faults)]
)
def test_nothing_that_is_wrong_is_called_clean(bad: Row) -> None:
    """No verdict, a problem, any count, or a hit: each by itself."""
    assert not document([row(Verdict()), bad], seed=1, hits=[])["clean"]
    assert document([row(Verdict())], seed=1, hits=[])["clean"]
    assert not document([row(Verdict())], seed=1, hits=["log a: personal value 1"])["clean"]


def test_a_control_is_well_when_something_was_found_and_is_in_no_sum() -> None:
    """A judge who finds nothing where a defence was taken away is no judge."""
    found, blind = row(with_one("torn"), is_control=True), row(Verdict(), is_control=True)
    assert found.is_clean
    assert not blind.is_clean
    screen = io.StringIO()
    show([row(Verdict(events=5)), found], Console(file=screen, width=200))
    total = next(line for line in screen.getvalue().splitlines() if line.startswith("│ all"))
    assert total.split("│")[3].strip() == "5"


def test_the_report_has_times_and_the_table_shows_what_is_wrong() -> None:
    """Median and worst recovery, and the first offences below the table."""
    rows = [row(with_one("torn")), row(problem="it did not happen")]
    report = document(rows, seed=7, hits=None)["faults"][0]
    assert report["recovery_seconds"] == {"median": 2.0, "worst": 3.0}
    assert report["faults"]["torn"] == 1
    screen = io.StringIO()
    show(rows, Console(file=screen, width=200))
    assert "torn: event 7 is torn" in screen.getvalue()
    assert "it did not happen" in screen.getvalue()


def test_the_list_tells_every_fault_and_the_short_run_is_a_part(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither starts anything."""
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(FAULTS)
    assert main(["--list", "--short"]) == 0
    short = capsys.readouterr().out.splitlines()
    assert 0 < len(short) < len(FAULTS)


def test_every_count_is_told() -> None:
    """The page has a row for each, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "torture.md").read_text(encoding="utf-8").partition("| count |")[2]
    told = [row.split("|")[1].strip() for row in page.partition("\n\n")[0].splitlines()[2:]]
    assert told == [name.replace("_", "-") for name in COUNTS]
