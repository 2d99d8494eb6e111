"""Has the reading of the inbox died? Faust's consumer can stop without any error: its position is held against the topic's end.

Neighbours: ``serve`` ends the process when this says so; whoever supervises the process starts it again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from hutong.errors import BrokerUnavailable
from hutong.kafka.ends import Ends
from hutong.kafka.settings import Settings
from services.coordinator.app import CasesApp
from services.coordinator.inbox import INBOX

__all__ = ["Watch"]

_LOG = logging.getLogger("hutong")

_EVERY_SECONDS = 10.0
_DEAD_SECONDS = 60.0


class Watch:
    """Looks at the positions of a coordinator's partitions.

    Args:
        settings: the bus.
        dead_seconds: a partition with unread records whose position does not move for so long is not read any more.
    """

    def __init__(self, settings: Settings, *, dead_seconds: float = _DEAD_SECONDS) -> None:
        self._settings, self._dead_seconds = settings, dead_seconds
        self._moved: dict[int, tuple[int, float]] = {}

    async def run(self, app: CasesApp, is_full: Callable[[], bool]) -> None:
        """Look now and then.

        Args:
            app: whose partitions.
            is_full: whether so much is waiting that nothing need be read.

        Raises:
            BrokerUnavailable: a partition is not read any more.
        """
        with Ends(self._settings, INBOX) as known:
            while True:
                await asyncio.sleep(_EVERY_SECONDS)
                if not app.is_recovered or is_full():
                    self._moved.clear()
                    continue
                partitions = app.partitions()
                ends = await asyncio.to_thread(known.of, partitions)
                if ends is None:  # nothing can be said while the brokers are away
                    self._moved.clear()
                    continue
                for partition in partitions:
                    async with asyncio.timeout(self._dead_seconds):
                        position = await app.consumer.position(app.inbox_partition(partition))
                    self.look(partition, position or 0, ends[partition], time.monotonic())

    def look(self, partition: int, position: int, end: int, now: float) -> None:
        """Take a position.

        Raises:
            BrokerUnavailable: it should have moved long ago.
        """
        known = self._moved.get(partition)
        if known is None or known[0] != position or position >= end:
            self._moved[partition] = (position, now)
        elif now - known[1] >= self._dead_seconds:
            raise BrokerUnavailable(f"{INBOX}, partition {partition}, is not read any more; start again")
