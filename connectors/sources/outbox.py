"""The outbox relay: publishes what departments' transactions have committed to ``hutong_outbox``, then deletes it.

``python -m connectors.sources.outbox --department mca.funeral``. At least once, with event ids that never change; in order per
key, also with several relays side by side: every key belongs to one bucket, and a bucket (a PostgreSQL advisory lock) to one
relay. One transaction per batch: take rows, publish, wait for the brokers, delete. ``hutong.outbox`` writes the table.
"""

from __future__ import annotations

import logging
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from connectors.sources._outbox_metrics import FAILED, LOCKS, OUTAGES, PRESENT, RELAYED, look
from connectors.sources._outbox_settings import RelaySettings
from hutong.envelope import Sealed
from hutong.errors import (
    BrokerUnavailable,
    BusError,
    ConfigurationError,
    ContractViolation,
    DatabaseUnavailable,
    DeliveryFailed,
    EventTooLarge,
    HutongError,
    NotAuthorised,
    UnknownContract,
)
from hutong.handle import PublishHandle
from hutong.outbox import BUCKETS
from hutong.publisher import Publisher
from hutong.runtime import logs
from hutong.runtime.health import Health, HealthServer
from hutong.runtime.loop import run
from hutong.runtime.stop import GRACE_SECONDS, Stop
from hutong.runtime.tracing import Tracing

__all__ = ["Relay"]

_LOG = logging.getLogger("hutong.outbox")

_SHARE_SECONDS = 1.0
_GIVE_UP_SECONDS = 30.0  # a transaction that stays open longer keeps the database from cleaning up
_IDLE_SECONDS = 0.05  # an empty outbox is looked at this often: cheap, and it works through any connection pooler

_TAKE = """
SELECT position, contract, version, shape, event_id, key, value,
    CASE WHEN event_time >= '0001-01-02' AND event_time < '9999-12-31' THEN event_time END, traceparent,
    (SELECT corrects FROM hutong_outbox AS own WHERE own.position = row.position)
FROM hutong_outbox AS row, (SELECT NULL::text AS corrects) AS earlier
WHERE bucket = ANY(%s) AND failed IS NULL AND NOT EXISTS (
    SELECT FROM hutong_outbox AS before
    WHERE before.failed IS NOT NULL AND before.contract = row.contract AND before.key = row.key)
ORDER BY position LIMIT %s
FOR UPDATE OF row SKIP LOCKED
"""
"""A table of an earlier version has no column ``corrects``; the name then means the one of ``earlier``, which is null.

PostgreSQL has times that Python has not (the year 10000, ``infinity``): they come as null, and their rows are marked.
"""

