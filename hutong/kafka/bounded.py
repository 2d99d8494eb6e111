"""A call that may never come back: made in a thread of its own, and waited for no longer than it may take.

Neighbour: ``outlet`` makes the one call of librdkafka like this whose time-out is only promised.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread

__all__ = ["Bounded"]

_Calls = SimpleQueue[Callable[[], None] | None]
_Ends = SimpleQueue[BaseException | None]


class Bounded:
    """Makes one call after the other for its owner. After one that did not come back there is no other.

    Args:
        name: the thread's.
    """

    def __init__(self, name: str) -> None:
        self._calls: _Calls = SimpleQueue()
        self._ends: _Ends = SimpleQueue()
        self._thread = Thread(target=_run, args=(self._calls, self._ends), name=name, daemon=True)
        self._thread.start()
        weakref.finalize(self, self._calls.put, None).atexit = False

    def do(self, call: Callable[[], None], seconds: float) -> None:
        """Make a call, and raise what it raises.

        Raises:
            TimeoutError: it has not come back; its thread waits on, and keeps what the call refers to.
        """
        self._calls.put(call)
        try:
            error = self._ends.get(timeout=seconds)
        except Empty:
            raise TimeoutError from None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback would refer to this frame, and the frame to it


def _run(calls: _Calls, ends: _Ends) -> None:
    while (call := calls.get()) is not None:
        end: BaseException | None = None
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - the owner raises it
            end = error.with_traceback(None)  # the frames would keep what the call refers to
        del call
        ends.put(end)
        del end
