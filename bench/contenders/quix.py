"""Quix Streams, exactly once: the Python framework whose model is closest to Kafka Streams."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.contenders import apart
from bench.contenders.contender import Running, Task

__all__ = ["Quix"]

_REQUIREMENTS = ("quixstreams==3.28.0", "fastavro==1.13.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quix:
    """One Quix process."""

    name: str = "quix"

    @property
    def exactly_once(self) -> bool:
        """It can be."""
        return True

    @property
    def copies(self) -> bool:
        """It transforms."""
        return False

    def problem(self) -> str | None:
        """Install it."""
        return apart.ready(self.name, _REQUIREMENTS)

    def start(self, task: Task) -> Running:
        """Start the process; as the operator, because it insists on reading the configuration of its topics."""
        return apart.start(self.name, "quix_app.py", replace(task, settings=task.operator))