_POISON = (UnknownContract, NotAuthorised, EventTooLarge, ContractViolation)
"""What waiting does not cure: the event fails, its key waits, all others go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    position: int
    contract: str
    version: int
    shape: str
    key: str
    event: Sealed | None  # None where its time is none of the calendar

    @classmethod
    def of(cls, columns: tuple[Any, ...]) -> _Row:
        position, contract, version, shape, event_id, key, value, event_time, traceparent, corrects = columns
        sealed = Sealed(id=event_id, key=key, body=value, time=event_time, traceparent=traceparent, corrects=corrects)
        event = None if event_time is None else sealed
        return cls(position=position, contract=contract, version=version, shape=shape, key=key, event=event)


class Relay:
    """Relays one department's outbox, a batch per step.

    Args:
        department: the department's code.
        connect: opens a connection to the department's database; called again after an outage.
        publisher: opens a publisher of the department; called again after an outage.
        batch: rows per transaction. 2,000 rows are about 1 MB and 50 ms.
        retry_seconds: how often failed events are tried again; 0 leaves them to the operator.
    """

    def __init__(
        self,
        department: str,
        connect: Callable[[], psycopg.Connection[Any]],
        publisher: Callable[[], Publisher],
        *,
        batch: int = 2000,
        retry_seconds: float = 60.0,
    ) -> None:
        self.department = department
        self._connect, self._new_publisher = connect, publisher
        self._batch, self._retry_seconds = batch, retry_seconds
        self._connection: psycopg.Connection[Any] | None = None
        self._publisher: Publisher | None = None
        self._held: set[int] = set()
        self._next_share = self._next_retry = 0.0

    def step(self) -> bool:
        """Relay one batch; returns whether there was any.

        Raises:
            DatabaseUnavailable: the database does not answer; the next step connects again.
            BusError: the bus is away; nothing is lost, and what the brokers confirmed is deleted.
        """
        try:
            return self._step()
        except psycopg.errors.UndefinedTable as error:
            text = "has no table hutong_outbox; its application makes it with hutong.outbox.create_table"
            raise ConfigurationError(f"the database of {self.department} {text}") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()
            OUTAGES.labels(self.department).inc()
            raise DatabaseUnavailable(f"the database of {self.department} does not answer: {_one_line(error)}") from error
        except HutongError:
            OUTAGES.labels(self.department).inc()
            # A new producer has nothing in flight that could come after what is sent again.
            self.close()
            raise

    def close(self) -> None:
        """Let go of the database and the bus; another relay takes over."""
        connection, publisher = self._connection, self._publisher
        self._connection, self._publisher = None, None
        self._held.clear()
        if publisher is not None:
            try:
                publisher.close(timeout=1.0)
            except DeliveryFailed as failure:
                _LOG.warning("%s", _one_line(failure))
        if connection is not None:
            connection.close()

    def _step(self) -> bool:
        connection, publisher = self._session()
        if time.monotonic() >= self._next_share:
            self._share(connection)
        self._retry(connection)
        with connection.transaction(), connection.cursor(binary=True) as cursor:
            rows = [_Row.of(columns) for columns in cursor.execute(_TAKE, (list(self._held), self._batch))]
            outage = self._relay(cursor, publisher, rows) if rows else None
        if outage:
            raise outage
        return bool(rows)

    def _session(self) -> tuple[psycopg.Connection[Any], Publisher]:
        if self._publisher is None:
            self._publisher = self._new_publisher()
        if self._connection is None:
            self._connection = self._connect()
            self._connection.autocommit = True  # transactions are opened explicitly; the locks belong to the session
            self._connection.execute("SET application_name = 'hutong outbox relay'")
            # A delete that a crash of the database forgets is an event that comes twice, with the same id.
            self._connection.execute("SET synchronous_commit = off")
            self._connection.execute(f"SELECT pg_advisory_lock_shared({LOCKS}, {PRESENT})")
            self._next_share = 0.0
        return self._connection, self._publisher

    def _relay(self, cursor: psycopg.Cursor[Any], publisher: Publisher, rows: list[_Row]) -> HutongError | None:
        """Publish rows, delete the confirmed ones, mark the poisonous ones; returns what kept the rest from going."""
        sent: list[tuple[_Row, PublishHandle]] = []
        failed: dict[int, HutongError] = {}
        outage = _send(publisher, rows, sent, failed)
        with suppress(DeliveryFailed):  # every handle is looked at below
            publisher.flush(_GIVE_UP_SECONDS)
        done = []
        for row, handle in sent:
            if handle.done() and handle.error is None:
                done.append(row.position)
            elif isinstance(handle.error, _POISON):
                failed[row.position] = handle.error
            else:
                slow = BrokerUnavailable(f"{row.contract}: not confirmed within {_GIVE_UP_SECONDS:g} s")
                outage = outage or publisher.trouble() or _curable(handle.error) or slow
        cursor.execute("DELETE FROM hutong_outbox WHERE position = ANY(%s)", (done,))
        RELAYED.labels(self.department).inc(len(done))
        self._mark(cursor, failed)
        return outage

    def _mark(self, cursor: psycopg.Cursor[Any], failed: dict[int, HutongError]) -> None:
        for position, problem in failed.items():
            FAILED.labels(self.department, type(problem).__name__).inc()
            facts = {"department": self.department, "row": position, "error": str(problem)}
            _LOG.error("an outbox row cannot be published", extra={"facts": facts})
            cursor.execute("UPDATE hutong_outbox SET failed = %s WHERE position = %s", (str(problem), position))

    def _share(self, connection: psycopg.Connection[Any]) -> None:
        """Hold a fair part of the buckets: as many as there are, divided by the relays that are there."""
        self._next_share = time.monotonic() + _SHARE_SECONDS
        fair = math.ceil(BUCKETS / look(connection, self.department))
        for bucket in sorted(self._held)[fair:]:
            connection.execute(f"SELECT pg_advisory_unlock({LOCKS}, %s)", (bucket,))
            self._held.discard(bucket)
        wanted = [bucket for bucket in range(BUCKETS) if bucket not in self._held]
        random.shuffle(wanted)
        while wanted and len(self._held) < fair:
            some = [wanted.pop() for _ in range(min(len(wanted), fair - len(self._held)))]
            locked = connection.execute(
                f"SELECT bucket, pg_try_advisory_lock({LOCKS}, bucket) FROM unnest(%s::integer[]) AS bucket",  # noqa: S608
                (some,),
            )
            self._held.update(bucket for bucket, is_mine in locked if is_mine)

    def _retry(self, connection: psycopg.Connection[Any]) -> None:
        """Give failed events another try now and then: the contract may have been applied meanwhile."""
        now = time.monotonic()
        if not self._retry_seconds or now < self._next_retry:
            return
        self._next_retry = now + self._retry_seconds
        connection.execute(
            "UPDATE hutong_outbox SET failed = NULL WHERE failed IS NOT NULL AND bucket = ANY(%s)", (list(self._held),)
        )


def _send(
    publisher: Publisher, rows: list[_Row], sent: list[tuple[_Row, PublishHandle]], failed: dict[int, HutongError]
) -> HutongError | None:
    """Queue rows in order; after an outage the rest stays for the next batch, after a poisonous one its key does."""
    refused: dict[tuple[str, int, str], HutongError] = {}
    held_back: set[tuple[str, str]] = set()
    for row in rows:
        if (row.contract, row.key) in held_back:
            continue
        line = (row.contract, row.version, row.shape)
        try:
            if line in refused:
                raise refused[line]
            if row.event is None:
                raise ContractViolation(row.contract, "event_time", "time", "is outside the years 1 to 9999; correct the row")
            sent.append((row, publisher.forward(*line, row.event)))
        except _POISON as problem:
            failed[row.position] = problem
            held_back.add((row.contract, row.key))
            if not isinstance(
                problem, EventTooLarge | ContractViolation
            ):  # the others concern every event of the contract: ask once per batch
                refused[line] = problem
        except BusError as problem:
            return problem
    return None


def _curable(problem: HutongError | None) -> HutongError | None:
    """A producer that has failed for good is replaced: what it reports is an outage, not the end."""
    return problem if problem is None or problem.retriable else BrokerUnavailable(str(problem))


def _one_line(problem: BaseException) -> str:
    return " ".join(str(problem).split())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a relay until SIGTERM or SIGINT; the batch at hand is finished first."""
    logs.configure(RelaySettings.service)
    try:
        _run(RelaySettings.read(sys.argv[1:] if arguments is None else arguments))
    except HutongError as problem:
        _LOG.error("ended", extra={"facts": {"error": str(problem)}})
        sys.exit(1)


def _run(own: RelaySettings) -> None:
    stop, health = Stop().on_signals(within=GRACE_SECONDS), Health()
    tracing, server = Tracing(own), HealthServer(health, own)
    _LOG.info("starting", extra={"facts": {"department": own.department, "health_port": server.port}})
    address = own.database.get_secret_value()
    relay = Relay(own.department, lambda: psycopg.connect(address), lambda: Publisher(own.department), batch=own.batch)
    try:
        run(relay.step, stop=stop, health=health, idle_seconds=_IDLE_SECONDS)
    finally:
        relay.close()
        tracing.close()
        server.close()
        _LOG.info("stopped")


if __name__ == "__main__":
    main()
