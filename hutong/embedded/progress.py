"""What a long step tells while it works: nothing by default; the commands draw bars with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Progress"]


class Progress:
    """Receives what happens; this one keeps it to itself."""

    def say(self, text: str) -> None:
        """Something that a person wants to know has happened or begins."""

    @contextmanager
    def amount(self, title: str, total: int) -> Iterator[Callable[[int], None]]:  # noqa: ARG002 - for those who draw
        """A step of known size in bytes.

        Args:
            title: what is being done.
            total: bytes in all.

        Yields:
            A function to call with each further number of bytes done.
        """
        yield lambda _done: None
