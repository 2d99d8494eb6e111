"""Successive snapshots of a table as change events: what was created, what changed, what was withdrawn since the one before.

For systems that can only export. Restartable: which snapshots were taken, and the last one's rows, stand in a state file that is
replaced once the brokers have confirmed all events; a crash before that sends the same events with the same ids again. A snapshot
that looks truncated is refused as a whole. Neighbours: ``_snapshot_state`` keeps the file, ``hutong.Publisher`` sends.
"""

from __future__ import annotations

import csv
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

from connectors.sources._snapshot_metrics import REFUSED, count
from connectors.sources._snapshot_state import State, read_state, text_of, write_state
from hutong.errors import ContractViolation, DatabaseUnavailable, SnapshotRefused
from hutong.handle import PublishHandle
from hutong.publisher import Event

__all__ = ["Change", "Counts", "Snapshot", "SnapshotSource", "changes", "csv_rows", "event_id", "table_rows"]

_LOG = logging.getLogger("hutong.snapshot")

Row = Mapping[str, Any]

_NAMESPACE = uuid.UUID("8f6f0f4e-4f6c-5d0c-9a35-6d2f4f0f6a51")  # of these event ids; never to be changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A whole table at one moment.

    Attributes:
        id: names it for good, such as ``2019-04`` or a file's name; the same id is taken once.
        rows: all rows, each column name -> value (text, number, date, time, decimal, UUID, bytes or None).
        time: when it was true; the events' time. None means now.
    """

    id: str
    rows: Iterable[Row]
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The difference between two snapshots in one row.

    Attributes:
        kind: what happened to the row.
        key: the key columns' values, joined with ``|``.
        row: the row now; None when it was withdrawn.
        before: the row in the snapshot before; None when it is new.
        snapshot: id of the snapshot that shows it.
    """

    kind: Literal["created", "changed", "withdrawn"]
    key: str
    row: Row | None
    before: Row | None
    snapshot: str


@dataclass(slots=True, kw_only=True)
class Counts:
    """What came of a snapshot; all zero where it had been taken before."""

    created: int = 0
    changed: int = 0
    withdrawn: int = 0
    left_out: int = 0
    broken: int = 0
    keys_of_broken: list[str] = field(default_factory=list)

    @property
    def published(self) -> int:
        """Events sent and confirmed."""
        return self.created + self.changed + self.withdrawn

    @property
    def outcomes(self) -> dict[str, int]:
        """Rows, by what became of them."""
        return {name: getattr(self, name) for name in ("created", "changed", "withdrawn", "left_out", "broken")}


class _Publisher(Protocol):
    """Of ``hutong.Publisher`` as much as is needed here."""

    def publish(
        self, event: Event, contract: str | None = None, *, id: str | None = None, time: datetime | None = None
    ) -> PublishHandle: ...

    def flush(self, timeout: float = 30.0) -> None: ...


class SnapshotSource:
    """Publishes the changes between snapshots of one table.

    Args:
        publisher: of the table's department.
        contract: the contract's name.
        key: columns that identify a row.
        event: makes the event's data of a change, or None where the change is of no interest.
        state: file that remembers what was taken; its directory must exist.
        max_withdrawn: a snapshot that lacks a larger share of the rows before is refused.
        skip_broken: leave out rows whose event breaks the contract, and try them again with the next snapshot; else the first one
            raises and nothing is remembered.
    """

    def __init__(
        self,
        publisher: _Publisher,
        *,
        contract: str,
        key: Sequence[str],
        event: Callable[[Change], Event | None],
        state: Path,
        max_withdrawn: float = 0.2,
        skip_broken: bool = False,
    ) -> None:
        self._publisher, self._contract, self._key, self._event = publisher, contract, tuple(key), event
        self._file, self._max_withdrawn, self._skip_broken = state, max_withdrawn, skip_broken
        self._state = read_state(state)

    def take(self, snapshot: Snapshot, *, trusted: bool = False) -> Counts:
        """Publish what changed since the last snapshot, wait for the brokers, and remember it.

        Args:
            snapshot: the table now.
            trusted: take it however much it withdraws and whatever columns it lacks.

        Raises:
            SnapshotRefused: it looks truncated or broken; nothing was published.
            ContractViolation: a change's event breaks the contract; the snapshot is not remembered.
            DeliveryFailed: not all events were confirmed; taking the snapshot again sends them with the same ids.
        """
        counts = Counts()
        if snapshot.id in self._state.taken:
            return counts
        try:
            rows, columns = self._rows(snapshot)
            if not trusted:
                self._refuse_broken(snapshot.id, rows, columns)
        except SnapshotRefused:
            REFUSED.labels(self._contract).inc()
            raise
        remembered = dict(rows)
        for change in changes(self._state.rows, rows, snapshot.id):
            self._publish(change, snapshot, counts, remembered)
        self._publisher.flush(60.0)
        self._state = State(taken=[*self._state.taken, snapshot.id], columns=columns, rows=remembered)
        write_state(self._file, self._state)
        count(self._contract, counts.outcomes)
        return counts

    def _publish(self, change: Change, snapshot: Snapshot, counts: Counts, remembered: dict[str, Row]) -> None:
        event = self._event(change)
        if event is None:
            counts.left_out += 1
            return
        try:
            self._publisher.publish(event, self._contract, id=event_id(self._contract, change), time=snapshot.time)
        except ContractViolation as violation:
            if not self._skip_broken:
                raise
            counts.broken += 1
            counts.keys_of_broken.append(change.key)
            _LOG.warning("snapshot %s: a %s row is left out: %s", snapshot.id, change.kind, violation)
            if change.before is None:
                del remembered[change.key]
            else:
                remembered[change.key] = change.before
            return
        setattr(counts, change.kind, getattr(counts, change.kind) + 1)

    def _rows(self, snapshot: Snapshot) -> tuple[dict[str, Row], list[str]]:
        rows: dict[str, Row] = {}
        columns: dict[str, None] = {}
        for number, row in enumerate(snapshot.rows, 1):
            values = [row.get(column) for column in self._key]
            if None in values or "" in values:
                raise SnapshotRefused(f"snapshot {snapshot.id}: row {number} has no value in the key {', '.join(self._key)}")
            key = "|".join(map(str, values))
            if key in rows:
                raise SnapshotRefused(
                    f"snapshot {snapshot.id}: row {number} has the key of an earlier row; the key must be unique"
                )
            rows[key] = dict(row)
            columns.update(dict.fromkeys(row))
        return rows, list(columns)

    def _refuse_broken(self, name: str, rows: Mapping[str, Row], columns: Sequence[str]) -> None:
        before = self._state.rows
        if not rows:
            raise SnapshotRefused(f"snapshot {name} has no rows: a failed export? Take it with trusted=True if it is right")
        lacking = [column for column in self._state.columns if column not in columns]
        if lacking:
            raise SnapshotRefused(
                f"snapshot {name} lacks the columns {', '.join(lacking)} that the one before had: a failed export? "
                f"Take it with trusted=True if it is right"
            )
        withdrawn = len(before.keys() - rows.keys())
        if before and withdrawn / len(before) > self._max_withdrawn:
            raise SnapshotRefused(
                f"snapshot {name} withdraws {withdrawn} of {len(before)} rows ({withdrawn / len(before):.0%}, the limit is "
                f"{self._max_withdrawn:.0%}): a truncated export? Take it with trusted=True if it is right"
            )


