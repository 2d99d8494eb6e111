"""Ports on the loopback interface: choose free ones, and see whether a known one can be had."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Collection

from hutong.errors import HutongError

__all__ = ["LOOPBACK", "answers", "free_port", "is_free"]

LOOPBACK = "127.0.0.1"

# Below the range from which Linux takes the local ports of outgoing connections (from 32768 on): there, somebody's
# connection could hold the port of a stopped bus for a moment, and the next start would fail for no visible reason.
_LOWEST, _HIGHEST = 20_000, 32_000


def is_free(port: int) -> bool:
    """Whether a server could listen there now; connections of its predecessor that still linger do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)  # bind alone succeeds beside a listener on the wildcard address
        except OSError:
            return False
    return True


def free_port(taken: Collection[int] = ()) -> int:
    """A random free port that is not in ``taken``."""
    for _ in range(1000):
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        if port not in taken and is_free(port):
            return port
    raise HutongError(
        f"no free port between {_LOWEST} and {_HIGHEST} on {LOOPBACK}; name ports with --kafka-port and --registry-port"
    )


def answers(port: int, *, seconds: float = 0.5) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=seconds):
            return True
    except OSError:
        return False
