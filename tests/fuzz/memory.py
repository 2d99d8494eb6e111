"""How much memory this process has and may have; what Rust asks for is seen here, as Python's own tools do not see it."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["at_most", "resident_bytes"]

_PAGE = resource.getpagesize()


def resident_bytes() -> int:
    """What the process holds in memory."""
    return _pages(1) * _PAGE


@contextmanager
def at_most(more: int) -> Iterator[None]:
    """The process gets only so many bytes more, used or not: a greater wish of the extension ends it at once."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_pages(0) * _PAGE + more, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def _pages(number: int) -> int:
    return int(Path("/proc/self/statm").read_text().split()[number])
