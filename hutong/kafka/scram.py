"""SCRAM (RFC 5802, RFC 7677): proves a password without sending it, and has the broker prove that it knows it too. Pure.

Neighbour: ``wire`` carries the messages. librdkafka has its own for everything else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Literal

__all__ = ["Scram"]

_HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
_LEAST, _MOST = 4096, 1_000_000  # iterations: fewer give the password away to whoever listens, more hold us up
_HEAD = "n,,"  # no channel binding; TLS has checked the broker's certificate


class Scram:
    """One login.

    Args:
        mechanism: as Kafka names it.
        username: who.
        password: its password.
        nonce: for tests; random by default.
    """

    def __init__(
        self, mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512"], username: str, password: str, nonce: str | None = None
    ) -> None:
        self._hash = _HASHES[mechanism]
        self._password = password.encode()
        self._nonce = nonce or secrets.token_urlsafe(24)
        escaped = username.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={escaped},r={self._nonce}"
        self._signature = b""

    def first(self) -> bytes:
        """What the client begins with."""
        return (_HEAD + self._bare).encode()

    def final(self, server_first: bytes) -> bytes:
        """The client's proof, in answer to the broker's first message.

        Raises:
            ValueError: the broker does not keep to the protocol.
        """
        told = _attributes(server_first)
        nonce, salt, iterations = told.get("r", ""), base64.b64decode(told.get("s", ""), validate=True), int(told.get("i", "0"))
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce) or not salt:
            raise ValueError("the broker's part of the login is not an answer to ours")
        if not _LEAST <= iterations <= _MOST:
            raise ValueError(f"the broker asks for {iterations} iterations")
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, iterations)
        key = self._hmac(salted, b"Client Key")
        bare = f"c={base64.b64encode(_HEAD.encode()).decode()},r={nonce}"
        message = ",".join((self._bare, server_first.decode(), bare)).encode()
        signature = self._hmac(hashlib.new(self._hash, key).digest(), message)
        proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        self._signature = self._hmac(self._hmac(salted, b"Server Key"), message)
        return f"{bare},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, server_final: bytes) -> None:
        """Whether the broker knows the password.

        Raises:
            ValueError: it does not.
        """
        proof = base64.b64decode(_attributes(server_final).get("v", ""), validate=True)
        if not self._signature or not hmac.compare_digest(proof, self._signature):
            raise ValueError("the broker does not know the password itself")

    def _hmac(self, key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, self._hash)


def _attributes(message: bytes) -> dict[str, str]:
    parts = (part.partition("=") for part in message.decode().split(","))
    return {name: value for name, mark, value in parts if mark}
