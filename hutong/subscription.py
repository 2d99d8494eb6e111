"""Receiving: a recipient's channel as a stream of events that are decoded, free of repetitions and committed after processing.

At least once: a position is stored after the application has asked for the next event, at the latest half a second later, and on
``close``. After a crash the last moments come again; repetitions within the memory of event ids are left out, so a
recipient that keeps its own record of ids, or writes idempotently, has each event exactly once. Neighbours: ``transport`` brings
records, ``decoding`` reads them, ``received`` is what comes of them.
"""

from __future__ import annotations

import logging
import time as clock
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from typing import Any, Generic, Self, TypeVar, Unpack, overload

from hutong.agreements.agreement import sub_topic
from hutong.decoding import Decoder, models_of
from hutong.errors import BusError, ConfigurationError, MalformedEvent
from hutong.event import PERIOD_REPLAY, Attributes
from hutong.metrics import DUPLICATES, UNDECODABLE
from hutong.model import RootRecord
from hutong.options import Options, check_options, start_of
from hutong.received import Data, HandedOver, ReceivedEvent, received
from hutong.transport import Positions, Record, transport_for

__all__ = ["Data", "Model", "ReceivedEvent", "Subscription"]

_LOG = logging.getLogger("hutong")

_BATCH = 1000  # at 100,000 events/s ten milliseconds of work: a revoked partition is given up that soon
_COMMIT_SECONDS = 0.5
_JOIN_SECONDS = 30.0

Model = TypeVar("Model", bound=RootRecord)


