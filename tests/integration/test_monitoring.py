"""A real Prometheus reads a running bus: every panel has data, every alert fires in its fault and falls silent after.

Run with ``-s`` to see how many series each panel has, and how long each alert took.
"""

from __future__ import annotations

import math
import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from deploy.grafana.build import DASHBOARDS
from hutong.embedded import up
from hutong.embedded.process import processes
from tests.conftest import temporary_home
from tests.integration.loan_flow import LAND, OFFICE, TAX
from tests.integration.processes import await_true
from tests.integration.traffic import CHANNEL
from tests.integration.watched import Watched
from tests.prometheus import program

pytestmark = pytest.mark.timeout(300)

CHOSEN = {"publisher": OFFICE, "recipient": LAND}


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    program("prometheus")  # skips before anything is started
    with temporary_home() as home, tempfile.TemporaryDirectory() as folder:
        watched = Watched(home, Path(folder))
        try:
            yield watched.start().await_ready()
        finally:
            watched.close()
            for service in watched.services:
                print(service.module, service.last_words(), sep="\n")  # shown where a test has failed


def test_every_panel_has_data(watched: Watched) -> None:
    """Each query of each panel, with its dashboard's variables chosen, gives at least one series with a number."""
    watched.bus.ends = {LAND: 3, TAX: 20}
    watched.bus.apply()
    asked = [(name, panel["type"], panel["title"], target["expr"]) for name, panel, target in targets()]
    waiting = set(asked)

    def series(one: tuple[str, str, str, str]) -> int:
        return finite(watched, chosen(watched, one[0], one[3]))

    def ask() -> bool:
        watched.bus.garbage(1)
        waiting.difference_update([one for one in waiting if series(one)])
        return not waiting

    began = time.monotonic()
    try:
        await_true(ask, "every panel has data", 60)
    finally:
        assert not waiting, waiting
    print(f"\n{len(asked)} queries have data after {time.monotonic() - began:.1f} s; series of each panel's queries:\n")
    for panel in dict.fromkeys(one[:3] for one in asked):
        print(f"{panel[0]:10} {panel[1]:14} {panel[2]:45}", *(series(one) for one in asked if one[:3] == panel))


def targets() -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield name, panel, target


def chosen(watched: Watched, name: str, expr: str) -> str:
    """A query with its variables as a person chooses them: one department, all of its contracts or agreements."""
    for variable in DASHBOARDS[name]["templating"]["list"]:
        asked = re.fullmatch(r"label_values\((.*), (\w+)\)", filled(variable["definition"], CHOSEN))
        assert asked is not None
        values = watched.prometheus.label_values(asked.group(2), asked.group(1))
        if variable["multi"]:
            expr = filled(expr, {variable["name"]: f"({'|'.join(map(_escaped, values))})"})
        else:
            assert CHOSEN[variable["name"]] in values
    return filled(expr, CHOSEN | {"__rate_interval": "15s"})


def filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = re.sub(rf"\$(?:{name}\b|\{{{name}\}})", lambda _, value=value: value, text)
    return text


def _escaped(value: str) -> str:
    """As Grafana does it, for a regular expression within a string of PromQL."""
    return re.escape(value).replace("\\", "\\\\")


def finite(watched: Watched, expr: str) -> int:
    """The series of a query that have a number; NaN is none."""
    return sum(math.isfinite(float(one["value"][1])) for one in watched.prometheus.query(expr))


def fires(watched: Watched, began: float, names: Iterable[str], seconds: float = 40.0) -> None:
    follow(watched, began, names, "fired", lambda firing, name: name in firing, seconds)


def clears(watched: Watched, began: float, names: Iterable[str], seconds: float = 60.0) -> None:
    follow(watched, began, names, "was silent", lambda firing, name: name not in firing, seconds)


