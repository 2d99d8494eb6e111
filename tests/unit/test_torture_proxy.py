"""The proxy between routers and a broker: what it passes on, what it holds back, and that the held comes late and not never."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from tests.torture.proxy import Proxy
from tests.torture.wire import END_TRANSACTION, PRODUCE, Frames, Request, correlation_of, end_transaction_error, readdressed


def request(api: int, correlation: int, body: bytes = b"") -> bytes:
    """A client's frame."""
    return struct.pack(">ihhi", 8 + len(body), api, 1, correlation) + body


def answer(correlation: int, body: bytes = b"") -> bytes:
    """A broker's frame."""
    return struct.pack(">ii", 4 + len(body), correlation) + body


def test_frames_are_cut_however_the_stream_comes() -> None:
    """Byte by byte, or many at once."""
    sent = [request(PRODUCE, number, b"x" * number) for number in range(5)]
    stream = b"".join(sent)
    byte_by_byte, at_once = Frames(), Frames()
    assert [frame for at in range(len(stream)) for frame in byte_by_byte.feed(stream[at : at + 1])] == sent
    assert list(at_once.feed(stream[:-1])) == sent[:-1]
    assert list(at_once.feed(stream[-1:])) == sent[-1:]


def test_an_answer_names_the_proxy_where_it_named_the_broker() -> None:
    """The host's port alone, and nothing else of the frame."""
    body = b"\x00\x09127.0.0.1" + struct.pack(">i", 9092) + b"\x00\x09127.0.0.2" + struct.pack(">i", 9092)
    frame = answer(1, body)
    changed = readdressed(frame, "127.0.0.1", 9092, 7)
    assert changed == frame.replace(b"127.0.0.1" + struct.pack(">i", 9092), b"127.0.0.1" + struct.pack(">i", 7))
    assert len(changed) == len(frame)
    assert changed.endswith(struct.pack(">i", 9092))


@pytest.mark.parametrize(("version", "tags"), [(1, b""), (3, b"\0")])
def test_the_error_of_an_ended_transaction_is_found(version: int, tags: bytes) -> None:
    """Behind the throttle time, and behind the tags of later versions."""
    frame = answer(5, tags + struct.pack(">ih", 100, 47) + tags)
    assert correlation_of(frame) == 5
    assert end_transaction_error(Request(END_TRANSACTION, version, 5), frame) == 47


class Broker:
    """Answers every request with its correlation id; notes what it got."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.got: list[tuple[int, int]] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(client,), daemon=True))
            self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        frames = Frames()
        with client:
            while data := client.recv(100):
                for frame in frames.feed(data):
                    head = Request.of(frame)
                    self.got.append((head.api, head.correlation))
                    client.sendall(answer(head.correlation, struct.pack(">ih", 0, 0)))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


class Client:
    """A connection through the proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self.socket = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        self._frames = Frames()

    def send(self, api: int, correlation: int) -> None:
        self.socket.sendall(request(api, correlation))

    def answers(self, count: int) -> list[int]:
        found: list[int] = []
        while len(found) < count and (data := self.socket.recv(100)):
            found += [correlation_of(frame) for frame in self._frames.feed(data)]
        return found


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = Broker()
    yield broker
    broker.close()


@pytest.fixture
def proxy(broker: Broker) -> Iterator[Proxy]:
    proxy = Proxy(broker.port)
    yield proxy
    proxy.close()


def test_what_is_not_wanted_passes(broker: Broker, proxy: Proxy) -> None:
    """Requests and answers, in order."""
    client = Client(proxy)
    with client.socket:
        for number in range(3):
            client.send(PRODUCE, number)
        assert client.answers(3) == [0, 1, 2]
    assert broker.got == [(PRODUCE, 0), (PRODUCE, 1), (PRODUCE, 2)]


def test_what_is_held_holds_up_its_own_connection_alone(broker: Broker, proxy: Proxy) -> None:
    """What is behind it waits; another connection does not; released, all of it comes, in order."""
    held, first, second = proxy.hold(END_TRANSACTION), Client(proxy), Client(proxy)
    with first.socket, second.socket:
        first.send(END_TRANSACTION, 1)
        first.send(PRODUCE, 2)
        assert held.caught(5)
        second.send(END_TRANSACTION, 3)
        assert second.answers(1) == [3]
        assert broker.got == [(END_TRANSACTION, 3)]
        held.release()
        assert first.answers(2) == [1, 2]
        assert correlation_of(held.answered(5)) == 1


def test_what_is_held_reaches_the_broker_when_its_client_has_gone(broker: Broker, proxy: Proxy) -> None:
    """Hung up on, the client cannot know; the request comes all the same, late, and what the broker says of it is seen."""
    held, client = proxy.hold(END_TRANSACTION), Client(proxy)
    with client.socket:
        client.send(END_TRANSACTION, 1)
        assert held.caught(5)
        held.cut()
        assert client.socket.recv(100) == b""
    assert broker.got == []
    held.release()
    assert correlation_of(held.answered(5)) == 1
    assert broker.got == [(END_TRANSACTION, 1)]


def test_requests_are_held_in_the_order_in_which_they_are_wanted(broker: Broker, proxy: Proxy) -> None:
    """Two of a kind: the first that comes is the first's."""
    first, second, client = proxy.hold(PRODUCE), proxy.hold(PRODUCE), Client(proxy)
    with client.socket:
        client.send(PRODUCE, 1)
        client.send(PRODUCE, 2)
        assert first.caught(5)
        assert not second.caught(0)
        first.release()
        assert second.caught(5)
        assert client.answers(1) == [1]
        second.release()
        assert client.answers(1) == [2]


def test_a_broker_that_is_away_is_away_for_the_proxys_clients(broker: Broker) -> None:
    """They are hung up on, and the proxy takes others later."""
    nobody = socket.create_server(("127.0.0.1", 0))
    port = nobody.getsockname()[1]
    nobody.close()
    proxy = Proxy(port)
    try:
        client = Client(proxy)
        with client.socket:
            assert client.socket.recv(100) == b""
    finally:
        proxy.close()
