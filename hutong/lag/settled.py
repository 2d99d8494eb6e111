"""Which records in quarantine are left to be looked at? All but those that a replay has settled.

Neighbours: ``hutong.recovery`` records what it settles on ``ctl.replays``; ``look`` counts what is left.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from hutong.errors import DeclarationError
from hutong.recovery.ledger import Ledger
from hutong.recovery.record import QuarantineRecord
from hutong.transport import Record

__all__ = ["LEFT", "Settled"]

_LOG = logging.getLogger("hutong")

LEFT = "left"
"""Whom a record in quarantine concerns that nobody has settled."""


class Settled:
    """Keeps the record of replays, as far as it concerns quarantine.

    Attributes:
        version: rises with every change.
    """

    def __init__(self) -> None:
        self._ledger = Ledger()
        self.version = 0

    def update(self, entries: dict[str, bytes]) -> None:
        """Take over the control topic's records."""
        try:
            ledger = Ledger.read({key: value for key, value in entries.items() if key.startswith("settled/")})
        except DeclarationError as error:
            _LOG.warning("replays cannot be read", extra={"facts": {"error": str(error)}})
            return
        if ledger.settled.keys() != self._ledger.settled.keys():
            self._ledger = ledger
            self.version += 1

    def left(self, records: Sequence[Record]) -> list[list[str]]:
        """For each record in quarantine, whether it is left to be looked at."""
        ledger = self._ledger
        if not ledger.settled:
            return [[LEFT]] * len(records)
        return [[] if ledger.is_settled(QuarantineRecord.read(one)) else [LEFT] for one in records]
