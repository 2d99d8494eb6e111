"""Is this process alive, is it ready, what does it count: three pages over HTTP.

``/health/live`` follows the run loop, so that a stuck service is seen; ``/health/ready`` says whether it does its work now;
``/metrics`` is Prometheus text. Neighbours: ``loop`` beats, services set ready.
"""

from __future__ import annotations

import json
import threading
import time
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.exposition import MetricsHandler

from hutong.errors import ConfigurationError

__all__ = ["Health", "HealthServer"]


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

    def live(self) -> tuple[bool, dict[str, Any]]:
        """Whether the loop moves, with the seconds since its last step."""
        age = time.monotonic() - self._last_beat
        return age < self._stuck_after, {"seconds_since_step": round(age, 1)}

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether it does its work, with what it lacks."""
        lacking = dict(self._waiting_for)
        if self._failure:
            lacking["last step"] = self._failure
        return not lacking and self.live()[0], {"waiting_for": lacking}


class HealthServer:
    """Serves the three pages on a port, from a thread of its own.

    Args:
        health: what to tell.
        host: address to listen on.
        port: 0 for a free one; see ``port`` afterwards.

    Raises:
        ConfigurationError: the port is taken.
    """

    def __init__(self, health: Health, *, host: str = "127.0.0.1", port: int = 0) -> None:
        handler = type("Handler", (_Handler,), {"health": health, "registry": REGISTRY})
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except OSError as error:
            raise ConfigurationError(f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port") from None
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(MetricsHandler):
    health: Health

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        path = self.path.partition("?")[0]
        if path == "/health/live":
            self._answer(*self.health.live())
        elif path == "/health/ready":
            self._answer(*self.health.ready())
        elif path == "/metrics":
            super().do_GET()
        else:
            self.send_error(HTTPStatus.NOT_FOUND, "there are /health/live, /health/ready and /metrics")

    def _answer(self, well: bool, facts: dict[str, Any]) -> None:
        body = json.dumps({"ok": well, **facts}).encode()
        self.send_response(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
