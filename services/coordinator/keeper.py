"""Keeps the changelog such that each case's newest state stands last: what would undo one is overwritten.

Neighbours: ``strays`` finds, ``app`` has what was found while the changelog was read, ``serve`` runs this beside the work.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection

from hutong.errors import HutongError
from hutong.runtime.stop import Stop
from services.coordinator.app import CasesApp
from services.coordinator.strays import older

__all__ = ["Keeper"]

_LOG = logging.getLogger("hutong")

_LOOK_SECONDS = 0.5
_EVERY_SECONDS = 10.0  # compaction leaves what was just written alone for far longer

Store = Callable[[Collection[tuple[int, bytes]], int], Awaitable[bool]]
"""Writes the states of some cases (partition, number) once more, as they are known; whether it could."""


class Keeper:
    """Looks at the changelog of the own partitions now and then.

    Args:
        app: whose partitions, and what is known of them.
        store: writes.
    """

    def __init__(self, app: CasesApp, store: Store) -> None:
        self._app, self._store = app, store
        self._generation: int | None = None
        self._looked_at = 0.0

    async def run(self, stop: Stop) -> None:
        """Look until told to stop."""
        while not stop.is_set():
            await asyncio.sleep(_LOOK_SECONDS)
            if not self._app.is_recovered or (generation := self._app.generation) is None:
                self._generation = None
                continue
            if self._generation != generation:
                self._app.strays.begin(self._app.read_so_far())
                self._generation, self._looked_at = generation, 0.0
            if self._app.strays.suspected or time.monotonic() - self._looked_at >= _EVERY_SECONDS:
                await self.look(generation)
                self._looked_at = time.monotonic()

    async def look(self, generation: int) -> None:
        """Write once more what is older on the changelog than it is known here."""
        app = self._app
        try:
            unknown = app.strays.unknown(await asyncio.to_thread(app.strays.ends))
            found = await asyncio.to_thread(app.strays.find, unknown) if unknown else []
            if app.generation != generation:
                return
            known = {(partition, number): app.get(partition, number) for partition, number, _ in found}
            undone = {*older(found, known), *app.overtaken()}
            if undone and not await self._store(undone, generation):
                return
        except HutongError as error:
            _LOG.warning("the changelog is looked at later", extra={"facts": {"error": str(error)}})
            return
        app.strays.read(unknown)
        if undone:
            app.put_right(undone)
            _LOG.warning("older states stood last on the changelog", extra={"facts": {"cases": len(undone)}})
