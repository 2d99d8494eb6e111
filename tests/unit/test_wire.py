"""Kafka's protocol as Hutong speaks it itself: a login against RFC 7677's own example, quotas against a broker of this file's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import struct
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from hutong.errors import BrokerUnavailable, BusError, HutongError, NotAuthorised
from hutong.kafka.quotas import PUBLISH, RECEIVE, parse_altered, parse_described, read_quotas, write_quotas
from hutong.kafka.scram import Scram
from hutong.kafka.settings import Settings
from hutong.kafka.wire import Reader

PASSWORD, SALT, ITERATIONS = "pencil", b"salt of the test", 4096
SETTINGS = Settings(
    bootstrap_servers="127.0.0.1:1",
    registry_url="http://127.0.0.1:1",
    security_protocol="SASL_PLAINTEXT",
    username="operator",
    password=SecretStr(PASSWORD),
)


def test_scram_is_as_in_the_rfc() -> None:
    """RFC 7677, section 3: the exchange of SCRAM-SHA-256, letter for letter."""
    nonce = "rOprNGfwEbeRWgbNEkqO"
    scram = Scram("SCRAM-SHA-256", "user", "pencil", nonce)
    assert scram.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    final = scram.final(b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    assert final == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    scram.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    with pytest.raises(ValueError, match="does not know the password"):
        scram.verify(b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"r=other%more,s=c2FsdA==,i=4096",  # an answer to somebody else
        b"r=mine,s=c2FsdA==,i=4096",  # with nothing of its own
        b"r=mine%more,s=,i=4096",
        b"r=mine%more,s=c2FsdA==,i=1",  # a password that whoever listens could guess
        b"r=mine%more,s=c2FsdA==,i=100000000",  # an hour of hashing
        b"r=mine%more,s=c2FsdA==,i=x",
        b"r=mine%more,s=***,i=4096",
        b"e=invalid-proof",
        b"\xff\xfe",
    ],
)
def test_a_broker_that_does_not_keep_to_the_protocol_gets_no_proof(answer: bytes) -> None:
    """Refused before anything is computed from the password."""
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds, each a ValueError
        Scram("SCRAM-SHA-512", "user", PASSWORD, "mine").final(answer)


class Broker:
    """As much of a broker as logs in and answers about quotas; its side of SCRAM is written from the RFC by itself.

    Args:
        password: what it takes.
        answer: api number, request body -> answer body.
    """

    def __init__(self, password: str, answer: Callable[[int, bytes], bytes]) -> None:
        self._password, self._answer = password.encode(), answer
        self.asked: list[tuple[int, int]] = []

    def serve(self, connection: socket.socket) -> None:
        steps = self._login()
        next(steps)
        while head := connection.recv(4):
            (size,) = struct.unpack(">i", head)
            message = b""
            while len(message) < size:
                message += connection.recv(size - len(message))
            api, version, number, name = struct.unpack_from(">hhih", message)
            body = message[10 + name :]
            self.asked.append((api, version))
            if api == 17:
                answer = struct.pack(">hi", 0 if body[2:] == b"SCRAM-SHA-512" else 33, 0)
            elif api == 36:
                answer = steps.send(body[4:])
            else:
                answer = self._answer(api, body)
            connection.sendall(struct.pack(">ii", 4 + len(answer), number) + answer)

    def _login(self) -> Generator[bytes, bytes]:
        first = (yield b"").removeprefix(b"n,,")
        nonce = first.rpartition(b"r=")[2] + b"server"
        server_first = b"r=%b,s=%b,i=%d" % (nonce, base64.b64encode(SALT), ITERATIONS)
        final = yield _proven(server_first)
        bare, _, proof = final.rpartition(b",p=")
        message = b",".join((first, server_first, bare))
        salted = hashlib.pbkdf2_hmac("sha512", self._password, SALT, ITERATIONS)
        stored = hashlib.sha512(hmac.digest(salted, b"Client Key", "sha512")).digest()
        signature = hmac.digest(stored, message, "sha512")
        key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
        if hashlib.sha512(key).digest() != stored:
            yield struct.pack(">hh", 58, -1) + struct.pack(">i", 0)
        yield _proven(b"v=" + base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", "sha512"), message, "sha512")))


def _proven(message: bytes) -> bytes:
    return struct.pack(">hhi", 0, -1, len(message)) + message


@contextmanager
def serving(broker: Broker) -> Iterator[Settings]:
    """The settings that lead to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError, StopIteration):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError, StopIteration):
                        broker.serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield SETTINGS.model_copy(update={"bootstrap_servers": f"127.0.0.1:{server.getsockname()[1]}"})


