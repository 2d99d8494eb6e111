"""The pages of a service while somebody keeps its port busy: liveness answers, threads and memory are bounded."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from hutong.runtime import bounded_server
from tests.fuzz.memory import resident_bytes
from tests.fuzz.surfaces.pages import live, served
from tests.integration.processes import await_true


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with served(tmp_path) as server:
        yield server.port


def ask(port: int, request: bytes, *, half_closed: bool = False) -> bytes:
    """The whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
            if half_closed:
                connection.shutdown(socket.SHUT_WR)
        got = b""
        with suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                got += piece
        return got


def threads_of_pages() -> int:
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /health/live?x=1 HTTP/1.0\r\n\r\n", 200),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", 200),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"DELETE /health/live HTTP/1.1\r\n\r\n", 405),
        (b"BREW / HTTP/1.1\r\n\r\n", 501),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"GET /health/live HTTP/2.0\r\n\r\n", 505),
        (b"GET\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"x%d: %s\r\n" % (n, b"y" * 900) for n in range(90)) + b"\r\n", 431),
    ],
)
def test_every_request_has_its_answer(port: int, request_: bytes, status: int) -> None:
    """The status says what is wrong; nothing that was sent is in the answer."""
    answer = ask(port, request_)
    assert answer.startswith(f"HTTP/1.0 {status} ".encode()), answer[:200]
    assert b"passwd" not in answer
    assert b"yyy" not in answer
    if request_.startswith(b"HEAD"):
        assert answer.endswith(b"\r\n\r\n")
    if status == 405:
        assert b"Allow: GET, HEAD" in answer


def test_a_second_request_on_a_connection_is_not_read(port: int) -> None:
    """One answer, then the end, however many requests were sent."""
    assert ask(port, b"GET /health/live HTTP/1.1\r\nConnection: keep-alive\r\n\r\n" * 50).count(b"HTTP/1.0 ") == 1


def test_a_half_closed_connection_gets_its_answer(port: int) -> None:
    """Who has said all may say so."""
    assert ask(port, b"GET /health/live HTTP/1.1\r\n\r\n", half_closed=True).startswith(b"HTTP/1.0 200 ")
    assert ask(port, b"GET /health/li", half_closed=True) in (b"", ask(port, b"GET /health/li\r\n\r\n"))


def test_connections_that_are_held_open_keep_nobody_out(port: int) -> None:
    """Five hundred of them, each with half a request: liveness answers at once, and there is a thread for few of them."""
    before = threads_of_pages()
    with ExitStack() as held:
        for number in range(500):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall(b"GET /health/live HT" if number % 2 else b"")
            if number % 100 == 0:
                assert live(port) < 2
        assert live(port) < 2
        await_true(lambda: threads_of_pages() - before <= 65, "the oldest have been ended")


def test_a_byte_now_and_then_ends_with_the_time_of_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time-out is for the whole request, not for each byte of it."""
    monkeypatch.setattr(bounded_server, "_SECONDS", 0.6)
    with served(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        began = time.monotonic()
        connection.sendall(b"GET /health/live HTTP/1.1\r\n")
        ended = False
        while not ended and time.monotonic() - began < 10:
            with suppress(TimeoutError):
                connection.settimeout(0.05)
                try:
                    connection.sendall(b"x: y\r\n")
                    ended = connection.recv(1) == b""
                except (BrokenPipeError, ConnectionResetError):
                    ended = True
        assert ended
        assert time.monotonic() - began < 5
        assert live(server.port) < 2


def test_who_does_not_read_the_answer_is_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large page in a small window waits no longer than a request may take."""
    monkeypatch.setattr(bounded_server, "_SECONDS", 0.6)
    with served(tmp_path) as server, socket.socket() as connection:
        before = threads_of_pages()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert live(server.port) < 2
        await_true(lambda: threads_of_pages() <= before, "its thread has ended", 10)


def test_endless_headers_cost_no_memory(port: int) -> None:
    """A hundred connections that send a megabyte each: what is read of them is bounded."""
    ask(port, b"GET / HTTP/1.1\r\n\r\n")
    before = resident_bytes()
    with ExitStack() as held:
        for _ in range(100):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(b"GET / HTTP/1.1\r\nx: " + b"y" * 1_000_000)
        assert live(port) < 2
    assert resident_bytes() - before < 40 * 2**20
