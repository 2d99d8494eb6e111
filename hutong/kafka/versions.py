"""What does a broker offer? Asked in Kafka's own protocol (ApiVersions), before any login, since no client says it.

The answer names no version of the software; it names the features that the cluster has settled on, and ``metadata.version`` rises
with every release. Neighbour: ``hutong.doctor`` judges it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from hutong.errors import BrokerUnavailable
from hutong.kafka.settings import Settings
from hutong.kafka.wire import Reader, exactly

__all__ = ["Offer", "broker_offer", "parse_offer"]

_SECONDS = 5.0
_API_VERSIONS, _VERSION = 18, 3
_FINALIZED = 2  # the tag of the features that are in force
_LARGEST = 1024 * 1024  # bytes of an answer; a broker's takes two kilobytes


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a broker offers.

    Attributes:
        features: those in force in the cluster -> their level.
        apis: number of an API -> the lowest and the highest version of it that is spoken.
    """

    features: dict[str, int] = field(default_factory=dict)
    apis: dict[int, tuple[int, int]] = field(default_factory=dict)


def broker_offer(settings: Settings, address: str) -> Offer:
    """Ask one broker.

    Args:
        settings: whether TLS is spoken there, and whom to trust.
        address: ``host:port``.

    Raises:
        BrokerUnavailable: it does not answer, or not as a Kafka broker does.
    """
    host, _, port = address.rpartition(":")
    context = settings.tls()
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS) as plain:
            if context is None:
                return parse_offer(_answer(plain))
            with context.wrap_socket(plain, server_hostname=host.strip("[]")) as encrypted:
                return parse_offer(_answer(encrypted))
    except (OSError, ValueError, struct.error, IndexError) as error:
        raise BrokerUnavailable(f"the broker at {address} does not say what it offers ({type(error).__name__})") from error


def _answer(connection: socket.socket) -> bytes:
    name = b"hutong"
    head = struct.pack(">hhih", _API_VERSIONS, _VERSION, 1, len(name)) + name + b"\0"
    body = bytes([len(name) + 1]) + name + b"\2" + b"0" + b"\0"  # the client's name and version, as the protocol wants them
    connection.sendall(struct.pack(">i", len(head + body)) + head + body)
    (size,) = struct.unpack(">i", exactly(connection, 4))
    if not 0 < size <= _LARGEST:
        raise ValueError("no answer of a Kafka broker")
    return exactly(connection, size)


def parse_offer(answer: bytes) -> Offer:
    """Read an answer, without its length.

    Raises:
        ValueError: it is an error, or no such answer.
    """
    reader = Reader(answer)
    reader.take(">i")  # which request it answers
    (error,) = reader.take(">h")
    if error:
        raise ValueError(f"error {error}")
    apis = {}
    for _ in range(reader.length()):
        key, low, high = reader.take(">hhh")
        apis[key] = (low, high)
        list(reader.tags())
    reader.take(">i")  # throttling
    features: dict[str, int] = {}
    for tag, content in reader.tags():
        if tag == _FINALIZED:
            features = dict(_features(Reader(content)))
    return Offer(features=features, apis=apis)


def _features(reader: Reader) -> Iterator[tuple[str, int]]:
    for _ in range(reader.length()):
        name = reader.slice(reader.length()).decode("utf-8", "replace")
        high, _low = reader.take(">hh")
        list(reader.tags())
        yield name, high
