"""What a broker offers: read off its answer, and off anything else that may answer there."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from hutong.errors import HutongError
from hutong.kafka.settings import Settings
from hutong.kafka.versions import Offer, broker_offer, parse_offer


def answer(*, error: int = 0, level: int = 29) -> bytes:
    """An answer of a broker, made by the protocol's description."""
    tag = bytes([2]) + bytes([len("metadata.version") + 1]) + b"metadata.version" + struct.pack(">hh", level, level) + b"\0"
    apis = bytes([3]) + struct.pack(">hhh", 0, 3, 12) + b"\0" + struct.pack(">hhh", 18, 0, 4) + b"\0"
    tags = bytes([2, 1, 8]) + struct.pack(">q", 7) + bytes([2, len(tag)]) + tag
    return struct.pack(">ih", 1, error) + apis + struct.pack(">i", 0) + tags


def test_what_a_broker_offers() -> None:
    """Its features and the versions that it speaks; an error, a cut answer and nonsense are none."""
    assert parse_offer(answer()) == Offer(features={"metadata.version": 29}, apis={0: (3, 12), 18: (0, 4)})
    for wrong in (answer(error=35), answer()[:-3], b"", b"\0" * 5):
        with pytest.raises((ValueError, struct.error)):
            parse_offer(wrong)


def test_a_port_that_speaks_something_else_is_no_broker() -> None:
    """Whoever answers otherwise, or closes, is told of in one line."""
    for said in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\0\0\0\4abcd"):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()

            def serve(text: bytes = said, to: socket.socket = server) -> None:
                connection, _ = to.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(text)

            thread = threading.Thread(target=serve)
            thread.start()
            address = f"127.0.0.1:{server.getsockname()[1]}"
            settings = Settings(bootstrap_servers=address, registry_url="http://x")
            with pytest.raises(HutongError, match="does not say what it offers"):
                broker_offer(settings, address)
            thread.join()
