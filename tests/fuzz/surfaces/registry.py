"""The registry's client and the look at services, answered by somebody hostile: data, or an error of Hutong's."""

from __future__ import annotations

import json
import random
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hutong.decoding import Decoder
from hutong.errors import HutongError, MalformedEvent
from hutong.kafka.registry import Registry
from hutong.overview.pages import read_pages
from hutong.overview.services import look
from hutong.runtime.addresses import ServiceAddress
from tests.fuzz.attack import Found, Surface
from tests.fuzz.hostile import anything, spoilt, spoilt_bytes
from tests.samples import PERSON_REGISTERED

__all__ = ["SURFACE", "Answers", "answering"]

_STATUSES = [200, 200, 200, 200, 201, 204, 301, 302, 307, 400, 401, 403, 404, 409, 418, 422, 429, 500, 503, 999]
_GOOD = {"subject": "s", "version": 1, "id": 7, "schema": json.dumps(PERSON_REGISTERED)}


class Answers(socketserver.ThreadingTCPServer):
    """Gives every request the answer that stands in ``answer``, whatever was asked.

    Attributes:
        answer: the bytes.
        asked: requests so far, as they came.
    """

    allow_reuse_address = daemon_threads = True
    request_queue_size = 128
    answer = b""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Answer)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None: ...


class _Answer(socketserver.StreamRequestHandler):
    server: Answers

    def handle(self) -> None:
        head = b""
        while (line := self.rfile.readline()) not in (b"\r\n", b"\n", b""):
            head += line
        self.server.asked.append(head)
        self.wfile.write(self.server.answer)


@contextmanager
def answering() -> Iterator[Answers]:
    """Such a server."""
    with Answers() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Attack:
    def __init__(self, server: Answers) -> None:
        self._server = server

    def draw(self, rng: random.Random) -> tuple[str, bytes]:
        match rng.randrange(5):
            case 0:
                document: Any = anything(rng)
            case 1:
                document = spoilt(_GOOD, rng)
            case 2:
                schema = json.dumps(spoilt(PERSON_REGISTERED, rng), default=str)
                document = {**_GOOD, "schema": schema}
            case 3:
                document = {"ok": anything(rng), "waiting_for": anything(rng), "seconds_since_step": anything(rng)}
            case _:
                document = rng.choice((_GOOD, [1, 2], ["s"], {"message": "\x1b[2J" * 500}, {"message": anything(rng)}))
        body = json.dumps(document, default=str).encode("utf-8", "surrogatepass")
        if rng.random() < 0.15:
            body = rng.choice(
                (b"", b"null", b"[" * 100_000, b'{"a":' * 50_000, b"x" * 100_000, b"9" * 6_000, b'"\xff"', rng.randbytes(50))
            )
        status = rng.choice(_STATUSES)
        length = rng.choice((len(body), len(body), len(body), 0, len(body) + 5, -1))
        more = rng.choice(
            ("", "", "Location: http://127.0.0.1:9/\r\n", "Date: nonsense\r\n", "Date: Mon, 99 Jan 99999 00:00:00 GMT\r\n")
        )
        more += rng.choice(("", "", "Transfer-Encoding: chunked\r\n", "Content-Encoding: gzip\r\n", "x: y\r\n" * 150))
        answer = f"HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n".encode() + body
        question = rng.choice(
            ("by_id", "latest", "versions", "version", "subjects", "register", "compatible", "decoder", "page", "health")
        )
        return question, spoilt_bytes(answer, rng) if rng.random() < 0.2 else answer

    def strike(self, value: tuple[str, bytes]) -> str:
        question, answer = value
        self._server.answer = answer
        self._server.asked.clear()
        registry = Registry(self._server.url, seconds=2.0, username="me", password="geheim")
        try:
            self._ask(question, registry)
        except HutongError as error:
            if len(str(error)) > 1_000 or "geheim" in str(error):
                raise Found("the error has too many words, or the password") from None
            return type(error).__name__
        return "taken"

    def _ask(self, question: str, registry: Registry) -> None:
        match question:
            case "by_id":
                registry.by_id(7)
            case "latest":
                registry.latest("s")
            case "versions":
                registry.versions("s")
            case "version":
                registry.version("s", 1)
            case "subjects":
                registry.subjects()
            case "register":
                registry.register("s", PERSON_REGISTERED)
            case "compatible":
                registry.is_compatible("s", PERSON_REGISTERED)
            case "decoder":
                try:
                    Decoder(registry).decode(b"\0\0\0\0\7" + b"\2" * 40)
                except MalformedEvent:
                    return
            case "page":
                read_pages([self._server.url], at=0.0)
            case _:
                address = ServiceAddress(
                    service="s", instance="a", url=self._server.url, pid=1, started=None, boot="", record=Path("x")
                )
                look([address])


@contextmanager
def _open(seed: int, directory: Path) -> Iterator[_Attack]:
    with answering() as server:
        yield _Attack(server)


SURFACE = Surface(
    name="answers",
    says="answers of a hostile registry, and of services' pages, to those who ask them",
    share=5_000,
    open=_open,
    clock=time.process_time,
)
