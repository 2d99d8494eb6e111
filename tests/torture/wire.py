"""As much of Kafka's wire protocol as a proxy needs: frames, whose they are, and the address in an answer. Pure.

Everything between a client and a broker is a frame: four bytes of size, then so many bytes. Neighbour: ``proxy`` passes them on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = [
    "ADD_OFFSETS",
    "ADD_PARTITIONS",
    "END_TRANSACTION",
    "INIT_PRODUCER",
    "PRODUCE",
    "Frames",
    "Request",
    "correlation_of",
    "end_transaction_error",
    "readdressed",
]

PRODUCE, INIT_PRODUCER, ADD_PARTITIONS, ADD_OFFSETS, END_TRANSACTION = 0, 22, 24, 25, 26

_SIZE = struct.Struct(">i")
_HEADER = struct.Struct(">hhi")
_LENGTH = struct.Struct(">h")
_FLEXIBLE = 3  # from this version of EndTxn on, the answer's header has tagged fields: one byte where there are none


class Request(NamedTuple):
    """Whose frame it is.

    Attributes:
        api: the request's kind.
        version: of the kind.
        correlation: the answer begins with it.
        client: the client's name of itself.
    """

    api: int
    version: int
    correlation: int
    client: str = ""

    @classmethod
    def of(cls, frame: bytes) -> Request:
        """The head of a client's frame."""
        at = _SIZE.size + _HEADER.size
        length = _LENGTH.unpack_from(frame, at)[0] if len(frame) > at else 0
        name = frame[at + _LENGTH.size : at + _LENGTH.size + max(0, length)]
        return cls(*_HEADER.unpack_from(frame, _SIZE.size), name.decode("utf-8", "replace"))


def correlation_of(frame: bytes) -> int:
    """Which request a broker's frame answers."""
    return int(_SIZE.unpack_from(frame, _SIZE.size)[0])


class Frames:
    """Cuts a stream into frames, however it comes in."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that these bytes complete."""
        self._held += data
        while len(self._held) >= _SIZE.size:
            end = _SIZE.size + _SIZE.unpack_from(self._held)[0]
            if len(self._held) < end:
                return
            frame = bytes(self._held[:end])
            del self._held[:end]
            yield frame


def readdressed(frame: bytes, host: str, port: int, to_port: int) -> bytes:
    """An answer that names another port of the same host where it named this one.

    Every answer that says where a broker is (Metadata, FindCoordinator, DescribeCluster) has the host's name and right behind it
    the port in four bytes, in all versions: whoever looks for both needs no version's layout, and the length stays.
    """
    return frame.replace(host.encode() + _SIZE.pack(port), host.encode() + _SIZE.pack(to_port))


def end_transaction_error(request: Request, answer: bytes) -> int:
    """The error code in the answer to an EndTxn; 0 for none."""
    at = 2 * _SIZE.size + (1 if request.version >= _FLEXIBLE else 0) + _SIZE.size  # size, correlation, tags, throttle time
    return int(struct.unpack_from(">h", answer, at)[0])
