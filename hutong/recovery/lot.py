"""What is written together: deliveries of a replay, and the record of them. Grows until it is large enough for one transaction.

Neighbours: ``quarantine`` and ``period`` fill it; ``hutong.kafka.lots`` writes it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from hutong.errors import Fenced
from hutong.event import REPLAY_HEADER
from hutong.kafka.lots import Lots, Outgoing
from hutong.kafka.topics import REPLAYS_TOPIC
from hutong.recovery.ledger import Entry
from hutong.stamps import stamp
from hutong.transcode.routing import Delivery

__all__ = ["Lot"]

_REPLAYED_AT = "hutong_replayed_at"
"""Beside the replay's id: when it was delivered again, by the clock of whoever replays."""

_MOST = 500  # deliveries in a transaction: some milliseconds, which is what readers of the topics wait for
_MOST_BYTES = 8_000_000
_MOST_READ = 5_000  # events read for one lot, be it that few are delivered: they were granted less than a second ago


class Lot:
    """Fills, is written, and begins anew.

    Args:
        writer: writes it.
        replay: the replay's id.
        rate: most deliveries a second; None for as fast as it goes.
    """

    def __init__(self, writer: Lots, replay: str, rate: float | None = None) -> None:
        self._writer, self._replay, self._rate = writer, replay.encode(), rate
        self._most = _MOST if rate is None else max(1, min(_MOST, int(rate)))
        self._records: list[Outgoing] = []
        self._entries: dict[str, bytes] = {}
        self._bytes = self._deliveries = self._read = 0
        self._next = 0.0

    @property
    def is_full(self) -> bool:
        """Whether it should be written now."""
        return self._deliveries >= self._most or self._bytes >= _MOST_BYTES or self._read >= _MOST_READ

    def read(self) -> None:
        """An event was read for it."""
        self._read += 1

    def deliver(self, delivery: Delivery) -> None:
        """Put a delivery in, marked as the replay's."""
        marks = [(REPLAY_HEADER, self._replay), (_REPLAYED_AT, stamp().header[1])]
        self._records.append((delivery.topic, delivery.key, delivery.value, [*delivery.headers, *marks]))
        self._deliveries += 1
        self._bytes += len(delivery.value)

    def note(self, entries: Iterable[Entry]) -> None:
        """Put records of the replay in; of one key the last counts."""
        self._entries.update(entries)

    def write(self) -> None:
        """Write what is in it.

        Raises:
            Fenced: another replay has begun meanwhile.
            HutongError: as ``Lots.write``.
        """
        notes: list[Outgoing] = [(REPLAYS_TOPIC, key.encode(), value, []) for key, value in self._entries.items()]
        self._next = time.monotonic() + (self._deliveries / self._rate if self._rate else 0.0)
        try:
            self._writer.write([*self._records, *notes])
        except Fenced:
            raise Fenced(
                "another replay has taken over: what this one had delivered stands, and the later one knows of it"
            ) from None
        self._records, self._entries = [], {}
        self._bytes = self._deliveries = self._read = 0

    def pause(self) -> None:
        """Wait until the next one may be filled: before it is, so that what is in a lot was granted a moment ago."""
        time.sleep(max(0.0, self._next - time.monotonic()))
