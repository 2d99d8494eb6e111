"""What watches a router in production, as threads of the bench: a scraper of its metrics page, and a collector of its spans.

Neighbour: ``hutong`` starts routers with them, to measure what being watched costs.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["Scraper", "Sink"]

_START_SECONDS = 30.0


class Scraper:
    """Reads the metrics page of a router, as Prometheus does, but more often.

    Args:
        log: of the router; it tells the port.
        every: seconds.

    Attributes:
        pages: how many were read.
    """

    def __init__(self, log: Path, *, every: float) -> None:
        self._log, self._every = log, every
        self._stop = threading.Event()
        self.pages = 0
        self._thread = threading.Thread(target=self._run, name="scraper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Scrape no more."""
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        url = f"http://127.0.0.1:{self._port()}/metrics"
        while not self._stop.wait(self._every):
            try:
                with urllib.request.urlopen(url, timeout=10) as answer:
                    answer.read()
            except OSError:
                return  # it has ended
            self.pages += 1

    def _port(self) -> int:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            for line in self._log.read_text(errors="replace").splitlines(keepends=True):
                if line.startswith("{") and line.endswith("\n") and (port := json.loads(line).get("health_port")):
                    return int(port)
            time.sleep(0.05)
        raise SystemExit(f"the router did not start; see {self._log}")


class Sink:
    """Takes spans over OTLP/HTTP and throws them away, as quickly as can be.

    Attributes:
        endpoint: where to send them.
        requests: how many came.
    """

    def __init__(self) -> None:
        sink = self
        self.requests = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                sink.requests += 1
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, name="sink", daemon=True).start()

    def stop(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()
