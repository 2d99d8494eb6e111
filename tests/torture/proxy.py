"""A proxy between clients and one broker, that can hold a request back while all the rest goes on.

Clients that are given its address stay with it: answers that name the broker's port name the proxy's instead. A request that is
held holds up what comes behind it on the same connection, as a slow network does; other connections are not touched. When its
client hangs up, or is hung up on, the request still reaches the broker once it is released: that is how a request comes late.
Neighbours: ``wire`` knows the protocol, ``faults.network`` holds requests.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hutong.embedded.ports import LOOPBACK
from tests.torture.wire import Frames, Request, correlation_of, readdressed

__all__ = ["Held", "Proxy"]

_PIECE = 65_536
_PATIENCE = 60.0  # a request that nobody releases goes on after this: a test that has failed must not leave a thread behind


class Held:
    """A request that is to be held back.

    Args:
        api: its kind.

    Attributes:
        request: its head, once it has been caught.
        answer: the broker's, once it has come.
    """

    def __init__(self, api: int) -> None:
        self.api = api
        self.request: Request | None = None
        self.answer: bytes | None = None
        self.connection: _Connection | None = None
        self._caught, self._released, self._answered = threading.Event(), threading.Event(), threading.Event()

    def caught(self, seconds: float) -> bool:
        """Wait until it has come; whether it has."""
        return self._caught.wait(seconds)

    def cut(self) -> None:
        """Hang up on its client, which cannot know whether the broker has got it."""
        assert self.connection is not None, "nothing is held"
        self.connection.hang_up()

    def release(self) -> None:
        """Let the broker have it."""
        self._released.set()

    def answered(self, seconds: float) -> bytes:
        """The broker's answer."""
        assert self._answered.wait(seconds), f"the broker did not answer the request that was held, within {seconds:g} s"
        assert self.answer is not None
        return self.answer

    def _catch(self, connection: _Connection, request: Request) -> None:
        self.connection, self.request = connection, request
        self._caught.set()
        self._released.wait(_PATIENCE)

    def _take(self, answer: bytes) -> None:
        self.answer = answer
        self._answered.set()


class Proxy:
    """A proxy, at work from the moment it is made until ``close``.

    Args:
        port: the broker's, on loopback.

    Attributes:
        port: where clients find it.
    """

    def __init__(self, port: int) -> None:
        self.broker_port = port
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._silent_to, self._speaking = "", threading.Event()
        self._speaking.set()
        self._lock = threading.Lock()
        self._wanted: list[Held] = []
        self._all_held: list[Held] = []
        self._connections: list[_Connection] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def address(self) -> str:
        """For ``bootstrap.servers``."""
        return f"{LOOPBACK}:{self.port}"

    @contextmanager
    def silent_to(self, client: str) -> Iterator[None]:
        """Let no request through of clients that call themselves so, on no connection, old or new; afterwards all of them."""
        self._silent_to = client
        self._speaking.clear()
        try:
            yield
        finally:
            self._speaking.set()

    def hold(self, api: int) -> Held:
        """Hold back the next request of a kind, from whatever connection it comes; the next but one where this was said twice."""
        held = Held(api)
        with self._lock:
            self._wanted.append(held)
            self._all_held.append(held)
        return held

    def close(self) -> None:
        """Let go of everything and hang up."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        self._speaking.set()
        for held in self._all_held:
            held.release()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection((LOOPBACK, self.broker_port))
            except OSError:  # the broker is away; so is the proxy, to its clients
                client.close()
                continue
            self._connections.append(_Connection(self, client, broker))

    def _pass(self, connection: _Connection, frame: bytes) -> None:
        """Note a request, and wait where it is to be held."""
        request = Request.of(frame)
        if request.client == self._silent_to:
            self._speaking.wait(_PATIENCE)
        with self._lock:
            held = next((one for one in self._wanted if one.api == request.api), None)
            if held is not None:
                self._wanted.remove(held)
                connection.held[request.correlation] = held
        if held is not None:
            held._catch(connection, request)


class _Connection:
    """A client's connection and the one to the broker that belongs to it, each read by a thread."""

    def __init__(self, proxy: Proxy, client: socket.socket, broker: socket.socket) -> None:
        self._proxy, self.client, self._broker = proxy, client, broker
        self.held: dict[int, Held] = {}
        for one in (client, broker):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._up, self._down)]
        for thread in self._threads:
            thread.start()

    def hang_up(self) -> None:
        """Close the client's side alone."""
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close both sides, and wait for the threads."""
        self.hang_up()
        with suppress(OSError):
            self._broker.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self.client.close()
        self._broker.close()

    def _up(self) -> None:
        """From the client to the broker. What was held goes on even when the client is gone."""
        with suppress(OSError):
            for frame in _frames(self.client):
                self._proxy._pass(self, frame)
                self._broker.sendall(frame)
        if not self.held:  # else the broker's answer to it is still wanted; ``close`` ends it
            with suppress(OSError):
                self._broker.shutdown(socket.SHUT_RDWR)

    def _down(self) -> None:
        """From the broker to the client, as long as there is one."""
        with suppress(OSError):
            for frame in _frames(self._broker):
                if held := self.held.get(correlation_of(frame)):
                    held._take(frame)
                with suppress(OSError):
                    self.client.sendall(readdressed(frame, LOOPBACK, self._proxy.broker_port, self._proxy.port))
        self.hang_up()


def _frames(source: socket.socket) -> Iterator[bytes]:
    """What comes, frame by frame, until there is no more."""
    frames = Frames()
    while data := source.recv(_PIECE):
        yield from frames.feed(data)
