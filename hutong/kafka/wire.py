"""Kafka's own protocol over one connection, for the few questions that no client asks: framing, values, and the login.

Strict: an answer that is not what was asked for, too long or too short raises, whatever it says. Nothing here is quick, or need
be. Neighbours: ``versions`` and ``quotas`` ask with this; ``scram`` proves the password.
"""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError

from hutong.errors import BrokerUnavailable, BusError
from hutong.kafka.errors import translate
from hutong.kafka.scram import Scram
from hutong.kafka.settings import Settings

__all__ = ["Connection", "Reader", "array", "connect", "exactly", "text"]

_SECONDS = 10.0
_LARGEST = 16 * 1024 * 1024  # bytes of an answer; ten thousand quotas take a tenth of it
_CLIENT = b"hutong"
_HANDSHAKE, _AUTHENTICATE = 17, 36


def text(value: str | None) -> bytes:
    """A string, or none, as a request has it."""
    if value is None:
        return struct.pack(">h", -1)
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def array(parts: Sequence[bytes]) -> bytes:
    """Several of something."""
    return struct.pack(">i", len(parts)) + b"".join(parts)


class Reader:
    """Takes values off a message, one after the other.

    Raises:
        ValueError: from each method: the message ends too early, or says something impossible.
    """

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def take(self, layout: str) -> tuple[int, ...]:
        """Numbers of fixed size."""
        return struct.unpack(layout, self.slice(struct.calcsize(layout)))

    def real(self) -> float:
        """A floating-point number."""
        (found,) = struct.unpack(">d", self.slice(8))
        return float(found)

    def slice(self, size: int) -> bytes:
        """So many bytes."""
        found = self._content[self._at : self._at + size]
        if size < 0 or len(found) < size:
            raise ValueError("the answer ends too early")
        self._at += size
        return found

    def text(self) -> str | None:
        """A string, or none."""
        (size,) = self.take(">h")
        return None if size < 0 else self.slice(size).decode()

    def blob(self) -> bytes:
        """Bytes with their number before them."""
        (size,) = self.take(">i")
        return self.slice(size)

    def times(self) -> Iterator[int]:
        """Once for each of several; none where there is no list."""
        (count,) = self.take(">i")
        if count > len(self._content):
            raise ValueError("the answer tells of more than it can hold")
        yield from range(count)

    def number(self) -> int:
        """A number of variable size, without sign."""
        value = 0
        for shift in range(0, 35, 7):
            (part,) = self.slice(1)
            value |= (part & 0x7F) << shift
            if not part & 0x80:
                return value
        raise ValueError("a number of more than 32 bits")

    def length(self) -> int:
        """How many of something follow; the protocol keeps 0 for none at all."""
        return max(0, self.number() - 1)

    def tags(self) -> Iterator[tuple[int, bytes]]:
        """What newer versions have added, each with its number."""
        for _ in range(self.number()):
            tag = self.number()
            yield tag, self.slice(self.number())

    def end(self) -> None:
        """Nothing may be left."""
        if self._at != len(self._content):
            raise ValueError("the answer is longer than it says")


def exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes off a connection."""
    got = b""
    while len(got) < size:
        part = connection.recv(size - len(got))
        if not part:
            raise ValueError("the broker has closed the connection")
        got += part
    return got


class Connection:
    """A connection to one broker, logged in where the settings say so.

    Args:
        settings: how, and as whom.
        address: ``host:port``.

    Raises:
        BusError: the login is refused.
        OSError, ValueError, struct.error: nobody answers, or not as a Kafka broker does.
    """

    def __init__(self, settings: Settings, address: str) -> None:
        host, _, port = address.strip().rpartition(":")
        context = settings.tls()
        self._settings, self._numbers = settings, itertools.count(1)
        self._socket: socket.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS)
        try:
            if context is not None:
                self._socket = context.wrap_socket(self._socket, server_hostname=host.strip("[]"))
            if settings.security_protocol.startswith("SASL"):
                self._log_in(settings.username or "", settings.current_password())
        except BaseException:
            self._socket.close()
            raise

    def ask(self, api: int, version: int, body: bytes) -> Reader:
        """Send a request and read what comes.

        Args:
            api: its number.
            version: one in which no value has a variable size (KIP-482 came later).
            body: the request behind its head.
        """
        number = next(self._numbers)
        message = struct.pack(">hhih", api, version, number, len(_CLIENT)) + _CLIENT + body
        self._socket.sendall(struct.pack(">i", len(message)) + message)
        (size,) = struct.unpack(">i", exactly(self._socket, 4))
        if not 4 <= size <= _LARGEST:
            raise ValueError("no answer of a Kafka broker")
        answer = Reader(exactly(self._socket, size))
        if answer.take(">i") != (number,):
            raise ValueError("an answer to something else")
        return answer

    def _log_in(self, username: str, password: str) -> None:
        mechanism = self._settings.sasl_mechanism
        answer = self.ask(_HANDSHAKE, 1, text(mechanism))
        (code,) = answer.take(">h")
        if code:
            raise self._refused(code)
        if mechanism == "PLAIN":
            self._prove(f"\0{username}\0{password}".encode())
            return
        scram = Scram(mechanism, username, password)
        final = scram.final(self._prove(scram.first()))
        scram.verify(self._prove(final))

    def _prove(self, proof: bytes) -> bytes:
        answer = self.ask(_AUTHENTICATE, 0, struct.pack(">i", len(proof)) + proof)
        (code,) = answer.take(">h")
        answer.text()
        if code:
            raise self._refused(code)
        return answer.blob()

    def _refused(self, code: int) -> BusError:
        error = translate(KafkaError(code), "log in", principal=self._settings.username, servers=self._settings.bootstrap_servers)
        return error if isinstance(error, BusError) else BusError(str(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()


def connect(settings: Settings) -> Connection:
    """A connection to the first broker that answers.

    Raises:
        BusError: none does, or the login is refused.
    """
    problem: Exception | None = None
    for address in settings.bootstrap_servers.split(","):
        try:
            return Connection(settings, address)
        except (OSError, ValueError, struct.error) as error:
            problem = error
    raise BrokerUnavailable(
        f"no broker at {settings.bootstrap_servers} answers ({type(problem).__name__}); check that the bus is up, then try again"
    ) from problem
