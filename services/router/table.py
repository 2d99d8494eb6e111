"""The agreements in force, as this router sees them: from the control topic's records to a compiled table.

Neighbours: ``hutong.kafka.control`` calls ``update`` from its thread; the handler asks for ``table`` with every event.
"""

from __future__ import annotations

import logging
import time

from hutong.agreements.grant import Grant, contract_in
from hutong.errors import HutongError
from hutong.home import Home
from hutong.transcode.routing import RoutingTable
from services.router import metrics

__all__ = ["Agreements"]

_LOG = logging.getLogger("hutong")


class Agreements:
    """The table of agreements, replaced whole whenever the control topic changes.

    Args:
        home: where the pseudonym keys lie.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._documents: dict[str, bytes] = {}
        self._grants: dict[str, Grant] = {}
        self.table = RoutingTable({}, {})

    def update(self, documents: dict[str, bytes]) -> None:
        """Compile what changed and put the new table in place."""
        began = time.perf_counter()
        grants: dict[str, Grant] = {}
        unreadable: dict[str, tuple[str, HutongError]] = {}
        for name, document in documents.items():
            if self._documents.get(name) == document and name in self._grants:
                grants[name] = self._grants[name]
                continue
            try:
                grants[name] = Grant.from_json(document)
            except HutongError as error:
                unreadable[name] = (contract_in(document), error)
        secrets = {name: key for name in grants if (key := self._key(name)) is not None}
        self.table = RoutingTable(grants, secrets, unreadable=unreadable, before=self.table)
        self._documents, self._grants = documents, grants
        for name, problem in self.table.unusable.items():
            _LOG.error("an agreement cannot be applied", extra={"facts": {"agreement": name, "error": str(problem)}})
        metrics.AGREEMENTS.set(len(grants))
        metrics.TABLE_SECONDS.observe(time.perf_counter() - began)
        _LOG.info("agreements in force", extra={"facts": {"agreements": len(grants)}})

    def _key(self, agreement: str) -> bytes | None:
        """The pseudonym key; without a readable one the agreement's events go to quarantine."""
        try:
            text = self._home.read_key(agreement)
            return None if text is None else bytes.fromhex(text)
        except (HutongError, ValueError):
            return None
