"""What runs and what is delivered, out of the services' pages: their addresses, their health, their figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from hutong.cli import main
from hutong.errors import BrokerUnavailable
from hutong.home import Home
from hutong.lag.pending import NOTHING, Waiting
from hutong.lag.snapshot import AgreementLag
from hutong.language import translated
from hutong.overview.agreements import AgreementState, agreements, quarantine
from hutong.overview.lag import state_of
from hutong.overview.pages import Page, Pages, parse, read_pages
from hutong.overview.picture import Watcher
from hutong.overview.services import look
from hutong.runtime.addresses import announce, forget_gone, known
from hutong.runtime.health import Health, HealthServer
from hutong.runtime.settings import ServiceSettings
from tests.serving import Served

ENDED = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from hutong.home import Home
from hutong.runtime.addresses import announce
announce(Home(root=Path({home!r})), service="router", instance="b", host="127.0.0.1", port=1)
"""


class Own(ServiceSettings):
    """The settings of a service that is called a router."""

    service: ClassVar[str] = "router"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(root=tmp_path)


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as pages:
        yield pages


def test_a_service_is_known_while_it_runs(home: Home) -> None:
    """Its address is there from the announcement to its end; in good order nothing is left behind."""
    with announce(home, service="router", instance="a", host="0.0.0.0", port=4711):  # noqa: S104 - told, not listened on
        (found,) = known(home)
        assert (found.name, found.url, found.pid, found.alive) == ("router-a", "http://127.0.0.1:4711", os.getpid(), True)
        assert forget_gone(home) == []
    assert known(home) == []


def test_a_killed_service_leaves_its_record(home: Home) -> None:
    """It is told apart from one that runs, whoever has its pid now, and is forgotten on demand."""
    code = ENDED.format(path=sys.path, home=str(home.root))
    subprocess.run([sys.executable, "-c", code], check=True)
    (found,) = known(home)
    assert not found.alive
    facts = json.loads(found.record.read_text(encoding="utf-8"))
    found.record.write_text(json.dumps({**facts, "pid": os.getpid()}), encoding="utf-8")  # our pid, another start time
    assert not known(home)[0].alive
    assert [one.name for one in forget_gone(home)] == ["router-b"]
    assert known(home) == []


def test_a_successor_keeps_its_record(home: Home) -> None:
    """The one that ends late does not take the address of the one that replaced it."""
    first = announce(home, service="router", instance="a", host="127.0.0.1", port=1)
    (record,) = [one.record for one in known(home)]
    facts = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({**facts, "pid": 1, "url": "http://127.0.0.1:2"}), encoding="utf-8")
    first.close()
    assert [one.url for one in known(home)] == ["http://127.0.0.1:2"]


def test_without_a_home_nothing_is_written(tmp_path: Path) -> None:
    """A container has no home of a bus, and gets none."""
    home = Home(root=tmp_path / "none")
    announce(home, service="router", instance="a", host="::1", port=1).close()
    assert not home.root.exists()
    assert known(home) == []


def test_damaged_records_are_passed_over(home: Home) -> None:
    """Whatever lies there, looking does not fail."""
    directory = home.run / "services"
    directory.mkdir(parents=True)
    for number, text in enumerate(("", "[]", '{"service": "x"}', '{"service": 1, "pid": "x"}')):
        (directory / f"{number}.json").write_text(text, encoding="utf-8")
    assert known(home) == []


