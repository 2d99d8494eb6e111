"""Is this process alive, is it ready, what does it count: three pages over HTTP.

``/health/live`` follows the run loop, so that a stuck service is seen; ``/health/ready`` says whether it does its work now;
``/metrics`` is what Prometheus reads, as OpenMetrics where it asks for that. Neighbours: ``loop`` beats, services set ready,
``bounded_server`` answers whatever is sent, ``addresses`` writes down where the pages are.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from hutong.errors import ConfigurationError
from hutong.home import Home
from hutong.runtime.addresses import announce
from hutong.runtime.bounded_server import BoundedHandler, BoundedServer
from hutong.runtime.exposition import page
from hutong.runtime.settings import ServiceSettings
from hutong.runtime.stop import Stop

__all__ = ["Health", "HealthServer", "ProcessCollector"]


class Health:
    """What a process knows of its own state; safe to use from several threads.

    Args:
        stuck_after: seconds without a step after which the process does not count as alive.
    """

    def __init__(self, *, stuck_after: float = 60.0) -> None:
        self._stuck_after = stuck_after
        self._last_beat = time.monotonic()
        self._waiting_for: dict[str, str] = {}
        self._failure: str | None = None
        self._stop: Stop | None = None

    def ends_with(self, stop: Stop) -> None:
        """Not ready any more once the process is to stop: nobody should count on it while it brings its work to an end."""
        self._stop = stop

    def beat(self) -> None:
        """The loop is about to take a step."""
        self._last_beat = time.monotonic()

    def failing(self, problem: str) -> None:
        """The last step failed and will be tried again."""
        self._failure = problem

    def working(self) -> None:
        """The last step went well."""
        self._failure = None

    def wait_for(self, part: str, problem: str) -> None:
        """Not ready while this part is missing; ``problem`` says what it waits for."""
        self._waiting_for[part] = problem

    def have(self, part: str) -> None:
        """The part is there."""
        self._waiting_for.pop(part, None)

    def age(self) -> float:
        """Seconds since the last step began."""
        return time.monotonic() - self._last_beat

    def live(self) -> tuple[bool, dict[str, Any]]:
        """Whether the loop moves, with the seconds since its last step."""
        age = self.age()
        return age < self._stuck_after, {"seconds_since_step": round(age, 1)}

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether it does its work, with what it lacks."""
        lacking = dict(self._waiting_for)
        if self._failure:
            lacking["last step"] = self._failure
        if self._stop is not None and self._stop.is_set():
            lacking["stop"] = "it is stopping"
        return not lacking and self.live()[0], {"waiting_for": lacking}


class ProcessCollector(Collector):
    """What every service's page says of its process.

    Args:
        health: of the process.
        own: names the service and the instance.
    """

    def __init__(self, health: Health, own: ServiceSettings) -> None:
        self._health = health
        self._info = {"service": own.service, "instance": own.instance, "version": version("hutong")}

    def collect(self) -> Iterator[Metric]:
        """The process as it is now."""
        yield InfoMetricFamily("hutong_process", "Which service this is, and of which version.", value=self._info)
        age = self._health.age()
        yield GaugeMetricFamily("hutong_process_poll_age_seconds", "Time since the run loop began its last step.", value=age)
        ready = float(self._health.ready()[0])
        yield GaugeMetricFamily("hutong_process_ready", "1 while it does its work, as /health/ready says; else 0.", value=ready)

    def describe(self) -> list[Metric]:
        """Nothing: the names are this class's alone."""
        return []


class HealthServer:
    """Serves the three pages on a port, from a thread of its own.

    Args:
        health: what to tell.
        own: the service's settings: its name, its address, and its port, 0 for a free one; see ``port`` afterwards.

    Raises:
        ConfigurationError: the port is taken.
    """

    def __init__(self, health: Health, own: ServiceSettings) -> None:
        handler = type("Handler", (_Handler,), {"health": health})
        try:
            self._server = BoundedServer((own.host, own.port), handler)
        except OSError as error:
            place = f"{own.host}:{own.port} ({error.strerror})"
            raise ConfigurationError(f"cannot listen on {place}; choose another with --port") from None
        self.port = int(self._server.server_address[1])
        self._collector = ProcessCollector(health, own)
        REGISTRY.register(self._collector)
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()
        self._announced = announce(Home.find(), service=own.service, instance=own.instance, host=own.host, port=self.port)

    def close(self) -> None:
        """Stop serving."""
        self._announced.close()
        REGISTRY.unregister(self._collector)
        self._server.shutdown()
        self._server.server_close()


class _Handler(BoundedHandler):
    health: Health

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        path, _, query = self.path.partition("?")
        if path == "/health/live":
            self._facts(*self.health.live())
        elif path == "/health/ready":
            self._facts(*self.health.ready())
        elif path == "/metrics":
            self._metrics(query)
        else:
            self.refuse(HTTPStatus.NOT_FOUND, "there are /health/live, /health/ready and /metrics")

    do_HEAD = do_GET  # noqa: N815

    def _metrics(self, query: str) -> None:
        if not _PAGES.acquire(blocking=False):
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "others are waiting for this page; ask again")
            return
        try:
            made = page(REGISTRY, query, self.headers.get("Accept", ""), self.headers.get("Accept-Encoding", ""))
        finally:
            _PAGES.release()
        self.answer(HTTPStatus.OK, *made)

    def _facts(self, well: bool, facts: dict[str, Any]) -> None:
        status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
        self.answer(status, {"Content-Type": "application/json"}, json.dumps({"ok": well, **facts}).encode())


_PAGES = threading.BoundedSemaphore(4)  # at once; each costs the interpreter as much as some thousand events