class Subscription(Generic[Data]):
    """One recipient's reading of one channel. Used by one thread.

    A group that has a position goes on from it, whatever ``from_beginning`` and ``since`` say: to read again, name a new group.
    Taking longer than five minutes over one event loses the partition to another member.

    Args:
        recipient: the receiving department's code; it is the Kafka principal too.
        channel: the channel's name; an agreement's own channel has its id.
        model: class or classes written by ``hutong codegen --agreement``; without one, ``data`` is a mapping.
        options: see ``Options``.

    Raises:
        ConfigurationError: the options contradict each other, or nothing says where the bus is.
    """

    @overload
    def __init__(
        self: Subscription[dict[str, Any]], recipient: str, channel: str, *, model: None = None, **options: Unpack[Options]
    ) -> None: ...

    @overload
    def __init__(
        self: Subscription[Model],
        recipient: str,
        channel: str,
        *,
        model: type[Model] | Sequence[type[Model]],
        **options: Unpack[Options],
    ) -> None: ...

    def __init__(self, recipient: str, channel: str, *, model: Any = None, **options: Unpack[Options]) -> None:
        self.topic = sub_topic(recipient, channel)
        self.group = options.get("group") or f"{recipient}.{channel}"
        check_options(recipient, self.group, options)
        self._skip = options.get("on_undecodable", "stop") == "skip"
        self._by_itself = options.get("commit", "processed") == "processed"
        self._idle_timeout = options.get("idle_timeout")
        self._remembered = options.get("remembered_ids", 100_000)
        transport = options.get("transport") or transport_for(recipient, options.get("settings"))
        self._transport = transport
        self._decoder = Decoder(transport.schemas(), models_of(model))
        self._reader = transport.reader(self.topic, self.group, start_of(options), self._give_up)
        self._buffer: deque[Record] = deque()
        self._in_hand: Record | None = None
        self._positions: Positions = {}
        self._seen: OrderedDict[tuple[str, str, str | None, str | None], None] = OrderedDict()
        self._next_commit = 0.0
        self._handed_over = HandedOver(self.topic)
        self._closed = False

    def join(self, timeout: float = _JOIN_SECONDS) -> Self:
        """Take part in the group now, so that everything delivered from here on is received; entering a ``with`` block does it.

        Raises:
            BrokerUnavailable: no partitions within ``timeout`` seconds.
            NotAuthorised: the recipient may not read this channel, or there is no such channel.
        """
        self._reader.join(timeout)
        return self

    def poll(self, timeout: float = 0.0) -> ReceivedEvent[Data] | None:
        """The next event, or None after ``timeout`` seconds without one. The event before it counts as processed.

        Raises:
            MalformedEvent: a record is no readable event, with ``on_undecodable="stop"``; the next call meets it again.
            RegistryUnavailable: its schema cannot be looked up now; the next call tries again.
            BrokerUnavailable: no broker answers.
            NotAuthorised: the recipient may not read this channel, or there is no such channel.
        """
        if self._closed:
            raise ConfigurationError(f"the subscription to {self.topic} is closed; make a new one")
        self._processed()
        deadline: float | None = None
        while True:
            now = clock.monotonic()
            if now >= self._next_commit:
                self._keep_up(now)
            event = self._next_of_buffer()
            if event is not None:
                return event
            if deadline is None:
                deadline = now + timeout
            left = deadline - clock.monotonic()
            self._buffer.extend(self._reader.read(_BATCH, max(0.0, min(left, _COMMIT_SECONDS))))
            if not self._buffer and left <= 0:
                return None

    def __iter__(self) -> Iterator[ReceivedEvent[Data]]:
        """The events as they come; ends only with ``idle_timeout``."""
        while True:
            event = self.poll(_JOIN_SECONDS if self._idle_timeout is None else self._idle_timeout)
            if event is not None:
                yield event
            elif self._idle_timeout is not None:
                return

    def commit(self, *, with_last: bool = False) -> None:
        """Store the position of what was processed, now.

        Args:
            with_last: whether the event that was handed out last is processed too.
        """
        if with_last:
            self._processed()
        self._store(wait=True)

    def close(self) -> None:
        """Store the position, the last event included, and leave the group. Closing twice does nothing."""
        self._close(last_one_too=True)

    def __enter__(self) -> Self:
        return self.join()

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        # An error in the block means that the event in hand was not processed.
        self._close(last_one_too=exc_type is None)

    def _close(self, *, last_one_too: bool) -> None:
        if self._closed:
            return
        self._closed = True
        if last_one_too:
            self._processed()
        self._in_hand = None
        self._handed_over.done("not processed")
        try:
            self._commit(wait=True)
        except BusError as problem:  # the block is over, and what it did stands: the events come again, that is all
            _LOG.warning("%s; some events may come again", problem)
        finally:
            self._reader.close()

    def _processed(self) -> None:
        if self._in_hand is not None:
            self._pass(self._in_hand)
            self._in_hand = None
        self._handed_over.done()

    def _pass(self, record: Record) -> None:
        self._positions[record.topic() or "", record.partition() or 0] = (record.offset() or 0) + 1

    def _keep_up(self, now: float) -> None:
        """Now and then: store positions, and let the client take part in the group's life while the buffer is still full."""
        self._next_commit = now + _COMMIT_SECONDS
        self._commit(wait=False)
        if self._buffer:
            self._buffer.extend(self._reader.read(1, 0.0))

    def _commit(self, *, wait: bool) -> None:
        self._handed_over.count()
        if self._by_itself:
            self._store(wait=wait)

    def _store(self, *, wait: bool) -> None:
        if self._positions and self._reader.commit(self._positions, wait=wait):
            self._positions = {}

    def _give_up(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Partitions go to another member: store what was processed of them, forget the rest."""
        gone = set(partitions)
        self._commit(wait=True)
        self._positions = {place: offset for place, offset in self._positions.items() if place not in gone}
        self._buffer = deque(record for record in self._buffer if (record.topic(), record.partition()) not in gone)

    def _next_of_buffer(self) -> ReceivedEvent[Data] | None:
        buffer = self._buffer
        while buffer:
            record = buffer[0]
            try:
                event = self._decode(record)
            except MalformedEvent as problem:
                if not self._skip:
                    raise
                UNDECODABLE.labels(self.topic).inc()
                _LOG.warning("skipped: %s", problem)
                event = None
            buffer.popleft()
            if event is not None and not self._is_repetition(event.attributes):
                self._in_hand = record
                return self._handed_over.note(event)
            self._pass(record)
        return None

    def _decode(self, record: Record) -> ReceivedEvent[Data]:
        try:
            attributes = Attributes.from_headers(record.headers() or ())
            data = self._decoder.decode(record.value())
            key = record.key()
            return received(
                attributes,
                data,
                None if key is None else key.decode(),
                record.topic() or "",
                record.partition() or 0,
                record.offset() or 0,
                record.timestamp()[1],
            )
        except UnicodeDecodeError:
            problem = MalformedEvent("key", "the key is not UTF-8")
        except MalformedEvent as error:
            problem = error
        place = (record.topic() or "", record.partition() or 0, record.offset() or 0)
        raise MalformedEvent(problem.reason, f"{problem.problem}; on_undecodable='skip' reads on", place)

    def _is_repetition(self, attributes: Attributes) -> bool:
        if not self._remembered:
            return False
        replay = attributes.replay
        wanted = replay if replay is not None and replay.startswith(PERIOD_REPLAY) else None  # a period that was asked for again
        key, seen = (attributes.source, attributes.id, attributes.agreement, wanted), self._seen
        if key in seen:
            seen.move_to_end(key)
            DUPLICATES.labels(self.topic).inc()
            return True
        seen[key] = None
        if len(seen) > self._remembered:
            seen.popitem(last=False)
        return False
