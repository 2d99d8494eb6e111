"""The wish to stop a process: known the moment the signal comes, and kept within the time that an orchestrator gives.

Python's own signal handlers run only between two steps of the main thread's bytecode: a commit that waits for a broker would hold
them up for seconds, and readiness with them. So the signal's number is taken from the wake-up descriptor by a thread of its own,
which also ends the process where it has not ended in time. Neighbours: ``loop`` ends with it, ``health`` is not ready then.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from types import FrameType

__all__ = ["GRACE_SECONDS", "Stop"]

_LOG = logging.getLogger("hutong")

GRACE_SECONDS = 8.0
"""For services: they are to end within 10 s. What is open then the brokers abort, as after a crash."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """The wish to stop, set by SIGTERM or SIGINT or by code."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._ears: tuple[socket.socket, socket.socket] | None = None  # kept: a collected socket is closed

    def on_signals(self, *, within: float | None = None) -> Stop:
        """Stop when the process is asked to; only the main thread may call this.

        Args:
            within: a process that has not ended so many seconds after the signal is ended at once, with exit code 1.
        """
        hearing, told = self._ears = socket.socketpair()
        told.setblocking(False)  # a signal must not wait
        signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, self._signalled)
        threading.Thread(target=self._listen, args=(hearing, within), name="signals", daemon=True).start()
        return self

    def set(self) -> None:
        """Ask to stop."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether stopping was asked for."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until stopping is asked for; returns ``is_set``."""
        return self._event.wait(seconds)

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self._event.set()

    def _listen(self, hearing: socket.socket, within: float | None) -> None:
        while not set(_SIGNALS).intersection(hearing.recv(16)):  # one byte for each signal: its number
            pass
        self._event.set()
        if within is None:
            return
        time.sleep(within)
        _LOG.error("ended before its work was", extra={"facts": {"seconds": within}})
        os._exit(1)