def test_services_are_up_not_ready_stuck_or_down(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """As their own health pages say; a process that is gone, or does not answer, has its own word."""
    monkeypatch.setenv("HUTONG_HOME", str(home.root))
    ready, waiting, stuck = Health(), Health(), Health(stuck_after=0.0)
    ready.beat()
    waiting.wait_for("agreements", "the control topic has not been read yet")
    servers = [HealthServer(health, Own(instance=name)) for name, health in zip("abc", (ready, waiting, stuck), strict=True)]
    try:
        announce(home, service="silent", instance="d", host="127.0.0.1", port=1)
        subprocess.run([sys.executable, "-c", ENDED.format(path=sys.path, home=str(home.root)).replace('"b"', '"e"')], check=True)
        states = {one.name: one for one in look(known(home))}
    finally:
        for server in servers:
            server.close()
    assert {name: one.state for name, one in states.items()} == {
        "router-a": "up",
        "router-b": "not ready",
        "router-c": "stuck",
        "silent-d": "stuck",
        "router-e": "down",
    }
    assert states["router-b"].waiting_for == {"agreements": "the control topic has not been read yet"}


def page(**values: dict[tuple[str, ...], float]) -> Page:
    """A page as prometheus_client writes it: name of a gauge -> its labels' values in alphabetical order of their names."""
    registry = CollectorRegistry()
    names = {1: ["agreement"], 2: ["contract", "reason"], 4: ["agreement", "contract", "publisher", "recipient"]}
    for name, samples in values.items():
        kind = Counter if name.endswith("_total") else Gauge
        labels = names[len(next(iter(samples)))]
        if name == "hutong_quarantine_records":
            labels = ["contract"]
        metric = kind(name.removesuffix("_total"), "x", labels, registry=registry)
        for labels_, number in samples.items():
            child = metric.labels(*labels_)
            child.inc(number) if isinstance(child, Counter) else child.set(number)
    return parse(generate_latest(registry).decode())


MONITOR = page(
    hutong_agreement_info={("a", "x.y.c", "x.y", "r.s"): 1, ("b", "x.y.c", "x.y", "r.t"): 1, ("d", "x.y.d", "x.y", "r.t"): 1},
    hutong_pending_deliveries={("a",): 3, ("b",): 0, ("d",): 9},
    hutong_delivery_freshness_seconds={("a",): 40, ("b",): 0, ("d",): 70},
    hutong_freshness_objective_seconds={("a",): 60, ("d",): 60},
    hutong_pending_exact={("d",): 0},
    hutong_agreement_in_force={("a",): 1, ("b",): 0},
    hutong_untaken_deliveries={("a",): 5},
    hutong_quarantine_records={("x.y.c",): 4},
)


NOW = 1_000_000
MONITOR_BLIND = [
    f'hutong_agreement_{name}{{agreement="{one}"}} 1' for one in "abcd" for name in ("info", "in_force")
]  # as it is when no look has succeeded for a while: only what is declared


def measured(name: str, **changes: Any) -> AgreementLag:
    """An agreement as the bus itself was seen."""
    facts: dict[str, Any] = {
        "agreement": name,
        "contract": "x.y.c",
        "recipient": "r.s",
        "publisher": "x.y",
        "topic": f"sub.r.s.{name}",
        "in_force": True,
        "valid_until_ms": None,
        "objective_seconds": 60.0,
        "delivery": NOTHING,
        "taking": {},
        "at_ms": NOW,
    }
    return AgreementLag(**(facts | changes))


def test_agreements_in_trouble_come_first() -> None:
    """What the monitor tells, joined with the rates of two routers; beyond its objective before late before fresh before idle."""
    before = Pages(at=10.0, by_url={"m": MONITOR, "r": page(hutong_router_deliveries_total={("a",): 100, ("b",): 5})})
    routers = {"r": page(hutong_router_deliveries_total={("a",): 150, ("b",): 5}), "s": MONITOR}
    now = Pages(at=15.0, by_url={"m": MONITOR, **routers})
    found = agreements(now, before)
    assert [(one.agreement, one.judgement, one.rate) for one in found] == [
        ("d", "broken", 0.0),
        ("a", "late", 10.0),
        ("b", "idle", 0.0),
    ]
    first, second, third = found
    assert (first.publisher, first.contract, first.recipient, first.exact, first.in_force) == ("x.y", "x.y.d", "r.t", False, None)
    assert (second.pending, second.untaken, second.in_force, third.in_force) == (3.0, 5.0, True, False)
    assert [one.rate for one in agreements(now)] == [None, None, None]


def test_without_a_monitor_the_routers_name_the_agreements() -> None:
    """Rates are known, the rest is not."""
    pages = [
        Pages(at=at, by_url={"r": page(hutong_router_deliveries_total={("a",): count})}) for at, count in ((0.0, 0), (2.0, 8))
    ]
    (found,) = agreements(pages[1], pages[0])
    assert (found.agreement, found.rate, found.pending, found.freshness, found.judgement) == ("a", 4.0, None, None, "fresh")


def test_quarantine_is_told_by_reason_and_by_what_lies_there() -> None:
    """Only what comes in now has a rate; only what lies there is counted."""
    counts = [
        page(hutong_router_quarantined_total={("x.y.c", "null_key"): count, ("x.y.c", "wrong_key"): 3}) for count in (0, 10)
    ]
    before, now = (Pages(at=at, by_url={"r": one, "m": MONITOR}) for at, one in zip((0.0, 5.0), counts, strict=True))
    coming, lying = quarantine(now, before)
    assert (coming.contract, coming.reason, coming.rate, coming.records) == ("x.y.c", "null_key", 2.0, None)
    assert (lying.contract, lying.rate, lying.records) == ("x.y.c", None, 4.0)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=6), st.integers(1, 50))
