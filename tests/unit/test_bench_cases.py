"""Which cases there are, and which are run."""

from __future__ import annotations

import pytest

from bench.__main__ import main
from bench.cases import CASES, OVERHEAD, QUICK, chosen
from hutong.contracts.contract import contract_name_problem


def test_every_case_has_a_contract_of_its_own() -> None:
    """With a name that the bus takes."""
    contracts = [case.contract for case in CASES.values()]
    assert len(set(contracts)) == len(contracts)
    assert not [name for name in contracts if contract_name_problem(name.rpartition(".")[2])]


def test_all_cases_are_run_but_those_only_run_by_name() -> None:
    """Every size at every fan-out; what being watched costs is asked for by its name."""
    names = [case.name for case in chosen([], quick=False, scale=1.0)]
    assert {f"fan-out-{number}-{size}" for number in (1, 3, 10) for size in ("small", "medium", "large")} <= set(names)
    assert OVERHEAD not in names
    assert [case.name for case in chosen([OVERHEAD], quick=False, scale=1.0)] == [OVERHEAD]


def test_quick_is_one_case_with_few_events_and_no_slow_contender() -> None:
    """So that it ends within three minutes."""
    (case,) = chosen([], quick=True, scale=1.0)
    assert case.name == QUICK
    assert case.events < CASES[QUICK].events
    assert case.contenders == ("hutong", "kafka_streams", "raw_copy")


def test_the_issues_targets_stand_at_their_cases() -> None:
    """A target is no good in a document alone."""
    assert CASES["fan-out-3-small"].targets == {"kafka_streams": 1.5, "raw_copy": 0.85}
    assert CASES["agreements-1000"].targets == {"raw_copy": 0.8}
    assert CASES["agreements-10000"].targets == {"raw_copy": 0.7}
    assert {CASES[f"destinations-{number}"].targets["raw_copy"] for number in (100, 1_000, 3_000)} == {0.85}


def test_every_case_has_three_rounds_at_least() -> None:
    """Fewer have no median and no spread."""
    assert min(case.rounds for case in CASES.values()) == 3


def test_agreements_on_regions_match_as_often_as_the_case_says() -> None:
    """1,000 agreements, 3 of them on each of 333 regions, and one on a region where nothing happens."""
    case = CASES["agreements-1000"]
    assert (case.regions, case.fan_out, case.topics) == (333, 3, 30)
    assert CASES["destinations-3000"].regions == 3_000
    assert CASES["filter-all"].fan_out == 0


def test_a_transaction_size_that_few_events_cannot_time_is_left_out() -> None:
    """Three transactions are the least; there is always one size."""
    case = CASES["destinations-1000"]
    assert case.scaled(1.0).timeable_copy_sizes == (50_000, 100_000)
    assert case.scaled(0.5).timeable_copy_sizes == (50_000,)
    assert case.scaled(0.01).timeable_copy_sizes == (750,)


def test_cases_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """With what is no case but is measured too."""
    assert main(["--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [*CASES, "latency", "endurance", "coordination", "sdk"]


def test_an_unknown_case_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    """Before any bus is started."""
    with pytest.raises(SystemExit, match="2"):
        main(["--case", "fan-out-4"])
    assert "fan-out-4" in capsys.readouterr().err
