"""The monitor's page and ``hutong lag``: what they make of a look at the bus. No broker."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

import hutong.cli.lag
from hutong.cli import main
from hutong.lag.pending import NOTHING, Waiting
from hutong.lag.snapshot import AgreementLag, Group, Snapshot
from services.monitor.metrics import Page
from services.monitor.settings import MonitorSettings
from tests.metrics_page import check_page

NOW = 1_000_000


def agreement(name: str, **changes: Any) -> AgreementLag:
    facts: dict[str, Any] = {
        "agreement": name,
        "contract": "x.y.changed",
        "recipient": "r",
        "publisher": "x.y",
        "topic": f"sub.r.{name}",
        "in_force": True,
        "valid_until_ms": None,
        "objective_seconds": 60.0,
        "delivery": NOTHING,
        "taking": {},
        "at_ms": NOW,
    }
    return AgreementLag(**(facts | changes))


FRESH = agreement("fresh", taking={"r.app": Waiting(count=5, oldest_ms=NOW - 2_000, exact=True)}, valid_until_ms=2_000_000)
LATE = agreement("late", delivery=Waiting(count=1200, oldest_ms=NOW - 90_000, exact=False))
UNSEEN = agreement("unseen", delivery=Waiting(count=0, oldest_ms=None, exact=False))


def snapshot(*agreements: AgreementLag, **changes: Any) -> Snapshot:
    return Snapshot(at_ms=NOW, agreements={one.agreement: one for one in agreements}, **changes)


class Told:
    """A page, read as Prometheus reads it."""

    def __init__(self, *, stale_seconds: float = 60.0) -> None:
        self.registry = CollectorRegistry()
        self.page = Page(self.registry, stale_seconds=stale_seconds)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"hutong_{name}", labels)


def test_the_page_tells_a_look() -> None:
    """Counts, ages, facts to join with; a promise is within or beyond."""
    told = Told()
    lost = {
        "r.app": Group(name="r.app", members=2, lost={"sub.r.fresh": 0}),
        "hutong.router": Group(name="hutong.router", members=0, lost={"pub.x.y.changed": 7}),
    }
    seen = snapshot(FRESH, LATE, groups=lost, brokers_in_service=2, brokers_expected=3, under_replicated=4)
    told.page.show(dataclasses.replace(seen, last_event_ms={"x.y.changed": 5_000}, standing_seconds={"pub.x.y.changed": 1.5}))
    told.page.registry_answers(False)
    assert told.value("pending_deliveries", agreement="late") == 1200
    assert told.value("pending_exact", agreement="late") == 0
    assert told.value("delivery_freshness_seconds", agreement="late") == 90
    assert told.value("delivery_freshness_seconds", agreement="fresh") == 0
    assert told.value("untaken_deliveries", agreement="fresh", group="r.app") == 5
    assert told.value("taking_freshness_seconds", agreement="fresh", group="r.app") == 2
    assert told.value("agreement_valid_until_timestamp_seconds", agreement="fresh") == 2000
    assert told.value("agreement_valid_until_timestamp_seconds", agreement="late") is None
    facts = {"contract": "x.y.changed", "publisher": "x.y", "recipient": "r", "topic": "sub.r.late"}
    assert told.value("agreement_info", agreement="late", **facts) == 1
    assert told.value("lost_to_retention_total", topic="pub.x.y.changed", group="hutong.router") == 7
    assert told.value("lost_to_retention_total", topic="sub.r.fresh", group="r.app") == 0
    assert told.value("group_members", group="r.app") == 2
    assert (told.value("brokers_in_service"), told.value("brokers_expected"), told.value("registry_up")) == (2, 3, 0)
    assert told.value("stable_offset_behind_seconds", topic="pub.x.y.changed") == 1.5
    assert told.value("contract_last_event_timestamp_seconds", contract="x.y.changed") == 5
    check_page(generate_latest(told.registry).decode())


def test_what_was_not_measured_has_no_number() -> None:
    """Neither is its promise kept nor broken."""
    told = Told()
    told.page.show(snapshot(UNSEEN))
    told.page.show(snapshot(UNSEEN))
    assert told.value("pending_deliveries", agreement="unseen") is None
    assert told.value("delivery_freshness_seconds", agreement="unseen") is None
    assert told.value("pending_exact", agreement="unseen") == 0
    assert told.value("freshness_sla_seconds_total", agreement="unseen", kept="true") is None


def test_a_partition_out_of_reach_does_not_hide_behind_another() -> None:
    """What the others hold is no number for all, unless it is beyond the promise by itself: then the promise is broken."""
    told = Told()
    fresh = agreement("fresh", delivery=Waiting(count=1, oldest_ms=NOW - 1_000, exact=False, blind=True))
    late = agreement("late", delivery=Waiting(count=1, oldest_ms=NOW - 61_000, exact=False, blind=True))
    assert (fresh.kept, late.kept) == (None, False)
    told.page.show(snapshot(fresh, late))
    assert told.value("delivery_freshness_seconds", agreement="fresh") is None
    assert told.value("delivery_freshness_seconds", agreement="late") == 61


def test_an_old_look_is_not_told_and_no_broker_is_told_at_once() -> None:
    """No number rather than an old one; declarations stay, and the time of the last look tells its age."""
    told = Told(stale_seconds=-1)
    told.page.show(snapshot(LATE, brokers_in_service=3, brokers_expected=3))
    told.page.blind()
    assert told.value("pending_deliveries", agreement="late") is None
    assert told.value("freshness_objective_seconds", agreement="late") == 60
    assert (told.value("brokers_in_service"), told.value("brokers_expected")) == (0, 3)
    assert told.value("monitor_last_round_timestamp_seconds") == 1000


def test_a_bus_that_was_never_seen_has_no_broker() -> None:
    """Before the first look there is nothing to tell but that."""
    told = Told()
    assert told.value("brokers_in_service") is None
    told.page.blind()
    assert told.value("brokers_in_service") == 0


def test_settings_are_read_as_every_services() -> None:
    """Flags, variables, bounds."""
    assert MonitorSettings.read([], {"HUTONG_MONITOR_INSTANCE": "m"}).round_seconds == 1.0
    assert MonitorSettings.read(["--round-seconds", "5"], {"HUTONG_MONITOR_ROUND_SECONDS": "2"}).round_seconds == 5


class Looks:
    """Stands for ``LagNow``."""

    def __init__(self, seen: Snapshot) -> None:
        self.seen = seen

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self

    def __enter__(self) -> Any:
        return lambda: self.seen

    def __exit__(self, *_: object) -> None:
        return


def run(seen: Snapshot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str, str]:
    monkeypatch.setattr(hutong.cli.lag, "LagNow", Looks(seen))
    monkeypatch.setattr(hutong.cli.lag, "Settings", type("S", (), {"resolve": staticmethod(lambda _: None)}))
    monkeypatch.setattr(sys, "argv", ["hutong", "lag", *flags])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_lag_tells_what_waits_and_for_how_long(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Those beyond their objective first, an estimate with its sign, and exit code 1 because of them."""
    code, out, _ = run(snapshot(FRESH, LATE), monkeypatch, capsys)
    lines = [line.split() for line in out.splitlines()]
    assert code == 1
    assert lines[1] == ["late", "r", "~1,200", "1.5", "min", "1.0", "min"]
    assert lines[2] == ["fresh", "r", "0", "0", "s", "1.0", "min", "r.app", "5", "2.0", "s"]
    assert "1 agreement is beyond its objective" in out
    assert run(snapshot(FRESH), monkeypatch, capsys)[0] == 0


