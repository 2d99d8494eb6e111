"""Ends the process, and says where it stood, when one value keeps it busy without end: inside C or Rust too.

What counts is processor time of the process, so that a busy machine does no harm. Neighbour: ``attack`` measures what does end.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

__all__ = ["within"]

_SECONDS = 20.0  # far beyond what a value may take: the collector of garbage and other threads run meanwhile


@contextmanager
def within(seconds: float = _SECONDS) -> Iterator[None]:
    """The block takes no more processor time than that, or the process ends by the signal SIGPROF."""
    _say_where()
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)


@cache
def _say_where() -> None:
    """The signal's own action ends the process whatever it does; before that, all threads' stacks are written down."""
    faulthandler.register(signal.SIGPROF, file=sys.__stderr__ or 2, all_threads=True, chain=True)