def test_a_counter_that_begins_anew_never_counts_backwards(values: list[int], seconds: int) -> None:
    """Whatever restarts, a rate is what has been counted since, and never negative."""
    looks = [
        Pages(at=float(at * seconds), by_url={"r": Page(samples={"n": (({"agreement": "a"}, float(value)),)})})
        for at, value in enumerate(values)
    ]
    for before, now, was, value in zip(looks, looks[1:], values, values[1:], strict=False):
        assert now.rates(before, "n", "agreement") == {("a",): pytest.approx((value - was if value >= was else value) / seconds)}
    assert looks[0].rates(None, "n", "agreement") == {}
    assert looks[0].rates(looks[-1], "n", "agreement") == {}


def test_pages_that_cannot_be_read_are_left_out(served: Served) -> None:
    """Nobody there, no metrics, an error: the others count."""
    served.pages["/a/metrics"] = generate_latest(CollectorRegistry()) + b"hutong_x 1\n"
    served.pages["/b/metrics"] = b"<html>no metrics\n"
    found = read_pages([f"{served.url}/{name}" for name in "abc"] + ["http://127.0.0.1:1/metrics"], at=0.0)
    assert list(found.by_url) == [f"{served.url}/a"]
    assert found.total("hutong_x") == {(): 1.0}


def test_a_picture_without_a_monitor_is_measured_on_the_bus(home: Home, served: Served) -> None:
    """Or says why that cannot be done either; the routers' rates stay with what was measured."""
    served.pages["/metrics"] = b"# TYPE hutong_router_deliveries_total counter\n"
    state = AgreementState(
        agreement="a", contract="x.y.c", publisher="x.y", recipient="r.s", pending=7, freshness=90, objective=60
    )
    seen = Watcher(home, [served.url], lambda: [state]).look()
    assert (seen.source, [one.judgement for one in seen.agreements], seen.well) == ("bus", ["broken"], False)

    def fail() -> list[AgreementState]:
        raise BrokerUnavailable("no broker answers")

    blind = Watcher(home, [], fail).look()
    assert (blind.source, blind.problem, blind.well) == ("nobody", "no broker answers", False)
    assert set(blind.to_document()) == {"well", "source", "problem", "agreements", "quarantine", "services"}


