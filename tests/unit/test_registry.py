"""The registry's client against a small HTTP server: look-ups, caching, and an error for everything that can go wrong."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hutong.errors import ConfigurationError, NotAuthorised, RegistryUnavailable
from hutong.kafka.registry import Registry
from hutong.kafka.registry_admin import RegistryAdmin

SCHEMA = {"type": "record", "name": "R", "fields": []}


class Server(ThreadingHTTPServer):
    answers: dict[str, tuple[int, Any]]
    asked: list[tuple[str, str, Any, str | None]]
    date: str | None
    troubles: int


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.asked.append((self.command, self.path, body, self.headers.get("Authorization")))
        status, answer = self.server.answers.get(f"{self.command} {self.path}", (404, {"error_code": 40401, "message": "none"}))
        if self.server.troubles:
            self.server.troubles -= 1
            status, answer = 503, {"message": "busy"}
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response_only(status)
        if self.server.date:
            self.send_header("Date", self.server.date)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.answers, server.asked, server.date, server.troubles = {}, [], None, 0
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def registry(server: Server) -> Registry:
    return Registry(f"http://127.0.0.1:{server.server_port}/api/", seconds=2, username="me", password="secret")


def entry(version: int, schema_id: int) -> tuple[int, Any]:
    return 200, {"subject": "s", "version": version, "id": schema_id, "schema": json.dumps(SCHEMA)}


def test_look_ups_are_asked_once_where_the_answer_cannot_change(server: Server, registry: Registry) -> None:
    """Ids and versions are remembered, the newest version is not."""
    server.answers = {
        "GET /api/subjects/pub.a-value/versions/latest": entry(2, 9),
        "GET /api/subjects/pub.a-value/versions": (200, [2, 1]),
        "GET /api/subjects/pub.a-value/versions/1": entry(1, 8),
        "GET /api/schemas/ids/8": (200, {"schema": json.dumps(SCHEMA)}),
    }
    for _ in range(2):
        latest = registry.latest("pub.a-value")
        assert latest is not None
        assert (latest.id, latest.version, latest.schema) == (9, 2, SCHEMA)
        assert registry.versions("pub.a-value") == [1, 2]
        assert registry.version("pub.a-value", 1).id == 8
        assert registry.version("pub.a-value", 2).id == 9
        assert registry.by_id(8) == SCHEMA
    assert len(server.asked) == 6
    assert server.asked[0][3] == "Basic " + base64.b64encode(b"me:secret").decode()


def test_what_is_not_there_is_none(registry: Registry) -> None:
    """404 is an answer, not an outage."""
    assert registry.latest("x") is None
    assert registry.versions("x") == []
    assert registry.by_id(7) is None
    assert registry.is_compatible("x", SCHEMA)


def test_registering_and_compatibility(server: Server, registry: Registry) -> None:
    """The subject is quoted in the path, the schema is sent as text."""
    server.answers = {
        "POST /api/subjects/a%2Fb/versions": (200, {"id": 3}),
        "POST /api/compatibility/subjects/s/versions/latest": (200, {"is_compatible": False}),
        "PUT /api/config/s": (200, {}),
        "GET /api/subjects": (200, ["z", "a"]),
    }
    assert registry.register("a/b", SCHEMA) == 3
    assert server.asked[0][2] == {"schema": json.dumps(SCHEMA), "schemaType": "AVRO"}
    assert not registry.is_compatible("s", SCHEMA)
    registry.set_compatibility("s", "FULL_TRANSITIVE")
    assert server.asked[2][2] == {"compatibility": "FULL_TRANSITIVE"}
    assert registry.subjects() == ["a", "z"]


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, NotAuthorised, "HUTONG_REGISTRY_USERNAME"),
        (409, ConfigurationError, "too different"),
        (422, ConfigurationError, "too different"),
        (500, RegistryUnavailable, "answers 500"),
    ],
)
def test_refusals_are_errors_that_say_what_to_do(
    server: Server, registry: Registry, status: int, error: type[Exception], words: str
) -> None:
    """Each status has its own error."""
    server.answers = {"POST /api/subjects/s/versions": (status, {"message": "too different"})}
    with pytest.raises(error, match=words):
        registry.register("s", SCHEMA)


def test_no_server_and_nonsense_are_outages(server: Server, registry: Registry) -> None:
    """Retriable, with the address in the message."""
    server.answers = {"GET /api/subjects": (200, b"<html>")}
    with pytest.raises(RegistryUnavailable):
        registry.subjects()
    with pytest.raises(RegistryUnavailable, match=r"127\.0\.0\.1:1 does not answer") as caught:
        Registry("http://127.0.0.1:1", seconds=1).subjects()
    assert caught.value.retriable


def test_the_clock_is_compared_with_the_registrys(server: Server, registry: Registry) -> None:
    """Also a 404 has a date; nonsense is no date."""
    assert registry.clock_offset() is None
    server.date = "Thu, 01 Jan 2026 00:00:00 GMT"
    registry.versions("x")
    offset = registry.clock_offset()
    assert offset is not None
    assert offset > 300
    server.date = "yesterday"
    registry.versions("x")
    assert registry.clock_offset() is None


def test_the_administrator_tries_again_and_not_for_ever(server: Server) -> None:
    """A moment's trouble does not end an ``apply`` half-way; a lasting one is said, with the registry's words."""
    registry = RegistryAdmin(f"http://127.0.0.1:{server.server_port}/api/", seconds=2)
    server.answers = {"POST /api/subjects/s/versions": (500, {"message": "lock"})}
    with pytest.raises(RegistryUnavailable, match=r"answers 500 to POST .* \(lock\)"):
        registry.register("s", SCHEMA)
    assert len(server.asked) == 3
    server.troubles = 2
    server.answers = {"POST /api/subjects/s/versions": (200, {"id": 3})}
    assert registry.register("s", SCHEMA) == 3
    assert len(server.asked) == 6
