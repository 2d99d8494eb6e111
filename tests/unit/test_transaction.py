"""The exactly-once step with a broker that is not there: what belongs to one transaction, and what happens when it fails."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from hutong.errors import BrokerUnavailable, Fenced, RegistryUnavailable
from hutong.kafka import transaction
from hutong.kafka.chunk import PolledChunk
from hutong.kafka.settings import Settings
from hutong.kafka.transaction import TransactionalStep
from hutong.kafka.unreadable import UnreadableBatch


class Event:
    """A record as the client hands it out."""

    def __init__(self, offset: int, partition: int = 0) -> None:
        self._offset, self._partition = offset, partition

    def topic(self) -> str:
        return "pub.t"

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def error(self) -> None:
        return None


class Inlet:
    """Hands out chunks; tells what it was asked to do."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.chunks: list[list[Event]] = []
        self.disturbed_at: int | None = None
        self.generation = 1
        self.rewound: list[set[tuple[str, int]]] = []
        self.reads = 0
        self.unreadable: list[UnreadableBatch] = []

    def first(self, most: int) -> PolledChunk:
        self.reads += 1
        return PolledChunk(self.chunks.pop(0) if self.chunks else [])  # type: ignore[arg-type]

    more = first

    def undisturbed(self, _: PolledChunk) -> bool:
        return self.reads != self.disturbed_at

    @property
    def is_stopped(self) -> bool:
        return bool(self.unreadable)

    def stopping(self) -> list[UnreadableBatch]:
        found, self.unreadable = self.unreadable, []
        return found

    def metadata(self) -> bytes:
        return b"CGMDv2:" + self.generation.to_bytes(4, "little", signed=True)

    def back_to_committed(self, places: set[tuple[str, int]]) -> None:
        self.rewound.append(places)


class Outlet:
    """A producer that takes everything, or fails where it is told to."""

    made: list[Outlet]

    def __init__(self, *_: Any, **__: Any) -> None:
        self.did: list[Any] = []
        self.fails: dict[str, KafkaError] = {}
        self.shaken = False
        self.made.append(self)

    @property
    def producer(self) -> Outlet:
        return self

    def _do(self, name: str, value: Any = None) -> None:
        if name in self.fails:
            raise KafkaException(self.fails[name])
        self.did.append(name if value is None else (name, value))

    def __len__(self) -> int:
        return 7

    def begin(self) -> None:
        self._do("begin")

    def undelivered(self) -> None:
        return None

    def produce(self, *_: Any) -> None:
        self._do("produce")

    def commit(self, positions: Any, _: Any) -> None:
        self._do("offsets", [(*place, at) for place, at in positions.items()])
        self._do("commit")

    def abort(self) -> None:
        self._do("abort")


class Handled:
    """The handler: notes the chunks, goes on as long as it is told to."""

    def __init__(self) -> None:
        self.began = 0
        self.chunks: list[int] = []
        self.go_on = True
        self.error: Exception | None = None

    def begin(self) -> None:
        self.began += 1

    def handle(self, chunk: Any, output: Any) -> bool:
        if self.error:
            raise self.error
        self.chunks.append(len(chunk))
        output.produce("sub.t", b"k", b"v", [])
        return self.go_on


class Line:
    """A step with stand-ins at both ends."""

    def __init__(self) -> None:
        self.handled = Handled()
        self.step = TransactionalStep(
            Settings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1"),
            group="hutong.t",
            instance="a",
            topics=["pub.t"],
            begin=self.handled.begin,
            handle=self.handled.handle,
            batch_events=100_000,
            transaction_seconds=10,
            pass_by=lambda _, output: output.produce("quarantine.t", None, None, []),
        )
        self.inlet: Any = self.step._inlet

    @property
    def outlet(self) -> Outlet:
        return Outlet.made[-1]


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    Outlet.made = []
    monkeypatch.setattr(transaction, "Inlet", Inlet)
    monkeypatch.setattr(transaction, "Outlet", Outlet)
    return Line()


def chunk(size: int, start: int = 0) -> list[Event]:
    return [Event(start + n) for n in range(size)]


