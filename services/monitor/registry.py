"""Does the schema registry answer? Asked from a thread of its own: a registry that hangs must not hold up a look at the bus.

Neighbours: ``metrics`` tells the answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from hutong.errors import HutongError
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings

__all__ = ["RegistryWatch"]

_EVERY = 5.0
_SECONDS = 3.0


class RegistryWatch:
    """Asks again and again.

    Args:
        settings: where the registry is.
        tell: is told each answer.
    """

    def __init__(self, settings: Settings, tell: Callable[[bool], None]) -> None:
        self._registry = Registry.of(settings.model_copy(update={"registry_seconds": _SECONDS}))
        self._tell = tell
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="registry", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join(_SECONDS)

    def _ask(self) -> None:
        while True:
            try:
                self._registry.versions("hutong.monitor")  # there is no such subject; that it says so is the answer
                self._tell(True)
            except HutongError:
                self._tell(False)
            if self._stop.wait(_EVERY):
                return
