"""What Kafka clients log again and again, said once in a while: that a broker which is away cannot be connected to.

librdkafka 2.16 begins anew with the bootstrap servers where none of the brokers it knows can be reached, twenty times a second,
and each time it forgets that it has said so.
"""

from __future__ import annotations

import logging
import re
import time

__all__ = ["NO_CONNECTION", "Once"]

NO_CONNECTION = re.compile(r"\bin state (TRY_)?CONNECT\b")
"""In the text of a connection's failure: it has never been made, and nothing was sent on it."""

_SECONDS = 30.0
_MOST = 1_000  # clients that are remembered


class Once(logging.Filter):
    """Lets through one such line of each client in half a minute, and everything else."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it. The client's words are the kind, its name, and the text."""
        words = record.args
        if not (isinstance(words, tuple) and len(words) == 3 and words[0] == "FAIL" and NO_CONNECTION.search(str(words[2]))):
            return True
        client, now = str(words[1]), time.monotonic()
        if now - self._told.get(client, -_SECONDS) < _SECONDS:
            return False
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[client] = now
        return True
