"""The HTTP server behind a service's pages: whatever is sent to it, its threads, memory and time are bounded, and it answers.

Somebody who holds connections open, sends a byte now and then or does not read the answer must not keep the orchestrator's
question out, nor cost the service its memory: what is too much makes room for what comes. Neighbour: ``health`` has the pages.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any

__all__ = ["BoundedHandler", "BoundedServer"]

_MOST = 64  # connections; a service has a probe and a few scrapers
_SECONDS = 10.0  # for a request and its answer together
_REQUEST_BYTES = 16_384  # what proxies in front of such pages take


class BoundedServer(ThreadingHTTPServer):
    """A thread for each connection, while there are few. One that comes when there are many takes the place of the oldest."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BoundedHandler]) -> None:
        self._began: dict[Any, float] = {}  # connections that may go on, the oldest first
        self._threads_now = 0
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, and make room first."""
        with self._lock:
            self._threads_now += 1
            self._began[request] = time.monotonic()
            while len(self._began) > _MOST:
                self._end(next(iter(self._began)))
            too_many = self._threads_now > 2 * _MOST  # those that were told to end have not got round to it
        if too_many:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """The connection is over, however it went."""
        with self._lock:
            self._began.pop(request, None)
            self._threads_now -= 1
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called twice a second at least: end what has had its time."""
        overdue = time.monotonic() - _SECONDS
        with self._lock:
            while self._began and next(iter(self._began.values())) < overdue:
                self._end(next(iter(self._began)))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: whoever asked has hung up, and the log is for what the service does."""

    def _end(self, request: Any) -> None:
        """Wake the thread that reads or writes there; it closes the connection."""
        del self._began[request]
        try:
            request.shutdown(socket.SHUT_RDWR)
        except OSError:  # the other side was faster
            return


class BoundedHandler(BaseHTTPRequestHandler):
    """Reads a request of ``_REQUEST_BYTES`` at most. Only ``GET`` and ``HEAD`` are for pages."""

    timeout = _SECONDS
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def setup(self) -> None:
        """Bound what can be read."""
        super().setup()
        self.rfile = _Bounded(self.rfile)  # type: ignore[assignment]

    def handle_one_request(self) -> None:
        """As the library does, but the first line is bounded as all of them are together."""
        try:
            super().handle_one_request()
        except LineTooLong:
            self.requestline = self.request_version = self.command = ""
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """In the status's own words: the library's repeat what was sent."""
        self.request_version = "HTTP/1.0"  # also to a request of which the version could not be read: an answer has a head
        super().send_error(code)

    def answer(self, status: HTTPStatus, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: HTTPStatus, why: str, **headers: str) -> None:
        """Say why there is no page."""
        self.answer(status, {"Content-Type": self.error_content_type, **headers}, f"{why}\n".encode())

    def _not_allowed(self) -> None:
        self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "pages are only read here", Allow="GET, HEAD")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _not_allowed  # noqa: N815

    def log_message(self, *_: object) -> None:
        """A line for every scrape would be all that one sees."""


class _Bounded:
    """A connection's reading end that gives only so many bytes."""

    def __init__(self, file: BufferedIOBase) -> None:
        self._file, self._left = file, _REQUEST_BYTES

    def readline(self, size: int) -> bytes:
        line = self._file.readline(min(size, self._left))
        self._left -= len(line)
        if not self._left:
            raise LineTooLong("request")
        return line

    def close(self) -> None:
        self._file.close()
