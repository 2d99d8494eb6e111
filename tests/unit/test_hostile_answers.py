"""A registry that is not what it should be: its client waits no longer and reads no more than it must, and keeps its password."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from hutong.errors import HutongError, RegistryUnavailable
from hutong.kafka import registry as registry_module
from hutong.kafka.registry import Registry
from tests.fuzz.surfaces.registry import Answers, answering
from tests.samples import PERSON_REGISTERED


@pytest.fixture
def server() -> Iterator[Answers]:
    with answering() as server:
        yield server


def client(server: Answers, seconds: float = 5.0) -> Registry:
    return Registry(server.url, seconds=seconds, username="me", password="geheim")


def answer(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def test_a_redirect_is_not_followed(server: Answers) -> None:
    """Another host would get the password."""
    with answering() as other:
        other.answer = answer(json.dumps({"schema": json.dumps(PERSON_REGISTERED)}).encode())
        for status in ("301 Moved", "302 Found", "307 Temporary", "308 Permanent"):
            server.answer = answer(b"", status, f"Location: {other.url}/schemas/ids/7\r\n")
            with pytest.raises(RegistryUnavailable, match=rf"answers {status[:3]}"):
                client(server).by_id(7)
        assert other.asked == []


def test_an_answer_without_end_is_not_read_to_it(server: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the length that it names."""
    monkeypatch.setattr(registry_module, "_MOST_BYTES", 10_000)
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b" " * 50_000
    with pytest.raises(RegistryUnavailable, match="more than 10,000 bytes"):
        client(server).subjects()


@contextmanager
def dripping(head: bytes, drop: bytes) -> Iterator[str]:
    """A server that sends a head, and then a drop now and then, for ever."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.sendall(head)
                while not stop.wait(0.05):
                    connection.sendall(drop)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            stop.set()
            thread.join(10)


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"", b"H"),
    ],
)
def test_an_answer_that_comes_byte_by_byte_ends_in_time(head: bytes, drop: bytes) -> None:
    """The time-out is for all of it: the router waits for the registry, and must not wait for ever."""
    with dripping(head, drop) as url:
        began = time.monotonic()
        with pytest.raises(RegistryUnavailable):
            Registry(url, seconds=0.6).by_id(7)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"a":' * 100_000, b"nonsense", b"[]", b"{}", b'"x"', b"7", b'{"schema": 7}', b"\xff"]
)
def test_what_is_no_answer_is_said_to_be_none(server: Answers, body: bytes) -> None:
    """For every question, and never with the password."""
    server.answer = answer(body)
    asking = client(server)
    for question in (
        lambda: asking.by_id(7),
        lambda: asking.latest("s"),
        lambda: asking.versions("s"),
        lambda: asking.version("s", 3),
        lambda: asking.subjects(),
        lambda: asking.register("s", PERSON_REGISTERED),
        lambda: asking.is_compatible("s", PERSON_REGISTERED),
    ):
        with suppress(HutongError):
            question()  # any other error fails the test


def test_a_schema_that_is_no_json_makes_nobody_wait(server: Answers) -> None:
    """Whoever may register can register another kind of schema; its events go to quarantine, the router goes on."""
    for text in ('syntax = "proto3";', "[" * 100_000, ""):
        server.answer = answer(json.dumps({"schema": text}).encode())
        assert client(server).by_id(7) is None


def test_a_schema_beyond_all_measure_makes_nobody_wait(server: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is none of a contract's."""
    monkeypatch.setattr(registry_module, "_MOST_BYTES", 10_000)
    server.answer = answer(json.dumps({"schema": "x" * 20_000}).encode())
    assert client(server).by_id(7) is None


def test_a_registrys_own_words_are_few_and_harmless(server: Answers) -> None:
    """They end up on a terminal."""
    server.answer = answer(json.dumps({"message": "\x1b[2J\n" + "x" * 100_000}).encode(), "422 Unprocessable")
    with pytest.raises(HutongError) as caught:
        client(server).register("s", PERSON_REGISTERED)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600
