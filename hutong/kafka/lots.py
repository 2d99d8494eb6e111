"""Lots of records, each written whole or not at all, by whoever took a transactional id last: the others are fenced.

Neighbours: ``transaction`` does the same together with what it reads; ``hutong.recovery`` delivers again with this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException

from hutong.errors import BrokerUnavailable, Fenced, HutongError
from hutong.kafka.errors import kafka_error, translate
from hutong.kafka.outlet import Outlet
from hutong.kafka.settings import Settings

__all__ = ["Lots", "Outgoing"]

_TRANSACTION_SECONDS = 10.0  # so long readers wait for the lot of a writer that was killed

_COMMIT_SECONDS = 60.0  # a person waits, and can look and begin again

Outgoing = tuple[str, bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
"""Topic, key, value and headers of a record to write."""


class Lots:
    """A writer of lots. After an error it is of no use any more.

    Args:
        settings: the bus.
        transactional_id: whoever held it before is fenced, and what it had not committed is given up.

    Raises:
        HutongError: transactions cannot begin.
    """

    def __init__(self, settings: Settings, transactional_id: str) -> None:
        self._settings = settings
        self._outlet: Outlet | None = Outlet(
            settings,
            transactional_id=transactional_id,
            instance=transactional_id,
            transaction_seconds=_TRANSACTION_SECONDS,
            closed={},
        )

    def write(self, records: Iterable[Outgoing]) -> None:
        """Write a lot; returns when readers may have it.

        Raises:
            Fenced: somebody else holds the transactional id now; nothing of this lot is there.
            HutongError: nothing of this lot is there; or nobody knows, where the commit failed: look, then write again.
        """
        outlet = self._outlet
        if outlet is None:
            raise BrokerUnavailable("a lot was given up, or the connection broke; begin again")
        try:
            outlet.begin()
            for record in records:
                outlet.produce(*record)
            outlet.producer.commit_transaction(_COMMIT_SECONDS)
        except KafkaException as error:
            raise self._given_up(outlet, error) from error
        except BaseException:
            self._give_up(None)
            raise
        if outlet.shaken:
            # This lot is there. What was sent of it twice could end the next one (see ``transaction``), and a new producer of the
            # same id must not be taken here: it would fence whoever has taken over.
            self._outlet = None

    def close(self) -> None:
        """Give up what is open."""
        self._outlet = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _given_up(self, outlet: Outlet, error: KafkaException) -> HutongError:
        """Give the lot up; why it failed. Whoever raises this must have no name for it: see ``transaction``."""
        undelivered = outlet.undelivered()  # asked before the abort, which reports what it gives up as undelivered too
        self._give_up(kafka_error(error))
        problem = self._explain(error)
        return undelivered if undelivered and problem.retriable else problem

    def _give_up(self, error: KafkaError | None) -> None:
        outlet, self._outlet = self._outlet, None
        if outlet is not None and (error is None or error.txn_requires_abort()):
            with suppress(KafkaException):  # the brokers do it by themselves soon
                outlet.producer.abort_transaction(_TRANSACTION_SECONDS)

    def _explain(self, error: KafkaException) -> HutongError:
        problem = kafka_error(error)
        if problem is not None and problem.code() == KafkaError._FATAL:  # of a transactional producer: it was fenced before
            return Fenced("cannot write: another client with the same identity has taken over; start a new one")
        return translate(error, "write a lot", principal=self._settings.username, servers=self._settings.bootstrap_servers)
