"""Hutong's router, as ``hutong run router`` starts it: real processes, real agreements from the control topic."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from bench.contenders.contender import Running, Task
from bench.contenders.onlookers import Scraper, Sink

__all__ = ["Hutong", "add_router"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hutong:
    """One or more routers of one group.

    Attributes:
        name: as results name it.
        routers: how many.
        scraped: whether the metrics page is read once a second.
        traces: whether it makes spans of sampled events.
    """

    name: str = "hutong"
    routers: int = 1
    scraped: bool = False
    traces: bool = False

    @property
    def exactly_once(self) -> bool:
        """It is."""
        return True

    @property
    def copies(self) -> bool:
        """It transforms."""
        return False

    def problem(self) -> str | None:
        """It is here; OpenTelemetry may not be."""
        return "OpenTelemetry is not installed" if self.traces and find_spec("opentelemetry") is None else None

    def start(self, task: Task) -> Running:
        """Start the routers."""
        running = Running(log=task.folder / f"{task.group}.log", commits_apart=self.routers > 1)
        variables: dict[str, str] = {}
        if self.traces:
            sink = Sink()
            running.onlookers.append(sink.stop)
            variables = {"HUTONG_TRACING": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}
        for number in range(self.routers):
            add_router(running, task, f"bench-{number + 1}", variables)
        if self.scraped:
            running.onlookers.append(Scraper(running.log, every=1.0).stop)
        return running


def add_router(running: Running, task: Task, instance: str, variables: Mapping[str, str] | None = None) -> None:
    """Start one router of the task's group."""
    command = [sys.executable, "-m", "services.router", "--instance", instance, "--port", "0", "--group", task.group]
    running.add(command, os.environ | {"HUTONG_HOME": str(task.home.root)} | dict(variables or {}))
