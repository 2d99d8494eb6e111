"""Faust (faust-streaming), at least once: its exactly-once mode is broken (faust-streaming/faust issues 323 and 517)."""

from __future__ import annotations

from dataclasses import dataclass

from bench.contenders import apart
from bench.contenders.contender import Running, Task

__all__ = ["Faust"]

_REQUIREMENTS = ("faust-streaming[rocksdict]==0.15.3", "aiokafka[lz4,zstd,snappy]==0.14.0", "fastavro==1.13.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Faust:
    """One Faust worker."""

    name: str = "faust"

    @property
    def exactly_once(self) -> bool:
        """Not reliably."""
        return False

    @property
    def copies(self) -> bool:
        """It transforms."""
        return False

    def problem(self) -> str | None:
        """Install it."""
        return apart.ready(self.name, _REQUIREMENTS)

    def start(self, task: Task) -> Running:
        """Start the worker."""
        return apart.start(self.name, "faust_app.py", task)