def test_lag_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One agreement by name; what its own groups have lost, and the routers of its contract, and nobody else."""
    lost = {
        "r.app": Group(name="r.app", members=1, lost={"sub.r.fresh": 3, "sub.r.other": 9}),
        "r.old": Group(name="r.old", members=0, lost={"sub.r.fresh": 7}),  # reads it no more: its loss is of another time
        "hutong.router": Group(name="hutong.router", members=1, lost={"pub.x.y.changed": 2, "pub.x.y.else": 5}),
    }
    other = agreement("other")
    code, out, _ = run(snapshot(FRESH, other, groups=lost), monkeypatch, capsys, "--json", "fresh")
    document = json.loads(out)
    assert (code, document["format"]) == (1, 1)
    assert document["lost_to_retention"] == [
        {"group": "hutong.router", "topic": "pub.x.y.changed", "offsets": 2},
        {"group": "r.app", "topic": "sub.r.fresh", "offsets": 3},
    ]
    only_others = {"r.old": lost["r.old"], "z.app": Group(name="z.app", members=1, lost={"sub.r.other": 1})}
    assert run(snapshot(FRESH, other, groups=only_others), monkeypatch, capsys, "fresh")[0] == 0
    assert run(snapshot(FRESH, other, groups=only_others), monkeypatch, capsys)[0] == 1
    (line,) = document["agreements"]
    assert line["not_delivered"] == {"count": 0, "exact": True, "oldest_seconds": 0.0}
    assert line["not_taken"] == {"r.app": {"count": 5, "exact": True, "oldest_seconds": 2.0}}
    assert line["kept"] is True


def test_lag_of_what_cannot_be_measured_is_no_zero(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in words nor for programs, and exit code 1: it may be late. What is not in force owes nobody a number."""
    part = agreement("part", delivery=Waiting(count=1, oldest_ms=NOW - 1_000, exact=False, blind=True))
    silent = agreement("silent", taking={"r.app": Waiting(count=0, oldest_ms=None, exact=False)})
    code, out, _ = run(snapshot(FRESH, UNSEEN, part, silent), monkeypatch, capsys)
    rows = [line.split() for line in out.splitlines()]
    assert code == 1
    assert rows[1:3] == [["part", "r", "-", "-", "1.0", "min"], ["unseen", "r", "-", "-", "1.0", "min"]]
    assert rows[4] == ["silent", "r", "0", "0", "s", "1.0", "min", "r.app", "-", "-"]
    assert "2 agreements cannot be measured now; see `hutong doctor`" in out
    for one in (UNSEEN, part):
        code, out, _ = run(snapshot(one), monkeypatch, capsys, "--json")
        (line,) = json.loads(out)["agreements"]
        assert (code, line["kept"]) == (1, None)
        assert line["not_delivered"] == {"count": None, "exact": False, "oldest_seconds": None}
    code, out, _ = run(snapshot(silent), monkeypatch, capsys, "--json")
    assert json.loads(out)["agreements"][0]["not_taken"] == {"r.app": {"count": None, "exact": False, "oldest_seconds": None}}
    assert code == 0
    assert run(snapshot(dataclasses.replace(UNSEEN, in_force=False)), monkeypatch, capsys)[0] == 0
    no_promise = dataclasses.replace(UNSEEN, objective_seconds=None)
    assert run(snapshot(no_promise), monkeypatch, capsys)[0] == 1


def test_lag_of_an_unknown_agreement_is_wrong_use(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and a way on."""
    code, _, err = run(snapshot(FRESH), monkeypatch, capsys, "none")
    assert code == 2
    assert "no agreement none" in err
