"""What a ministry holds of one channel: every delivery as it came, in a SQLite file, repetitions too.

Neighbours: ``ministry`` and ``bare_client`` write these files, ``account`` judges what is in them. Nothing here is unique on
purpose: a delivery that comes twice must be seen twice.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from demo.account import Held
from demo.rights import canonical

__all__ = ["Holdings", "count_held", "read_held"]

_TABLE = """
CREATE TABLE IF NOT EXISTS received (
    agreement    TEXT,
    event_id     TEXT,
    key          TEXT,
    data         TEXT,
    delivered_ms INTEGER,
    received_ms  INTEGER
)"""

_BATCH = 500  # rows kept back at most; a tick without events writes them earlier


class Holdings:
    """The writing side, for one thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        # The demo reads the file while it grows, and nobody's life depends on it: no waiting for the disk.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(_TABLE)
        self._rows: list[tuple[str, str, str, str, int, int]] = []

    def take(self, agreement: str, event_id: str, key: str, data: Any, delivered_ms: int) -> None:
        """Keep a delivery that has just been received."""
        now_ms = time.time_ns() // 1_000_000
        self._rows.append((agreement, event_id, key, canonical(data), delivered_ms, now_ms))
        if len(self._rows) >= _BATCH:
            self.write()

    def write(self) -> None:
        """Put down what is kept."""
        if self._rows:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO received VALUES (?, ?, ?, ?, ?, ?)", self._rows)
            self._database.execute("COMMIT")
            self._rows.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.write()
        self._database.close()


def count_held(path: Path) -> int:
    """How many deliveries are in a file, 0 where there is none yet."""
    if not path.exists():
        return 0
    with sqlite3.connect(path) as database:
        try:
            # Rows are only ever added: the last one's number is their count, without reading them.
            (count,) = database.execute("SELECT coalesce(max(rowid), 0) FROM received").fetchone()
        except sqlite3.OperationalError:  # its table is being made at this moment
            return 0
    return int(count)


def read_held(path: Path) -> Iterator[Held]:
    """All deliveries of a file, in the order of receipt."""
    with sqlite3.connect(path) as database:
        for agreement, event_id, key, data, delivered_ms, received_ms in database.execute(
            "SELECT agreement, event_id, key, data, delivered_ms, received_ms FROM received ORDER BY rowid"
        ):
            yield Held(
                agreement=agreement,
                id=event_id,
                key=key,
                data=data,
                delivered_ms=delivered_ms,
                received_ms=received_ms,
            )
