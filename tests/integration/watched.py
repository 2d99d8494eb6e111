"""A bus with everything on it that Prometheus watches: services on ports of their own, traffic, and Prometheus in a hurry.

The rules are those of ``deploy/prometheus/rules``, with their times cut short by ``hurried``: what takes minutes there takes
seconds here. The slow windows are tested at their true length by promtool (``tests/unit/test_alerts.py``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import yaml
from prometheus_client import start_http_server

from hutong import outbox
from hutong.contracts.schema import EventSchema
from hutong.embedded import postgres, up
from hutong.home import Home
from tests.integration.coordinators import Agencies
from tests.integration.loan_flow import OFFICE, REQUESTED
from tests.integration.processes import await_true, hutong
from tests.integration.traffic import Traffic, WatchedBus
from tests.prometheus import ROOT, Prometheus, free_port, hurried

__all__ = ["Service", "Watched"]


class Service:
    """A process with a metrics page on a port that stays the same."""

    def __init__(self, home: Home, module: str, *flags: str, **variables: str) -> None:
        self.port, self.module = free_port(), module
        self._command = [sys.executable, "-m", module, "--instance", "watched", "--port", str(self.port), *flags]
        self._environment = {**os.environ, "HUTONG_HOME": str(home.root), **variables}
        self._log = home.log / f"{module}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def target(self) -> dict[str, Any]:
        """As Prometheus is told of it."""
        kind = {"connectors": "connector"}.get(self.module.partition(".")[0], self.module.rpartition(".")[2])
        return {"targets": [f"127.0.0.1:{self.port}"], "labels": {"service": kind}}

    def start(self) -> Service:
        """Start it, again perhaps."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stderr=log)
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        """End it, however it is."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self._log.read_text().splitlines()[-8:]) if self._log.exists() else ""


class Watched:
    """The bus, its services, and Prometheus.

    Args:
        home: an empty home.
        folder: for declarations and for Prometheus.
    """

    def __init__(self, home: Home, folder: Path) -> None:
        self.home, self._folder, self._ending = home, folder, ExitStack()
        self.services: list[Service] = []

    def start(self) -> Watched:
        """Start everything; ``close`` ends what was started, also where this fails."""
        with ThreadPoolExecutor(1) as aside:
            database = aside.submit(lambda: postgres.start(self.home, databases=["office"]))
            up(self.home, attached=True)
            self.dsn = database.result().dsn("office")
        self.bus = WatchedBus(self.home, self._folder / "schemas")
        with psycopg.connect(self.dsn) as connection:
            outbox.create_table(connection)
        self.monitor = self._started("services.monitor")
        self.router = self._started("services.router")
        self.coordinator = self._started("services.coordinator")
        self.relay = self._started("connectors.sources.outbox", "--department", OFFICE, HUTONG_OUTBOX_DATABASE=self.dsn)
        pages, _ = start_http_server(application := free_port(), "127.0.0.1")
        self._ending.callback(pages.server_close)
        self._ending.callback(pages.shutdown)
        own = {"targets": [f"127.0.0.1:{application}"], "labels": {"service": "application"}}
        self._configure([*(one.target for one in self.services), own])
        self.prometheus = Prometheus(self._folder)
        self._ending.callback(self.prometheus.stop)
        self.traffic, self.agencies = Traffic(self.bus).start(), Agencies(self.bus)
        self._ending.callback(self.traffic.stop)
        self._ending.callback(lambda: self.agencies.__exit__())
        self.agencies.__enter__()
        return self

    def _started(self, module: str, *flags: str, **variables: str) -> Service:
        service = Service(self.home, module, *flags, **variables)
        self.services.append(service)
        self._ending.callback(service.stop)
        return service.start()

    def _configure(self, targets: list[Mapping[str, Any]]) -> None:
        config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        [job] = config["scrape_configs"]
        job["scrape_timeout"] = "900ms"
        for name in ("rules", "targets"):
            (self._folder / name).mkdir()
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        (self._folder / "targets" / "test.yml").write_text(yaml.safe_dump(targets))
        for path in (ROOT / "deploy/prometheus/rules").glob("*.yml"):
            (self._folder / "rules" / path.name).write_text(hurried(path.read_text()))

    def await_ready(self) -> Watched:
        """Wait until everything works and is seen to."""
        self.prometheus.await_ready()
        await_true(lambda: len(up := self.prometheus.up()) == 5 and all(up.values()), "all pages are read", 60)
        ready = "count(hutong_process_ready == 1) or vector(0)"
        await_true(lambda: self.prometheus.query(ready)[0]["value"][1] == "4", "all services are ready", 60)
        return self

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {one["labels"]["alertname"] for one in self.prometheus.alerts() if one["state"] == "firing"}

    def settle_agencies(self, *, answering: bool) -> None:
        """Let the agencies answer, or fall silent."""
        if answering:
            self.agencies = Agencies(self.bus)
            self.agencies.__enter__()
        else:
            self.agencies.__exit__()

    def settle(self) -> None:
        """Note that nothing is left to do about what lies in quarantine."""
        hutong(self.home, "quarantine", "settle", "--contract", REQUESTED, "--why", "made up for a test", "--yes")

    def add_to_outbox(self, *, sound: bool) -> None:
        """Put an event into the department's table; one of a version that there is not stays there."""
        registered = self.bus.registry.latest(f"pub.{REQUESTED}-value")
        assert registered is not None
        with psycopg.connect(self.dsn) as connection:
            outbox.add_many(
                connection, [{"loan": f"o-{time.time_ns()}", "person": "P", "income": 5}], EventSchema(registered.schema)
            )
            if not sound:
                connection.execute("UPDATE hutong_outbox SET version = 99")

    def empty_outbox(self) -> None:
        """Delete what waits there."""
        with psycopg.connect(self.dsn) as connection:
            connection.execute("DELETE FROM hutong_outbox")

    def close(self) -> None:
        """End everything but the bus, last things first."""
        self._ending.close()
