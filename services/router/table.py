"""The router's table of agreements: ``hutong.runtime.agreements``, counted and timed.

Neighbours: ``hutong.kafka.control`` calls ``change`` from its thread; the handler asks for ``table`` with every event.
"""

from __future__ import annotations

import time

from hutong.runtime import agreements
from services.router import metrics

__all__ = ["Agreements"]


class Agreements(agreements.Agreements):
    """The table, replaced whole whenever the control topic changes."""

    def update(self, documents: dict[str, bytes]) -> None:
        """Compile what changed, put the new table in place, and say how long it took."""
        began = time.perf_counter()
        super().update(documents)
        metrics.AGREEMENTS.set(len(self._grants))
        metrics.TABLE_SECONDS.observe(time.perf_counter() - began)

    def change(self, documents: dict[str, bytes], changed_ms: int | None) -> None:
        """As ``update``, and say how long the change was on its way.

        Args:
            documents: all agreements.
            changed_ms: when the change was appended to the control topic; None for what was there before.
        """
        self.update(documents)
        if changed_ms is not None:
            metrics.REVOCATION_SECONDS.observe(max(0.0, time.time() - changed_ms / 1000))
