"""Calls that may never come back."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from hutong.kafka.bounded import Bounded


class Thing:
    """Something that a call refers to."""

    def fail(self) -> None:
        """Not possible."""
        raise KeyError("what it is")


def test_what_a_call_raises_is_raised() -> None:
    """And the next is made all the same."""
    bounded, done = Bounded("test"), []
    with pytest.raises(KeyError, match="what it is"):
        bounded.do(Thing().fail, 5)
    bounded.do(lambda: done.append(1), 5)
    assert done == [1]


def test_a_call_that_does_not_come_back_is_left_alone() -> None:
    """It is waited for no longer, and its thread ends once it does."""
    bounded, goes_on = Bounded("test"), threading.Event()
    thread = bounded._thread
    with pytest.raises(TimeoutError):
        bounded.do(lambda: goes_on.wait(30) and None, 0.05)
    del bounded
    assert thread.is_alive()
    goes_on.set()
    thread.join(5)
    assert not thread.is_alive()


def test_nothing_is_kept_of_a_call_that_is_over() -> None:
    """A client that is thrown away goes at once, and not with the next garbage collection; the thread goes with its owner."""
    bounded = Bounded("test")
    thread, thing = bounded._thread, Thing()
    known = weakref.ref(thing)
    gc.disable()
    try:
        with pytest.raises(KeyError):
            bounded.do(thing.fail, 5)
        bounded.do(lambda: None, 5)  # the thread has let go of the one before
        del thing
        assert known() is None
        del bounded
        thread.join(5)
        assert not thread.is_alive()
    finally:
        gc.enable()
