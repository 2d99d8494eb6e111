"""The outbox: an event written in the department's own PostgreSQL transaction, so that it exists exactly if the change does.

The event is checked and encoded at once: one that breaks its contract raises here, and the business change can be rolled back. No
broker and no registry is asked. ``python -m connectors.sources.outbox`` relays what was committed. Neighbours: ``envelope`` makes
the bytes.

Events of one key are relayed in the order in which they were added by transactions that do not overlap. Change the business row
first and add its event after it, as the row's lock then keeps two changes of one thing apart.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from hutong.contracts.schema import EventSchema
from hutong.contracts.shape import fingerprint
from hutong.envelope import contract_of, seal
from hutong.errors import ConfigurationError, ContractViolation
from hutong.metrics import VIOLATIONS
from hutong.model import ChangeEvent

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection

__all__ = ["BUCKETS", "TABLE", "add", "add_async", "add_many", "create_table"]

BUCKETS = 64
"""The keys are dealt into so many buckets; each belongs to one relay at a time. More relays than buckets are of no use."""

TABLE = """
CREATE TABLE IF NOT EXISTS hutong_outbox (
    position    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket      smallint NOT NULL,
    contract    text NOT NULL,
    version     integer NOT NULL,
    shape       text NOT NULL,        -- fingerprint of the Avro schema that value is written with
    event_id    text NOT NULL,
    key         text NOT NULL,
    value       bytea NOT NULL,       -- Avro binary
    event_time  timestamptz NOT NULL,
    traceparent text,
    added       timestamptz NOT NULL DEFAULT now(),
    failed      text,                 -- why the relay cannot send it; the later events of the same key wait behind it
    corrects    text                  -- id of the event that this one puts right
);
DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'hutong_outbox'::regclass AND attname = 'corrects')
    THEN ALTER TABLE hutong_outbox ADD COLUMN corrects text; END IF; END $$;
CREATE INDEX IF NOT EXISTS hutong_outbox_failed ON hutong_outbox (contract, key) WHERE failed IS NOT NULL;
"""
"""The table, for the department's own migrations; also makes one of an earlier version as it should be."""

_INSERT = b"""
INSERT INTO hutong_outbox (bucket, contract, version, shape, event_id, key, value, event_time, traceparent)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_INSERT_CORRECTION = b"""
INSERT INTO hutong_outbox (bucket, contract, version, shape, event_id, key, value, event_time, traceparent, corrects)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
"""Apart, so that a table of an earlier version takes all that is no correction."""

Event = ChangeEvent | Mapping[str, Any]


def create_table(connection: Connection[Any]) -> None:
    """Create the outbox table where there is none, in the connection's transaction; an earlier version's gets what it lacks."""
    for statement in TABLE.split(";\n"):
        if statement.strip():
            connection.execute(statement.encode())


def add(
    connection: Connection[Any],
    event: Event,
    contract: EventSchema | None = None,
    *,
    id: str | None = None,
    time: datetime | None = None,
    traceparent: str | None = None,
    corrects: str | None = None,
) -> str:
    """Check an event and write it into the outbox, in the connection's transaction.

    Args:
        connection: psycopg connection inside the transaction that makes the business change.
        event: a model written by ``hutong codegen``, or a mapping.
        contract: the contract's version, for a mapping.
        id: the event id; by default a new UUID.
        time: when the change happened; by default now.
        traceparent: W3C trace context; by default OpenTelemetry's current span, if there is one.
        corrects: id of the event of this contract that this one puts right; recipients see it beside the event's own id.

    Returns:
        The event id.

    Raises:
        ContractViolation: the event breaks its contract; roll the business change back.
        ConfigurationError: the connection is in no transaction, or a mapping comes without its contract.
    """
    _in_transaction(connection)
    statement, row = _row(event, contract, id, time, traceparent, corrects)
    connection.execute(statement, row)
    return str(row[4])


async def add_async(
    connection: AsyncConnection[Any],
    event: Event,
    contract: EventSchema | None = None,
    *,
    id: str | None = None,
    time: datetime | None = None,
    traceparent: str | None = None,
    corrects: str | None = None,
) -> str:
    """As ``add``, on an asynchronous connection."""
    _in_transaction(connection)
    statement, row = _row(event, contract, id, time, traceparent, corrects)
    await connection.execute(statement, row)
    return str(row[4])


def add_many(connection: Connection[Any], events: Iterable[Event], contract: EventSchema | None = None) -> list[str]:
    """As ``add``, for many events with one round trip; nothing is written if one of them breaks its contract."""
    _in_transaction(connection)
    rows = [_row(event, contract, None, None, None, None)[1] for event in events]
    with connection.cursor() as cursor:
        cursor.executemany(_INSERT, rows)
    return [str(row[4]) for row in rows]


def _in_transaction(connection: Connection[Any] | AsyncConnection[Any]) -> None:
    if connection.autocommit and connection.info.transaction_status == 0:  # libpq's PQTRANS_IDLE
        raise ConfigurationError(
            "outbox.add was called on an autocommit connection outside a transaction: the event would not stand or fall with the "
            "business change; make both in 'with connection.transaction():'"
        )


def _row(
    event: Event,
    contract: EventSchema | None,
    event_id: str | None,
    time: datetime | None,
    traceparent: str | None,
    corrects: str | None,
) -> tuple[bytes, tuple[Any, ...]]:
    """The statement for an event, and its values."""
    schema = type(event).event_schema() if isinstance(event, ChangeEvent) else contract
    if schema is None:
        raise ConfigurationError("outbox.add takes a mapping together with its EventSchema: add(connection, event, schema)")
    contract_of(event, contract.contract if contract else schema.contract)
    try:
        sealed = seal(schema, event, id=event_id, time=time, traceparent=traceparent, corrects=corrects)
    except ContractViolation as violation:
        VIOLATIONS.labels(violation.contract, violation.rule).inc()
        raise
    if "\0" in sealed.key:
        raise ContractViolation(
            schema.contract, ", ".join(schema.key), "key", "holds a null character, which PostgreSQL cannot store"
        )
    row = (
        zlib.crc32(f"{schema.contract}\0{sealed.key}".encode()) % BUCKETS,
        schema.contract,
        schema.version,
        _shape(schema),
        sealed.id,
        sealed.key,
        sealed.body,
        sealed.time,
        sealed.traceparent,
    )
    return (_INSERT, row) if sealed.corrects is None else (_INSERT_CORRECTION, (*row, sealed.corrects))


@cache
def _shape(schema: EventSchema) -> str:
    return fingerprint(schema.parsed)