def test_what_cannot_be_measured_is_not_well(home: Home, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever measures, the monitor or we: an agreement in force has no number then, stands first, and is named."""
    unknown = Waiting(count=0, oldest_ms=None, exact=False)
    seen = [
        measured("quiet"),
        measured("unseen", delivery=unknown, taking={"r.a": unknown}),
        measured("ended", in_force=False),
        measured("part", delivery=Waiting(count=2, oldest_ms=NOW - 1_000, exact=False, blind=True)),
        measured("taken", taking={"r.a": unknown, "r.b": Waiting(count=3, oldest_ms=NOW, exact=True)}),
    ]
    found = Watcher(home, [], lambda: [state_of(one) for one in seen]).look()
    assert (found.source, found.well) == ("bus", False)
    assert found.problem == "what is pending cannot be measured now for part, unseen; see `hutong doctor`"
    told = {one["agreement"]: one for one in found.to_document()["agreements"]}
    assert list(told)[:2] == ["part", "unseen"]
    for name in ("part", "unseen"):
        assert {told[name][fact] for fact in ("pending", "freshness", "untaken", "judgement")} == {None}
    assert (told["quiet"]["pending"], told["quiet"]["freshness"], told["taken"]["untaken"]) == (0, 0.0, 3)
    assert Watcher(home, [], lambda: [state_of(one) for one in seen if one.told]).look().well
    monkeypatch.setenv("HUTONG_LANG", "zh")
    assert translated(found.problem) == "目前无法测量 part, unseen 的待投递数量；请运行 `hutong doctor` 查看原因"

    served.pages["/metrics"] = "\n".join([*MONITOR_BLIND, ""]).encode()
    blind = Watcher(home, [served.url], list).look()
    assert (blind.source, blind.well) == ("monitor", False)
    assert blind.problem == "what is pending cannot be measured now for a, b, c, ...; see `hutong doctor`"


def status(monkeypatch: pytest.MonkeyPatch, home: Home, *arguments: str) -> int:
    monkeypatch.setenv("HUTONG_HOME", str(home.root))
    monkeypatch.setattr(sys, "argv", ["hutong", "status", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_status_tells_of_services(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Home) -> None:
    """In words and for programs; one that is down makes the exit code 1, as the bus does."""
    monkeypatch.setenv("HUTONG_HOME", str(home.root))
    health = Health()
    health.wait_for("flows", "the flows have not been read yet")
    server = HealthServer(health, Own(instance="a"))
    try:
        assert status(monkeypatch, home) == 1
        assert "waits for flows: the flows have not been read yet" in capsys.readouterr().out
        assert status(monkeypatch, home, "--json") == 1
        (told,) = json.loads(capsys.readouterr().out)["services"]
        assert (told["service"], told["state"], told["pid"]) == ("router", "not ready", os.getpid())
    finally:
        server.close()
    assert status(monkeypatch, home, "--json") == 1
    assert json.loads(capsys.readouterr().out)["services"] == []


@pytest.mark.parametrize("number", ["1" + 400 * "0", "1e999", "NaN", "-Infinity", '"12"', "null", "[1]"])
def test_a_health_page_may_say_any_number(home: Home, served: Served, number: str) -> None:
    """What is no length of time is left out; the first of these came out of the fuzzer."""
    served.pages["/health/live"] = f'{{"ok": true, "seconds_since_step": {number}}}'.encode()
    served.pages["/health/ready"] = b'{"ok": true}'
    announce(home, service="router", instance="a", host="127.0.0.1", port=served.port)
    assert [(one.state, one.step_seconds) for one in look(known(home))] == [("up", None)]


def test_what_is_asked_does_not_take_longer_than_a_person_waits(home: Home, served: Served) -> None:
    """A page that never comes is given up; the services are asked at the same time."""
    served.silent.add("/health/live")
    served.silent.add("/health/ready")
    for name in "abcd":
        announce(home, service="router", instance=name, host="127.0.0.1", port=served.port)
    began = time.monotonic()
    assert {one.state for one in look(known(home))} == {"stuck"}
    assert time.monotonic() - began < 30  # four of them, one after the other and each page waited for, are 16 at least