def test_light_traffic_is_committed_at_once(line: Line) -> None:
    """A few events are a transaction; nobody waits for more."""
    line.inlet.chunks = [chunk(3), chunk(3, 3)]
    assert line.step.step()
    assert line.outlet.did == ["begin", "produce", ("offsets", [("pub.t", 0, 3)]), "commit"]
    assert line.inlet.reads == 1


def test_a_backlog_is_read_in_chunks_into_one_transaction(line: Line) -> None:
    """One begin, one commit, the position behind the last chunk; it ends where there is no more."""
    line.step._pace.limit = 20_000
    line.inlet.chunks = [chunk(5000), chunk(5000, 5000), chunk(10, 10_000), chunk(5000, 10_010)]
    assert line.step.step()
    assert line.handled.chunks == [5000, 5000, 10]
    assert line.handled.began == 1
    assert line.outlet.did == ["begin", *["produce"] * 3, ("offsets", [("pub.t", 0, 10_010)]), "commit"]


def test_a_transaction_is_short_where_others_wait_behind_a_backlog(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes small chunks, and no more of them once filling has taken as long as ending does."""
    asked: list[int] = []
    first = line.inlet.first

    def noting(most: int) -> PolledChunk:
        asked.append(most)
        found: PolledChunk = first(most)
        monkeypatch.setattr(found, "is_crowded", len(asked) == 2)
        return found

    monkeypatch.setattr(line.inlet, "first", noting)
    monkeypatch.setattr(line.inlet, "more", noting)
    line.step._pace.limit, line.step._pace._ending = 20_000, 3600.0
    line.inlet.chunks = [chunk(1000), chunk(5000, 1000), chunk(1000, 6000), chunk(10, 7000)]
    assert line.step.step()
    assert asked == [1000, 5000, 1000, 1000]
    line.step._pace._ending = 0.0
    line.inlet.chunks = [chunk(1000), chunk(1000), chunk(1000)]
    asked[:] = [0]
    assert line.step.step()
    assert asked == [0, 1000]


def test_the_handler_can_end_a_transaction(line: Line) -> None:
    """What was delivered under an agreement that is revoked now does not wait for more."""
    line.step._pace.limit = 20_000
    line.handled.go_on = False
    line.inlet.chunks = [chunk(5000), chunk(5000, 5000)]
    assert line.step.step()
    assert line.handled.chunks == [5000]
    assert "commit" in line.outlet.did


def test_partitions_that_move_within_a_transaction_abort_it(line: Line) -> None:
    """All that was read since it began is read again from where the group stands."""
    line.step._pace.limit = 20_000
    line.inlet.chunks = [chunk(5000), [Event(7, partition=1)], chunk(1)]
    line.inlet.disturbed_at = 2
    assert not line.step.step()
    assert line.outlet.did == ["begin", "produce", "abort"]
    assert line.step.step()
    assert line.inlet.rewound == [{("pub.t", 0), ("pub.t", 1)}]


def test_partitions_that_move_before_it_need_no_transaction(line: Line) -> None:
    """The first chunk may be somebody else's: read it again."""
    line.inlet.chunks = [chunk(3), chunk(3)]
    line.inlet.disturbed_at = 1
    assert not line.step.step()
    assert line.outlet.did == []
    assert line.step.step()
    assert line.inlet.rewound == [{("pub.t", 0)}]


@pytest.mark.parametrize("later", [False, True])
def test_no_offsets_without_a_generation(line: Line, later: bool) -> None:
    """Brokers take offsets of an unknown generation from anybody: such a batch is not committed."""
    line.step._pace.limit = 20_000
    line.inlet.chunks = [chunk(5000), chunk(5000, 5000)] if later else [chunk(3)]
    if later:
        line.inlet.metadata = lambda: b"CGMDv2:" + (1 if line.inlet.reads == 1 else -1).to_bytes(4, "little", signed=True)
    else:
        line.inlet.generation = -1
    assert not line.step.step()
    assert "commit" not in line.outlet.did
    assert line.step._unsettled == {("pub.t", 0)}


def test_a_batch_that_cannot_be_unpacked_is_passed_by(line: Line) -> None:
    """Noted, and the position behind it stored, in one transaction; the reading end goes on from there."""
    line.inlet.unreadable = [UnreadableBatch(place=("pub.t", 2), first=7, last=9)]
    assert line.step.step()
    assert line.outlet.did == ["begin", "produce", ("offsets", [("pub.t", 2, 10)]), "commit"]
    assert (line.handled.began, line.inlet.reads) == (1, 0)
    line.inlet.chunks = [chunk(3)]
    assert line.step.step()
    assert line.inlet.rewound == [{("pub.t", 2)}]
    assert line.handled.chunks == [3]


def test_such_batches_without_end_leave_time_for_the_others(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a look that took a second there is none for four; other partitions' events go on meanwhile."""
    now = [100.0]
    monkeypatch.setattr("hutong.kafka.transaction.time.perf_counter", lambda: now[0])
    batch = UnreadableBatch(place=("pub.t", 2), first=7, last=9)

    def stopping() -> list[UnreadableBatch]:
        now[0] += 1.0
        return [batch]

    monkeypatch.setattr(line.inlet, "stopping", stopping)
    line.inlet.unreadable = [batch]
    line.inlet.chunks = [chunk(3), chunk(3)]
    assert line.step.step()
    assert (line.handled.chunks, now) == ([], [101.0])
    assert line.step.step()
    now[0] += 3.9
    assert line.step.step()
    assert (line.handled.chunks, now) == ([3, 3], [104.9])
    now[0] += 0.2
    assert line.step.step()
    assert line.handled.chunks == [3, 3]
    assert now[0] > 106


@pytest.mark.parametrize("fails", ["commit", "generation"])
def test_a_batch_is_not_passed_by_halfway(line: Line, fails: str) -> None:
    """Where the transaction fails, the batch is found again."""
    line.inlet.unreadable = [UnreadableBatch(place=("pub.t", 2), first=7, last=9)]
    if fails == "generation":
        line.inlet.generation = -1
        assert not line.step.step()
    else:
        line.step._outlet = Outlet()  # type: ignore[assignment]
        line.outlet.fails["commit"] = KafkaError(KafkaError._STATE, txn_requires_abort=True)
        with pytest.raises(BrokerUnavailable):
            line.step.step()
    assert line.outlet.did[-1] == "abort"
    line.step.step()
    assert line.inlet.rewound == [{("pub.t", 2)}]


def test_a_handler_that_cannot_go_on_aborts(line: Line) -> None:
    """An outage of the registry: nothing of the batch is visible, and it comes again."""
    line.inlet.chunks = [chunk(3)]
    line.handled.error = RegistryUnavailable("away")
    with pytest.raises(RegistryUnavailable):
        line.step.step()
    assert line.outlet.did == ["begin", "abort"]
    assert line.step._unsettled == {("pub.t", 0)}
    assert len(Outlet.made) == 1
    assert line.step.outcomes == {"committed": 0, "aborted": 1, "unknown": 0}


def test_what_is_queued_may_be_asked_for_at_any_time(line: Line) -> None:
    """Before there is a producer, while there is one, and after it was thrown away."""
    assert line.step.queued() == 0
    line.inlet.chunks = [chunk(3)]
    line.step.step()
    assert line.step.queued() == len(line.outlet)
    line.step._outlet = None
    assert line.step.queued() == 0


def test_an_unknown_outcome_costs_the_producer(line: Line) -> None:
    """Its successor settles the transaction; only then does the group know where it stands."""
    line.inlet.chunks = [chunk(3), chunk(3)]
    line.step.step()
    line.outlet.fails["commit"] = KafkaError(KafkaError._TIMED_OUT)
    with pytest.raises(BrokerUnavailable, match="read again"):
        line.step.step()
    line.inlet.chunks = [chunk(3)]
    assert line.step.step()
    assert len(Outlet.made) == 2
    assert line.inlet.rewound == [{("pub.t", 0)}]
    assert line.step.outcomes == {"committed": 2, "aborted": 0, "unknown": 1}


def test_a_producer_that_is_thrown_away_is_gone_at_once(line: Line) -> None:
    """Not when garbage is collected next, which a router puts off: it would go on trying to end its transaction."""
    line.inlet.chunks = [chunk(3), chunk(3)]
    line.step.step()
    line.outlet.fails["commit"] = KafkaError(KafkaError._TIMED_OUT)
    gc.disable()
    try:
        with suppress(BrokerUnavailable):
            line.step.step()
        thrown_away = weakref.ref(Outlet.made.pop())
        assert thrown_away() is None
    finally:
        gc.enable()
    assert line.step.outcomes["unknown"] == 1


def test_a_commit_that_timed_out_is_not_aborted_by_its_producer(line: Line) -> None:
    """Though the client says that it may: its EndTxn can still come, and would commit what that producer does next."""
    line.inlet.chunks = [chunk(3), chunk(3), chunk(3)]
    line.step.step()
    line.outlet.fails["commit"] = KafkaError(KafkaError._TIMED_OUT, "timed out", False, False, True)
    with pytest.raises(BrokerUnavailable):
        line.step.step()
    assert "abort" not in line.outlet.did
    assert line.step.step()
    assert len(Outlet.made) == 2
    assert line.step.outcomes == {"committed": 2, "aborted": 0, "unknown": 1}


@pytest.mark.parametrize("aborts", [False, True])
def test_a_connection_that_broke_costs_the_producer(line: Line, aborts: bool) -> None:
    """However well the transaction ended: its EndTxn was perhaps sent twice, and the first may come in the next one."""
    line.inlet.chunks = [chunk(3), chunk(3), chunk(3, 3)]
    line.step.step()
    line.outlet.shaken = True
    line.handled.error = RegistryUnavailable("away") if aborts else None
    if aborts:
        with pytest.raises(RegistryUnavailable):
            line.step.step()
    else:
        assert line.step.step()
    line.handled.error = None
    assert len(Outlet.made) == 1
    assert line.step.step()
    assert len(Outlet.made) == 2
    assert line.inlet.rewound == ([{("pub.t", 0)}] if aborts else [])
    assert line.step.outcomes == {"committed": 2 + (not aborts), "aborted": int(aborts), "unknown": 0}


@pytest.mark.parametrize(
    ("code", "size", "limit"),
    [
        (KafkaError._TIMED_OUT, 20_000, 10_000),
        (KafkaError._TIMED_OUT, 5_000, 20_000),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, 20_000, 20_000),
    ],
)
def test_a_large_transaction_that_fails_is_halved(line: Line, code: int, size: int, limit: int) -> None:
    """Where it was large, and where what failed may have to do with that."""
    line.inlet.chunks = [chunk(1)]
    line.step.step()
    line.step._pace.limit = 20_000
    line.outlet.fails["commit"] = KafkaError(code)
    line.inlet.chunks = [chunk(5_000, start) for start in range(0, size, 5_000)]
    with pytest.raises(BrokerUnavailable):
        line.step.step()
    assert line.step._pace.limit == limit


def test_an_abort_that_fails_costs_the_producer_too(line: Line) -> None:
    """Nobody knows how that transaction ends."""
    line.inlet.chunks = [chunk(3), chunk(3)]
    line.step.step()
    line.outlet.fails["abort"] = KafkaError(KafkaError._TIMED_OUT)
    line.handled.error = RegistryUnavailable("away")
    with pytest.raises(RegistryUnavailable):
        line.step.step()
    line.handled.error = None
    line.inlet.chunks = [chunk(3)]
    assert line.step.step()
    assert len(Outlet.made) == 2


def test_two_of_one_name_end(line: Line) -> None:
    """Fencing once may be a time-out; again and again it is another router of the same name."""
    line.inlet.chunks = [chunk(3) for _ in range(8)]
    for _ in range(3):
        line.step._outlet = None
        with pytest.raises(BrokerUnavailable):
            _fenced(line)
    with pytest.raises(Fenced, match="another router"):
        _fenced(line)


def test_transactions_that_took_too_long_are_no_other_router(line: Line) -> None:
    """The brokers fence those too; a machine that is too busy for a while must not end its router."""
    line.inlet.chunks = [chunk(3) for _ in range(8)]
    line.step._transaction_seconds = 0
    for _ in range(8):
        with pytest.raises(BrokerUnavailable):
            _fenced(line)


def _fenced(line: Line) -> None:
    outlet = line.step._outlet = Outlet()  # type: ignore[assignment]
    outlet.fails["commit"] = KafkaError(KafkaError._FENCED)
    line.step.step()
