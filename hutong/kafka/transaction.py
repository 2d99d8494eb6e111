"""Consume, transform, produce: one Kafka transaction per batch, source offsets included. What is here keeps "exactly once".

A batch is read in chunks, each handed to a function that produces what becomes of it; then offsets and output commit together.
So the size of a transaction, which ``pace`` finds, is not the size of what is in memory. Whatever fails, the transaction is
aborted and the batch is read again from where the group stands. Neighbours: ``inlet`` reads, ``outlet`` writes;
``services/router`` passes its handler; ``runtime.loop`` calls ``step``.

librdkafka does not speak transactions version 2 (KIP-890), so an EndTxn that is delayed past its time-out may decide the *next*
transaction of the same producer epoch (KAFKA-17754). Therefore a producer whose last outcome is not known is thrown away:
``init_transactions`` of the next one raises the epoch and fences whatever is still on its way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from hutong.errors import BrokerUnavailable, Fenced, HutongError
from hutong.kafka.chunk import Chunk, Place
from hutong.kafka.errors import kafka_error, translate
from hutong.kafka.inlet import Inlet, is_member
from hutong.kafka.outlet import Outlet
from hutong.kafka.pace import Pace
from hutong.kafka.settings import Settings
from hutong.transcode.choice import Lane

__all__ = ["Output", "TransactionalStep"]

_LOG = logging.getLogger("hutong")


class Output(Protocol):
    """Where a handler puts what becomes of a chunk: into the open transaction. ``Outlet`` says what each does."""

    @property
    def is_fast(self) -> bool: ...

    def run(
        self,
        lane: Lane,
        chunk: Chunk,
        at: int,
        end: int,
        now_ms: int,
        delivered: dict[str, int],
        routed: dict[str, int],
        traced: list[Any] | None = None,
    ) -> tuple[int, str, Any]: ...

    def produce(self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None: ...


Handle = Callable[[Chunk, Output], bool]
"""Produces what becomes of a chunk; returns whether the transaction may go on with more, if there is more."""

_CHUNK = 5_000  # events read at once: large enough to cost little, small enough to hold in memory
_BUSY = 1_000  # a chunk of so many says that more is on its way: worth a moment's wait
_FENCED_FOR_GOOD, _FENCED_SECONDS = 4, 60.0  # so many times within so long are no coincidence
_SHARE = 3  # a transaction should take no more than this part of the time after which the brokers abort it


class _Disturbed(Exception):
    """Partitions came or went, or reading failed for a moment: what was read may be somebody else's."""


