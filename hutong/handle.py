"""What ``publish`` returns: an event on its way, and how to learn that the brokers have it.

Neighbours: ``publisher`` makes these and settles them.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from hutong.errors import DeliveryFailed, HutongError
from hutong.transport import Record

if TYPE_CHECKING:
    from hutong.line import Line
    from hutong.publisher import Publisher

__all__ = ["Confirmed", "PublishHandle"]

_POLL_SECONDS = 0.02  # two threads may wait at once: one may take the other's confirmation in, and must not sleep on it for long


class Confirmed(NamedTuple):
    """Where a confirmed event lies."""

    topic: str
    partition: int
    offset: int


class PublishHandle:
    """An event on its way to the brokers."""

    __slots__ = ("_callbacks", "_error", "_line", "_publisher", "_record", "event_id")

    def __init__(self, publisher: Publisher, line: Line, event_id: str) -> None:
        self.event_id = event_id
        self._publisher = publisher
        self._line = line
        self._record: Record | None = None
        self._error: HutongError | None = None
        self._callbacks: list[Callable[[PublishHandle], object]] | None = None  # most events have none, and there are many events

    @property
    def contract(self) -> str:
        """The contract's name."""
        return self._line.contract

    def done(self) -> bool:
        """Whether the brokers have confirmed or refused the event."""
        if self._record is None and self._error is None:
            self._publisher.poll(0)
        return self._record is not None or self._error is not None

    @property
    def error(self) -> HutongError | None:
        """Why the event was not confirmed, once that is known."""
        return self._error

    def result(self, timeout: float | None = None) -> Confirmed:
        """Wait for the brokers.

        Args:
            timeout: seconds; None waits for ``HUTONG_DELIVERY_SECONDS``, after which an event fails by itself.

        Raises:
            BrokerUnavailable: no broker answered in time.
            NotAuthorised: this department may not write there, or its password is wrong.
            EventTooLarge: the brokers refuse its size.
            DeliveryFailed: not confirmed within ``timeout``; it may still be.
        """
        deadline = None if timeout is None else clock.monotonic() + timeout
        while not self.done():
            left = _POLL_SECONDS if deadline is None else deadline - clock.monotonic()
            trouble = self._publisher.trouble()
            if trouble and (left <= 0 or not trouble.retriable):
                raise trouble
            if left <= 0:
                raise DeliveryFailed(
                    f"{self.contract}: not confirmed within {timeout:g} s; it is still being sent", [self.event_id]
                )
            self._publisher.poll(min(_POLL_SECONDS, left))
        if self._error is not None:
            self._publisher.seen(self)
            raise self._error
        assert self._record is not None  # noqa: S101 - done() said so
        return Confirmed(self._record.topic() or "", self._record.partition() or 0, self._record.offset() or 0)

    def when_done(self, callback: Callable[[PublishHandle], object]) -> None:
        """Call back once the event is confirmed or refused, from the thread that polls; at once if it is already."""
        if self._callbacks is None:
            self._callbacks = []
        self._callbacks.append(callback)
        if self._record is not None or self._error is not None:
            self._call_back()

    def settle(self, error: Any, record: Any) -> None:
        """The brokers' answer, from the sender."""
        if error is None:
            self._line.confirmations.add(record.latency() or 0.0)
            self._record = record
        else:
            self._error = self._publisher.refused(self, self._line, error)
        # Last: a flush in another thread that finds it pending no more must find what became of it.
        self._publisher.pending_handles.pop(self, None)
        if self._callbacks:
            self._call_back()

    def _call_back(self) -> None:
        callbacks = self._callbacks or []
        while callbacks:
            try:
                callback = callbacks.pop()
            except IndexError:  # another thread took the last one
                return
            callback(self)