def follow(
    watched: Watched, began: float, names: Iterable[str], what: str, holds: Callable[[set[str], str], bool], seconds: float
) -> None:
    """Wait until each alert does what it should, and print after how long it did."""
    waiting = set(names)

    def look() -> bool:
        firing = watched.firing()
        for name in sorted(waiting):
            if holds(firing, name):
                print(f"{name:32} {what} after {time.monotonic() - began:5.1f} s")
                waiting.discard(name)
        return not waiting

    try:
        await_true(look, f"alerts: {what}", seconds)
    finally:
        assert not waiting, f"{waiting}; {watched.prometheus.alerts()}"


@pytest.mark.long
def test_alerts_of_what_flows(watched: Watched) -> None:
    """Agreements end, events flood quarantine, agencies fall silent, an application stands still, a transaction hangs."""
    began = time.monotonic()
    watched.traffic.take(go_on=False)
    hanging = watched.bus.hang()
    watched.add_to_outbox(sound=False)
    watched.settle_agencies(answering=False)
    watched.bus.garbage(200)
    both = {
        *("HutongAgreementEndsThisWeek", "HutongAgreementEndsThisMonth", "HutongQuarantineFlood", "HutongQuarantineNotEmpty"),
        *("HutongHangingTransaction", "HutongOutboxWaits", "HutongPublisherSilent", "HutongCasesLate", "HutongRecipientStuck"),
    }
    print()
    fires(watched, began, both)
    lost = time.monotonic()
    watched.bus.delete(f"sub.{LAND}.{CHANNEL}")
    fires(watched, lost, {"HutongLostToRetention"})

    began = time.monotonic()
    hanging.abort_transaction(30)
    watched.traffic.take(go_on=True)
    watched.settle_agencies(answering=True)
    watched.empty_outbox()
    watched.settle()
    watched.bus.ends = {LAND: None, TAX: None}
    watched.bus.apply()
    clears(watched, began, both | {"HutongLostToRetention"})


@pytest.mark.long
def test_alerts_of_a_router_that_is_stopped(watched: Watched) -> None:
    """Nothing is delivered, so freshness breaks its promise; when the router is back, it is kept again."""
    both = {"HutongRouterAway", "HutongServiceAway", "HutongFreshnessBudgetBurnsFast", "HutongFreshnessBudgetBurns"}
    print()
    clears(watched, time.monotonic(), both)
    began = time.monotonic()
    watched.router.stop()
    fires(watched, began, both)
    began = time.monotonic()
    watched.router.start()
    clears(watched, began, both)


@pytest.mark.long
def test_alerts_of_frozen_and_stopped_services(watched: Watched) -> None:
    """A router that is frozen does not answer; a monitor that has ended does not look."""
    both = {"HutongRouterAway", "HutongServiceAway", "HutongMonitorAway"}
    print()
    began = time.monotonic()
    watched.router.signal(signal.SIGSTOP)
    watched.monitor.stop()
    fires(watched, began, both)
    began = time.monotonic()
    watched.router.signal(signal.SIGCONT)
    watched.monitor.start()
    clears(watched, began, both)


@pytest.mark.long
def test_alerts_of_the_cluster(watched: Watched) -> None:
    """A broker that is frozen answers nobody and stops the services' steps; the registry is killed meanwhile.

    One broker has no copies that could be missing: ``HutongUnderReplicated`` is promtool's.
    """
    both = {"HutongBrokerAway", "HutongRegistryAway", "HutongServiceStuck"}
    print()
    running = {process.name: process.pid for process in processes(watched.home.run)}
    began = time.monotonic()
    os.kill(running["registry"], signal.SIGKILL)
    os.kill(running["kafka-1"], signal.SIGSTOP)
    try:
        fires(watched, began, both)
    finally:
        os.kill(running["kafka-1"], signal.SIGCONT)
    began = time.monotonic()
    up(watched.home, attached=True)
    clears(watched, began, both)
    assert watched.traffic.failures == []