class TransactionalStep:
    """The exactly-once step of one instance.

    Args:
        settings: the bus, as the operator's principal.
        group: consumer group; all instances share the partitions.
        instance: name of this instance, unique in the group and the same after a restart: it fences its own predecessor.
        topics: topic names, or patterns that begin with ``^``.
        begin: called before a transaction's first chunk; what the handler counted of one that failed is void.
        handle: makes the output of a chunk.
        batch_events: most events of one transaction; how many it is ``pace`` decides.
        transaction_seconds: after this long the brokers abort a transaction whose router has died, and readers go on.

    Attributes:
        outcomes: how many transactions were "committed", "aborted", or of an outcome that was not told ("unknown").
    """

    def __init__(
        self,
        settings: Settings,
        *,
        group: str,
        instance: str,
        topics: list[str],
        begin: Callable[[], None],
        handle: Handle,
        batch_events: int,
        transaction_seconds: float,
    ) -> None:
        self._settings, self._group, self._instance = settings, group, instance
        self._begin, self._handle = begin, handle
        self._transaction_seconds = transaction_seconds
        self._pace = Pace(most=batch_events, seconds=transaction_seconds / _SHARE)
        self._outlet: Outlet | None = None
        self._unsettled: set[Place] = set()
        self._held = 0  # events of the open transaction
        self._fenced: list[float] = []
        self._closed: dict[str, float] = {}
        self.outcomes = {"committed": 0, "aborted": 0, "unknown": 0}
        self._inlet = Inlet(settings, group=group, instance=instance, topics=topics)

    def step(self) -> bool:
        """One batch. Returns whether there was anything to do.

        Raises:
            BusError: retriable ones leave everything as before the step; try again.
            Fenced: another instance with the same name is at work.
        """
        outlet = self._outlet = self._outlet or self._new_outlet()
        if self._unsettled:
            # The last transaction has been aborted, or initialising the producer has settled it; only the group's offsets know.
            self._inlet.back_to_committed(self._unsettled)
            self._unsettled = set()
        began = time.perf_counter()
        chunk = self._inlet.first(min(_CHUNK, self._pace.limit))
        if not len(chunk) and not chunk.errors:
            return False
        self._unsettled = set(chunk.positions())
        if not self._inlet.undisturbed(chunk) or not is_member(metadata := self._inlet.metadata()):
            return False
        return self._transact(outlet, chunk, metadata, began)

    @property
    def rebalances(self) -> dict[str, int]:
        """How often partitions were "assigned", "revoked" or "lost"."""
        return self._inlet.rebalances

    def queued(self) -> int:
        """Records that were produced and are not acknowledged; may be asked from any thread."""
        outlet = self._outlet
        return 0 if outlet is None else len(outlet.producer)

    def close(self) -> None:
        """Leave the group, so that the others take over at once."""
        self._inlet.close()
        self._outlet = None

    def _transact(self, outlet: Outlet, chunk: Chunk, metadata: Any, began: float) -> bool:
        self._held = 0
        try:
            outlet.begin()
            self._begin()
            positions, waiting, metadata = self._fill(outlet, chunk, metadata, began)
            outlet.producer.send_offsets_to_transaction([TopicPartition(*p, at) for p, at in positions.items()], metadata)
            outlet.producer.commit_transaction(-1)
        except KafkaException as error:
            undelivered = outlet.undelivered()  # asked before the abort, which reports what it gives up as undelivered too
            self._give_up(outlet, kafka_error(error))
            problem = self._failed(error)
            raise (undelivered if undelivered and problem.retriable else problem) from error
        except _Disturbed:
            self._give_up(outlet, None)
            return False
        except BaseException:
            self._give_up(outlet, None)
            raise
        self._unsettled = set()
        self.outcomes["committed"] += 1
        self._pace.done(self._held, time.perf_counter() - began, waiting=waiting)
        return True

    def _fill(self, outlet: Outlet, chunk: Chunk, metadata: Any, began: float) -> tuple[dict[Place, int], bool, Any]:
        """Handle chunk after chunk, until the transaction is large enough or there is no more.

        Returns:
            Where to go on after it, whether more were waiting, and the group's metadata from before the last chunk was handled:
            a rebalance since then fences the offsets.
        """
        positions: dict[Place, int] = {}
        while True:
            positions |= chunk.positions()
            self._held += len(chunk)
            go_on = self._handle(chunk, outlet)
            room = self._pace.room(self._held, time.perf_counter() - began)
            if not room or not go_on or len(chunk) < _BUSY:
                return positions, not room, metadata
            chunk = self._inlet.more(min(_CHUNK, room))
            self._unsettled |= chunk.positions().keys()
            if not self._inlet.undisturbed(chunk):
                raise _Disturbed
            if not len(chunk):
                return positions, False, metadata
            metadata = self._inlet.metadata()
            if not is_member(metadata):
                raise _Disturbed

    def _give_up(self, outlet: Outlet, error: KafkaError | None) -> None:
        """Abort where that is certain to work; the batch is read again in either case.

        Else nobody knows how the transaction ends: throw the producer away, and with it what is still on its way, and ask the
        group's offsets once its successor has settled it.
        """
        if error is None or error.txn_requires_abort():
            try:
                outlet.producer.abort_transaction(-1)
            except KafkaException:
                _LOG.warning("an abort failed; starting a new producer")
            else:
                self.outcomes["aborted"] += 1
                return
        self.outcomes["unknown"] += 1
        self._outlet = None

    def _failed(self, error: KafkaException) -> HutongError:
        """A failed transaction is tried again: nothing of the batch is visible, and it is read again."""
        problem = translate(
            error, "commit a transaction", principal=self._settings.username, servers=self._settings.bootstrap_servers
        )
        if problem.retriable or isinstance(problem, Fenced):
            self._pace.failed(self._held)  # a destination that is not there, or closed, is no matter of size
        if isinstance(problem, Fenced):
            # Coordinator time-outs can surface as fencing; a new producer is right then. Two instances of one name fence each
            # other for ever: that must end.
            now = time.monotonic()
            self._fenced = [*(moment for moment in self._fenced if now - moment < _FENCED_SECONDS), now]
            if len(self._fenced) >= _FENCED_FOR_GOOD:
                return Fenced(f"another router runs under the name {self._instance}; give each its own --instance")
        return BrokerUnavailable(f"the transaction was given up and is read again: {problem}")

    def _new_outlet(self) -> Outlet:
        return Outlet(
            self._settings,
            transactional_id=f"{self._group}.{self._instance}",
            instance=self._instance,
            transaction_seconds=self._transaction_seconds,
            closed=self._closed,
        )