def described(*users: tuple[str | None, dict[str, float]], code: int = 0) -> bytes:
    """An answer about quotas."""
    entries = [
        b"".join((struct.pack(">i", 1), _text("user"), _text(name), struct.pack(">i", len(values)), *map(_value, values.items())))
        for name, values in users
    ]
    return struct.pack(">ihhi", 0, code, -1, len(entries)) + b"".join(entries)


def _text(value: str | None) -> bytes:
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value.encode())) + value.encode()


def _value(pair: tuple[str, float]) -> bytes:
    return _text(pair[0]) + struct.pack(">d", pair[1])


def altered(code: int = 0, user: str = "x.y") -> bytes:
    """An answer to a change."""
    return struct.pack(">iihhi", 0, 1, code, -1, 1) + _text("user") + _text(user)


def test_quotas_are_read_after_a_login() -> None:
    """In the protocol's order: handshake, two steps of SCRAM, the question; the default of all users is nobody's."""
    broker = Broker(PASSWORD, lambda api, _: described(("x.y", {PUBLISH: 2e6}), (None, {PUBLISH: 1.0}), ("文", {RECEIVE: 0.5})))
    with serving(broker) as settings:
        assert read_quotas(settings) == {"x.y": {PUBLISH: 2e6}, "文": {RECEIVE: 0.5}}
    assert broker.asked == [(17, 1), (36, 0), (36, 0), (48, 0)]


def test_quotas_are_set_and_taken_away() -> None:
    """The request's bytes as KIP-546 has them."""
    bodies: list[bytes] = []

    def answer(_: int, body: bytes) -> bytes:
        bodies.append(body)
        return altered()

    with serving(Broker(PASSWORD, answer)) as settings:
        write_quotas(settings, {"x.y": {PUBLISH: 2e6, RECEIVE: None}})
    user = struct.pack(">i", 1) + _text("user") + _text("x.y")
    operations = struct.pack(">i", 2) + _value((PUBLISH, 2e6)) + b"\0" + _value((RECEIVE, 0.0)) + b"\1"
    assert bodies == [struct.pack(">i", 1) + user + operations + b"\0"]


def test_many_users_are_set_in_several_requests() -> None:
    """A controller refuses too many changes at once."""
    sizes: list[int] = []

    def answer(_: int, body: bytes) -> bytes:
        sizes.append(struct.unpack(">i", body[:4])[0])
        return altered()

    with serving(Broker(PASSWORD, answer)) as settings:
        write_quotas(settings, {f"x.y{number}": {PUBLISH: 1.0} for number in range(1_100)})
    assert sizes == [500, 500, 100]


def test_refusals_say_who_and_what() -> None:
    """A wrong password, a broker that does not know ours, a right that is missing, nobody there."""
    with serving(Broker("another", lambda *_: b"")) as settings, pytest.raises(NotAuthorised, match="password of operator"):
        read_quotas(settings)
    with serving(Broker(PASSWORD, lambda *_: described())) as settings:
        other = settings.model_copy(update={"sasl_mechanism": "SCRAM-SHA-256"})
        with pytest.raises(BusError, match="cannot log in"):
            read_quotas(other)
    with serving(Broker(PASSWORD, lambda *_: altered(31))) as settings, pytest.raises(NotAuthorised, match=r"quota of x\.y"):
        write_quotas(settings, {"x.y": {PUBLISH: 1.0}})
    with serving(Broker(PASSWORD, lambda *_: altered(42))) as settings, pytest.raises(BusError, match="INVALID_REQUEST"):
        write_quotas(settings, {"x.y": {PUBLISH: 1.0}})
    with pytest.raises(BrokerUnavailable, match="no broker at"):
        read_quotas(SETTINGS)


@pytest.mark.parametrize("answer", [described(code=31), b"", described(("x.y", {PUBLISH: 1.0}))[:-1], described() + b"\0"])
def test_a_cluster_that_does_not_tell_has_none_to_show(answer: bytes) -> None:
    """No right to look, or an answer that is none: the plan then goes without quotas, and says so."""
    with serving(Broker(PASSWORD, lambda *_: answer)) as settings:
        assert read_quotas(settings) is None


def test_a_change_that_is_not_confirmed_fails() -> None:
    """Half an answer is no confirmation."""
    with serving(Broker(PASSWORD, lambda *_: altered()[:-1])) as settings, pytest.raises(BrokerUnavailable, match="about quotas"):
        write_quotas(settings, {"x.y": {PUBLISH: 1.0}})


@given(st.binary(max_size=200), st.integers(0, 60))
def test_no_answer_breaks_the_reader(noise: bytes, cut: int) -> None:
    """Whatever comes: an error of ours or a ValueError, no crash, no endless list."""
    for good, parse in ((described(("x.y", {PUBLISH: 1.0})), parse_described), (altered(), parse_altered)):
        for answer in (noise, good[:cut] + noise, good[:cut] + noise + good[cut:]):
            with suppress(HutongError, ValueError):
                parse(Reader(answer), SETTINGS)
