"""Keys pressed on a terminal, one at a time and without their echo; the terminal is put back whatever happens.

Neighbour: ``hutong top`` ends with ``q``.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["pressed_keys"]


@contextmanager
def pressed_keys() -> Iterator[Callable[[float], str]]:
    """What was pressed within so many seconds: a call waits for them, or until a key is pressed, and returns it, or nothing."""
    if not sys.stdin.isatty():
        yield _pause
        return
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)

    def pressed(seconds: float) -> str:
        ready, _, _ = select.select([handle], [], [], seconds)
        return os.read(handle, 1).decode("ascii", "replace") if ready else ""

    try:
        tty.setcbreak(handle)
        yield pressed
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


def _pause(seconds: float) -> str:
    time.sleep(seconds)
    return ""
