"""The lag as a command sees it: the agreements read anew with each look, and as much of the bus as the cap allows.

Neighbours: ``hutong lag`` and, where no monitor runs, ``hutong top``; the monitor itself follows the agreements instead.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from hutong.kafka.compacted import read_all
from hutong.kafka.registry import Registry
from hutong.kafka.schemas import WriterSchemas
from hutong.kafka.settings import Settings
from hutong.kafka.topics import AGREEMENTS_TOPIC
from hutong.lag.concern import Concern
from hutong.lag.look import ROUTER_GROUP, Onlooker
from hutong.lag.snapshot import Snapshot

__all__ = ["LagNow"]

_SECONDS = 20.0
"""Reading a million records takes about as long; what is not known by then is estimated."""


class LagNow:
    """Measures the lag of one bus whenever it is called.

    Args:
        settings: where, and as whom.
        router_group: the routers' consumer group.
    """

    def __init__(self, settings: Settings, *, router_group: str = ROUTER_GROUP) -> None:
        self._settings = settings
        self._concern = Concern(WriterSchemas(Registry.of(settings)))
        self._onlooker = Onlooker(settings, self._concern, router_group=router_group, eager=True)

    def __call__(self) -> Snapshot:
        """The bus now.

        Raises:
            HutongError: the brokers do not answer, or refuse.
        """
        self._concern.update(read_all(self._settings, AGREEMENTS_TOPIC))
        return self._onlooker.look(seconds=_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the brokers."""
        self._onlooker.close()