def event_id(contract: str, change: Change) -> str:
    """The id of a change's event: the same change of the same snapshot has the same id, whenever it is published."""
    content = text_of(change.row if change.row is not None else change.before)
    return str(uuid.uuid5(_NAMESPACE, "\0".join((contract, change.snapshot, change.kind, change.key, content))))


def changes(before: Mapping[str, Row], rows: Mapping[str, Row], snapshot: str) -> Iterator[Change]:
    """The differences between two tables, each key -> row, in the order of the keys."""
    for key in sorted(before.keys() | rows.keys()):
        old, new = before.get(key), rows.get(key)
        if old is None:
            yield Change(kind="created", key=key, row=new, before=None, snapshot=snapshot)
        elif new is None:
            yield Change(kind="withdrawn", key=key, row=None, before=old, snapshot=snapshot)
        elif old != new:
            yield Change(kind="changed", key=key, row=new, before=old, snapshot=snapshot)


def csv_rows(path: Path, *, encoding: str = "utf-8-sig", delimiter: str = ",") -> Iterator[Row]:
    """The rows of a CSV file with a header line, all values as text.

    Raises:
        SnapshotRefused: a line does not have as many fields as the header (a file cut off ends so), a column comes twice, it is
            not text, or no file at all.
    """
    with _opened(path, encoding) as file:
        lines = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(lines, [])
            if len(named := [column for column in header if column]) > len(set(named)):
                raise SnapshotRefused(f"{path.name}, line 1: a column is there twice, so one of its values would be lost")
            for fields in lines:
                if len(fields) != len(header):
                    found = f"{len(fields)} fields instead of {len(header)}"
                    raise SnapshotRefused(f"{path.name}, line {lines.line_num}: {found}: the file is broken or cut off")
                yield dict(zip(header, fields, strict=True))
        except (csv.Error, UnicodeError) as error:
            raise SnapshotRefused(
                f"{path.name}, line {lines.line_num + 1}: {_kind(error)}: the file is broken or cut off"
            ) from None


def _opened(path: Path, encoding: str) -> TextIO:
    try:
        if not path.is_file():  # a pipe would be waited for
            raise SnapshotRefused(f"{path.name}: there is no such file")
        return path.open(encoding=encoding, newline="")
    except (OSError, LookupError) as error:
        raise SnapshotRefused(f"{path.name} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def table_rows(connection: Any, query: str, *, batch: int = 10_000) -> Iterator[Row]:
    """The rows of a query on a psycopg connection, read through a server-side cursor in one consistent view.

    Raises:
        DatabaseUnavailable: the connection broke off; what was read so far is not a snapshot.
    """
    import psycopg
    from psycopg.rows import dict_row

    try:
        with connection.transaction(), connection.cursor("hutong_snapshot", row_factory=dict_row) as cursor:
            cursor.itersize = batch
            cursor.execute(query)
            yield from cursor
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"the database broke off in the middle of the snapshot: {type(error).__name__}") from error


def _kind(error: Exception) -> str:
    return "it is not text in the expected encoding" if isinstance(error, UnicodeError) else str(error)
