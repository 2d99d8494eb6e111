"""The demo's report: figures, the one last line, and nobody's identity in it."""

from __future__ import annotations

import io
import json
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from demo import __main__ as demo
from demo.account import Committed, Held, Published, settle
from demo.case_account import CaseAccount
from demo.figures import masked, percentile, rate_of, sample_lines
from demo.report import Run, problems, show, write
from demo.rights import Right, canonical

NUMBER = "11010519491231002X"
RIGHT = Right(
    agreement="one",
    recipient="x.y",
    contract="a.b.c",
    channel="one",
    conditions=(),
    fields=(
        {"field": "number"},
        {"field": "person.identity_number"},
        {"field": "person.name", "transform": "mask", "keep_first": 1},
    ),
    codes={},
    key=b"",
)
EVENT = {"number": "N-1", "person": {"identity_number": NUMBER, "name": "欧阳明"}, "region": "110105"}


def a_run(*, lose: bool = False) -> Run:
    committed = [Committed(id="e1", contract="a.b.c", key="N-1", key_field="number", data=EVENT)]
    published = [Published(id="e1", contract="a.b.c", made_ms=1000, appended_ms=1010)]
    data = canonical(RIGHT.delivery(EVENT))
    held = [Held(agreement="one", id="e1", key="N-1", data=data, delivered_ms=1020, received_ms=1030)]
    return Run(
        seed=1,
        seconds={"all of it": 1.234},
        registers=[("the whole register", True)],
        account=settle([RIGHT], committed, published, [] if lose else held, {}, []),
        cases=CaseAccount(cases=3, reports=3, answers=20, refused=Counter(twice=1), quarantined=1),
        refused=2,
        slips=2,
        reasons={},
        rates={"router": rate_of([1000, 1500, 3000])},
        memory={"router-1": 2**20},
    )


def printed(run: Run) -> str:
    out = io.StringIO()
    show(run, Console(file=out, width=130, highlight=False))
    return out.getvalue()


def test_last_line_is_the_account() -> None:
    """The report ends with the one line, as it is promised."""
    events = "demo: published=21 delivered=1 filtered=0 quarantined=1 lost=0 duplicated=0"
    assert printed(a_run()).splitlines()[-1] == f"{events} cases=3 reports=3 refused=1 unsettled=0"


def test_nobody_is_named() -> None:
    """No identity number and no name is printed or written in full, granted or not."""
    text = printed(a_run())
    assert NUMBER not in text
    assert "欧阳明" not in text
    assert "欧**" in text


def test_json_says_the_same(tmp_path: Path) -> None:
    """The report as JSON has the line, the counts and the latency."""
    write(a_run(), tmp_path / "demo" / "report.json")
    document = json.loads((tmp_path / "demo" / "report.json").read_text("utf-8"))
    assert document["adds_up"] is True
    assert document["line"].startswith("demo: published=21 ")
    assert document["totals"]["published"] == 21
    assert document["cases"]["refused"] == {"twice": 1}
    assert document["agreements"][0]["latency_ms"] == {"p50": 20, "p99": 20}
    assert NUMBER not in json.dumps(document)


@pytest.mark.parametrize(("lose", "code"), [(False, 0), (True, 1)])
def test_json_is_all_that_a_program_gets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, lose: bool, code: int
) -> None:
    """One object on standard output, the same as in the file; what is shown on the way goes to standard error."""

    class Played:
        def __init__(self, *, console: Console, **_: Any) -> None:
            self.console = console

        def play(self, *, keep: bool) -> Run:
            self.console.print("bringing the bus up")
            return a_run(lose=lose)

    monkeypatch.setattr(demo, "Stage", Played)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("HUTONG_HOME", str(tmp_path))
    assert demo.main(["--json"]) == code
    out, err = capsys.readouterr()
    assert json.loads(out) == json.loads((tmp_path / "demo" / "report.json").read_text("utf-8"))
    assert (next(iter(json.loads(out))), json.loads(out)["adds_up"]) == ("format", not lose)
    assert "bringing the bus up" in err


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (a_run(lose=True), "one: 1 lost"),
        (replace(a_run(), refused=1), "1 entries were refused at the counters, 2 had a slip"),
        (replace(a_run(), cases=CaseAccount(cases=3, reports=2)), "3 cases were opened, of 2 there is one report"),
        (replace(a_run(), cases=CaseAccount(problems={NUMBER: ["x", "y"]})), "case 110************02X: x; y"),
        (replace(a_run(), registers=[("one province", False)]), "register: one province"),
    ],
)
def test_what_does_not_add_up_is_said(run: Run, words: str) -> None:
    """Each way of failing is told in words, and the run counts as failed."""
    assert not run.adds_up
    assert problems(run) == [words]
    assert words in printed(run)


def test_a_run_that_adds_up_has_no_problems() -> None:
    """No false alarm."""
    assert a_run().adds_up
    assert problems(a_run()) == []


def test_figures() -> None:
    """Percentiles take a value that occurred; rates know the busiest second."""
    assert percentile([], 0.5) is None
    assert percentile([5, 1, 3], 0.5) == 3
    assert percentile(list(range(100)), 0.99) == 99
    rate = rate_of([1000, 1500, 3000])
    assert (rate.events, rate.mean, rate.peak) == (3, 1.5, 2)
    assert rate_of([]).events == 0


def test_masks() -> None:
    """Names, numbers and pseudonyms are shortened, codes and dates are not."""
    assert masked("a.identity_number", NUMBER) == "110************02X"
    assert masked("a.name", "欧阳明") == "欧**"
    assert masked("name", "山西省") == "山西省"
    assert masked("person", "ab" * 32) == "abababab..."
    assert masked("region", "110105") == "110105"
    assert masked("x", None) == "None"


def test_samples_show_transforms_first() -> None:
    """The masked name is shown before fields that are passed as they are; the last line counts fields."""
    assert sample_lines(RIGHT, EVENT, RIGHT.delivery(EVENT)) == [
        "person.name 欧** -> person.name 欧**",
        "4 fields -> 3",
    ]
