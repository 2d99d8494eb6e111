"""Consume, transform, produce: one Kafka transaction per batch, source offsets included. What is here keeps "exactly once".

A batch is read in chunks, each handed to a function that produces what becomes of it; then offsets and output commit together.
So the size of a transaction, which ``pace`` finds, is not the size of what is in memory. Whatever fails, the transaction is
aborted and the batch is read again from where the group stands. Neighbours: ``inlet`` reads, ``outlet`` writes;
``services/router`` passes its handler; ``runtime.loop`` calls ``step``.

librdkafka does not speak transactions version 2 (KIP-890), so an EndTxn that comes late may decide the *next* transaction of the
same producer epoch (KAFKA-17754). Therefore a producer is thrown away whose last outcome is not known, or under which a
connection broke: librdkafka then sends the EndTxn again by itself, and the first one may only be late. ``init_transactions`` of
the next producer raises the epoch and fences whatever is still on its way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException

from hutong.errors import BrokerUnavailable, Fenced, HutongError
from hutong.kafka.chunk import Chunk, Place
from hutong.kafka.errors import kafka_error, translate
from hutong.kafka.inlet import Inlet, is_member
from hutong.kafka.outlet import Outlet
from hutong.kafka.pace import Pace
from hutong.kafka.settings import Settings
from hutong.kafka.unreadable import UnreadableBatch
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

PassBy = Callable[[UnreadableBatch, Output], None]
"""Told of a batch that is passed by; what it produces commits with the position behind the batch."""

_Filled = tuple[dict[Place, int], bool, Any]
"""Of a transaction that is ready: where to go on after it, whether more were waiting, and the group's metadata from before."""

