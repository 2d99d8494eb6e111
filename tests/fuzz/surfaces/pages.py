"""A service's health server over real connections: every request gets an answer or an end, and liveness is told at any time."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from hutong.runtime.health import Health, HealthServer
from hutong.runtime.settings import ServiceSettings
from tests.fuzz.attack import Found, Surface
from tests.fuzz.hostile import TEXTS, spoilt_bytes

__all__ = ["SURFACE", "live", "served"]

_PATHS = [
    "/health/live",
    "/health/ready",
    "/metrics",
    "/metrics?name[]=x",
    "/",
    "//x",
    "/../../etc/passwd",
    "/%2e%2e/",
    "/health/live/..",
    "*",
]
_METHODS = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "BREW",
    "get",
    "",
    "GET GET",
    "\x16\x03\x01\x02",
]
_VERSIONS = ["HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/9999999999.1", "HTTP/1.1.1", "HTTQ/1.1", ""]
_HEADERS = [
    *(
        "Host: x",
        "Connection: keep-alive",
        "Content-Length: 99999999999",
        "Content-Length: -1",
        "Transfer-Encoding: chunked",
        ": x",
        "x",
    ),
    *(
        "Expect: 100-continue",
        "Accept: application/openmetrics-text; version=1.0.0",
        "Accept: " + "a/b;q=0.1," * 500,
        " folded: x",
        "\0: \0",
    ),
    *(
        "Accept-Encoding: gzip",
        "Accept-Encoding: " + "x," * 2_000,
        "Range: bytes=0-,0-,0-",
        "Upgrade: h2c",
        "Host: " + "h" * 9_000,
    ),
]
_MOST_THREADS = 140  # twice 64 connections, the pages' own thread and this process's
_LIVE_EVERY = 50


class _Own(ServiceSettings):
    service: ClassVar[str] = "fuzzed"


def live(port: int, seconds: float = 5.0) -> float:
    """Ask for liveness as an orchestrator does; the seconds that the answer took.

    Raises:
        Found: there is none, or it is not well.
    """
    began = time.monotonic()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=seconds) as answer:
            if answer.status != 200:
                raise Found(f"liveness says {answer.status}")
    except OSError as error:
        raise Found(f"liveness does not answer: {error}") from None
    return time.monotonic() - began


class _Attack:
    def __init__(self, port: int) -> None:
        self._port, self._count = port, 0
        self._held: list[socket.socket] = []

    def draw(self, rng: random.Random) -> tuple[str, bytes]:
        end = rng.choice(("\r\n", "\r\n", "\r\n", "\n"))
        line = f"{rng.choice(_METHODS)} {rng.choice(_PATHS)} {rng.choice(_VERSIONS)}"
        heads = [rng.choice(_HEADERS) for _ in range(rng.choice((0, 0, 1, 3, 20, 101, 500)))]
        content = end.join([line, *heads, "", ""]).encode("utf-8", "surrogatepass")
        match rng.randrange(10):
            case 0:
                content = spoilt_bytes(content, rng)
            case 1:
                content = rng.choice(TEXTS).encode("utf-8", "surrogatepass") + rng.randbytes(rng.choice((0, 100, 50_000)))
            case 2:
                content = f"GET /{'a' * rng.choice((10_000, 70_000))} HTTP/1.1\r\n\r\n".encode()
            case 3:
                content *= rng.choice((2, 50))  # one after another, without waiting
        how = rng.choice(("whole", "whole", "whole", "half-closed", "cut", "bytes", "held", "reset"))
        return how, content

    def strike(self, value: tuple[str, bytes]) -> str:
        how, content = value
        self._count += 1
        if self._count % _LIVE_EVERY == 0:
            live(self._port)
            if threading.active_count() > _MOST_THREADS:
                raise Found(f"{threading.active_count()} threads")
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=20.0)
        if how == "held":  # a part of a request, and silence
            with suppress(OSError):  # half of it was too much
                connection.sendall(content[: len(content) // 2].rstrip(b"\r\n"))
            self._held.append(connection)
            if len(self._held) > 100:
                self._held.pop(0).close()
            return "held open"
        with connection:
            return self._exchange(connection, how, content)

    def _exchange(self, connection: socket.socket, how: str, content: bytes) -> str:
        with suppress(OSError):  # it has answered already, and closed
            if how == "bytes":
                for at in range(min(40, len(content))):
                    connection.sendall(content[at : at + 1])
                connection.sendall(content[40:])
            else:
                connection.sendall(content[: len(content) // 2] if how == "cut" else content)
            if how == "reset":
                return "reset"
            if how in ("cut", "half-closed"):
                connection.shutdown(socket.SHUT_WR)
        return self._answer(connection, ended=how in ("cut", "half-closed") or b"\n\r\n" in content or b"\n\n" in content)

    def _answer(self, connection: socket.socket, *, ended: bool) -> str:
        got = b""
        with suppress(OSError):  # the other side has closed, and may have thrown away what it has not read
            if not ended:
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65_536):
                got += piece
        if got.startswith(b"HTTP/1.0 "):
            return got[9:12].decode()
        return "no head" if got else "closed"

    def close(self) -> None:
        for one in self._held:
            one.close()


@contextmanager
def served(directory: Path) -> Iterator[HealthServer]:
    """A health server whose home is the directory."""
    before = os.environ.get("HUTONG_HOME")
    os.environ["HUTONG_HOME"] = str(directory)
    try:
        server = HealthServer(Health(), _Own(instance="a"))
    finally:
        if before is None:
            del os.environ["HUTONG_HOME"]
        else:
            os.environ["HUTONG_HOME"] = before
    try:
        yield server
    finally:
        server.close()


@contextmanager
def _open(seed: int, directory: Path) -> Iterator[_Attack]:
    with served(directory) as server:
        attack = _Attack(server.port)
        try:
            yield attack
        finally:
            attack.close()


SURFACE = Surface(
    name="health pages",
    says="requests of every kind, whole, cut, byte by byte and never ended, to the pages that all services have",
    share=6_000,
    open=_open,
    clock=time.process_time,
)