_CHUNK = 5_000  # events read at once: large enough to cost little, small enough to hold in memory
_FIRST_CHUNK = 1_000  # and so many at first, and while some wait behind others' backlog
_BUSY = 1_000  # a chunk of so many says that more is on its way: worth a moment's wait
_FENCED_FOR_GOOD, _FENCED_SECONDS = 4, 60.0  # so many times within so long are no coincidence
_REST = 4  # so many times as long as a look at batches that cannot be unpacked took, there is none: a fifth of the time at most
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
        pass_by: told of batches that cannot be unpacked and are passed by, where somebody has to note them.

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
        pass_by: PassBy | None = None,
    ) -> None:
        self._settings, self._group, self._instance = settings, group, instance
        self._begin, self._handle, self._pass_by = begin, handle, pass_by
        self._transaction_seconds = transaction_seconds
        self._pace = Pace(most=batch_events, seconds=transaction_seconds / _SHARE)
        self._outlet: Outlet | None = None
        self._unsettled: set[Place] = set()
        self._held = 0  # events of the open transaction
        self._next_look = 0.0
        self._opened = 0.0
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
        if self._inlet.is_stopped and began >= self._next_look:
            batches = self._inlet.stopping()
            # Looking unpacks them some times over: who sends such batches without end must not keep all others waiting.
            self._next_look = time.perf_counter() + _REST * (time.perf_counter() - began)
            if batches:
                return self._pass(outlet, batches[0], began)  # another is found the next time
        chunk = self._inlet.first(min(_FIRST_CHUNK, self._pace.limit))
        if not len(chunk) and not chunk.errors:
            return False
        self._unsettled = set(chunk.positions())
        if not self._inlet.undisturbed(chunk) or not len(chunk) or not is_member(metadata := self._inlet.metadata()):
            return False
        return self._transact(outlet, began, lambda: self._fill(outlet, chunk, metadata, began))

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

    def _pass(self, outlet: Outlet, batch: UnreadableBatch, began: float) -> bool:
        """Pass a batch by that cannot be unpacked, in a transaction of its own with what is noted of it."""

        def fill() -> _Filled:
            if not is_member(metadata := self._inlet.metadata()):
                raise _Disturbed
            if self._pass_by is not None:
                self._pass_by(batch, outlet)
            return {batch.place: batch.last + 1}, False, metadata

        facts = {"place": "{}/{}/{}".format(*batch.place, batch.first), "events": batch.events}
        _LOG.error("a batch cannot be unpacked and is passed by", extra={"facts": facts})
        self._unsettled = {batch.place}
        done = self._transact(outlet, began, fill)
        self._unsettled = {batch.place}  # the reading end still stands before it
        return done

    def _transact(self, outlet: Outlet, began: float, fill: Callable[[], _Filled]) -> bool:
        self._held, self._opened = 0, time.monotonic()
        try:
            outlet.begin()
            self._begin()
            positions, waiting, metadata = fill()
            outlet.commit(positions, metadata)
        except KafkaException as error:
            raise self._given_up(outlet, error) from error
        except _Disturbed:
            self._give_up(outlet, None)
            return False
        except BaseException:
            self._give_up(outlet, None)
            raise
        self._unsettled = set()
        self.outcomes["committed"] += 1
        self._pace.done(self._held, time.perf_counter() - began, waiting=waiting)
        self._part_if_shaken(outlet)
        return True

    def _fill(self, outlet: Outlet, chunk: Chunk, metadata: Any, began: float) -> _Filled:
        """Handle chunk after chunk, until the transaction is large enough or there is no more.

        The group's metadata is from before the last chunk was handled: a rebalance since then fences the offsets.
        """
        positions: dict[Place, int] = {}
        crowded = False
        while True:
            positions |= chunk.positions()
            self._held += len(chunk)
            crowded = crowded or chunk.is_crowded
            go_on = self._handle(chunk, outlet)
            room = self._pace.room(self._held, time.perf_counter() - began, crowded=crowded)
            if not room or not go_on or len(chunk) < _BUSY:
                return positions, not room, metadata
            chunk = self._inlet.more(min(_FIRST_CHUNK if crowded else _CHUNK, room))
            self._unsettled |= chunk.positions().keys()
            if not self._inlet.undisturbed(chunk):
                raise _Disturbed
            if not len(chunk):
                return positions, False, metadata
            metadata = self._inlet.metadata()
            if not is_member(metadata):
                raise _Disturbed

    def _given_up(self, outlet: Outlet, error: KafkaException) -> HutongError:
        """Give the transaction up; why it failed.

        Whoever raises this must have no name for it: an error, and by its traceback the caller's frame with the outlet in it,
        that refer to one another would keep a producer that is thrown away at work until the next garbage collection.
        """
        undelivered = outlet.undelivered()  # asked before the abort, which reports what it gives up as undelivered too
        self._give_up(outlet, kafka_error(error))
        problem = self._failed(error)
        return undelivered if undelivered and problem.retriable else problem

    def _give_up(self, outlet: Outlet, error: KafkaError | None) -> None:
        """Abort where that is certain to work; the batch is read again in either case.

        Else nobody knows how the transaction ends: throw the producer away, and with it what is still on its way, and ask the
        group's offsets once its successor has settled it. Of a commit that timed out librdkafka says that it must be aborted, and
        so it may be; but its EndTxn can still come, and would commit what the same producer does after the abort.
        """
        if error is None or (error.txn_requires_abort() and error.code() != KafkaError._TIMED_OUT):
            try:
                outlet.abort()
            except KafkaException:
                _LOG.warning("an abort failed; starting a new producer")
            else:
                self.outcomes["aborted"] += 1
                self._part_if_shaken(outlet)
                return
        self.outcomes["unknown"] += 1
        self._outlet = None

    def _part_if_shaken(self, outlet: Outlet) -> None:
        """Begin the next transaction with a new producer where something of the last one may come late."""
        if outlet.shaken:
            _LOG.info("a connection broke; starting a new producer")
            self._outlet = None

    def _failed(self, error: KafkaException) -> HutongError:
        """A failed transaction is tried again: nothing of the batch is visible, and it is read again."""
        problem = translate(
            error, "commit a transaction", principal=self._settings.username, servers=self._settings.bootstrap_servers
        )
        if problem.retriable or isinstance(problem, Fenced):
            self._pace.failed(self._held)  # a destination that is not there, or closed, is no matter of size
        now = time.monotonic()
        if isinstance(problem, Fenced) and now - self._opened < self._transaction_seconds:
            # Coordinator time-outs can surface as fencing; a new producer is right then. Two instances of one name fence each
            # other for ever: that must end. Who was open for too long was fenced by the brokers, however often it happens.
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
