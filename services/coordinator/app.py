"""The Faust application that holds the cases: its settings, its topics, and its table as the coordinator uses it.

Topics are made by ``hutong apply``: Faust makes none and has no leader's topic. Neighbours: ``serve`` runs it, ``transport``
makes it safe.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import faust
from faust.types import TP
from yarl import URL

from hutong.errors import ConfigurationError
from hutong.home import Home
from hutong.kafka.passwords import follow
from hutong.kafka.positions import position_of
from hutong.kafka.settings import Settings
from services.coordinator.inbox import INBOX, STATE, Inboxed
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.strays import Strays
from services.coordinator.transport import Change, Consumer, Transport

__all__ = ["CasesApp"]

_MEGABYTE = 1024 * 1024
_ARRIVALS = 4_000  # records that wait for the next batch


class _Table(faust.Table[bytes, bytes]):
    """A table that an older state of a case on the changelog does not change, see ``hutong.kafka.positions``.

    Attributes:
        overtaken: partition -> the cases of which an older state stands last on the changelog.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.overtaken: dict[int, set[bytes]] = {}

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Take records of the changelog, each once."""
        store: Any = self.data
        known: dict[bytes, int] = {}
        ends: dict[TP, int] = {}
        newest: list[Any] = []
        for event in batch:
            message = event.message
            if message.tp not in ends:
                ends[message.tp] = -1 if (read := store.persisted_offset(message.tp)) is None else read
            if message.offset <= ends[message.tp]:
                continue  # Faust brings the last one of each fetch a second time
            ends[message.tp] = message.offset
            if message.key not in known:
                known[message.key] = position_of(store._db_for_partition(message.partition).get(message.key) or b"")
            position, overtaken = position_of(message.value or b""), self.overtaken.setdefault(message.partition, set())
            if message.value is None or position >= known[message.key]:
                known[message.key] = position
                overtaken.discard(message.key)
                newest.append(event)
            else:
                overtaken.add(message.key)
        super().apply_changelog_batch(newest)
        for partition, offset in ends.items():  # also where all of it was older
            store.set_persisted_offset(partition, offset)


class CasesApp:
    """Faust, with the inbox and the table of cases.

    Args:
        settings: the bus.
        own: the coordinator's settings.
        home: below it lies the local copy of the cases.

    Attributes:
        arrivals: records of the inbox, in order per partition.
        strays: what others write to the changelog of the own partitions.
    """

    def __init__(self, settings: Settings, own: CoordinatorSettings, home: Home) -> None:
        _quieten()
        directory = home.root / "coordinator" / own.instance
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)  # cases hold what answers say of people
        brokers = [URL(f"kafka://{one.strip()}") for one in settings.bootstrap_servers.split(",")]
        self.faust = faust.App(
            own.group,
            broker=brokers,
            broker_credentials=_credentials(settings),
            broker_session_timeout=own.session_seconds,
            broker_heartbeat_interval=own.session_seconds / 6,
            broker_rebalance_timeout=max(10.0, own.session_seconds),
            broker_commit_interval=1.0,
            consumer_auto_offset_reset="earliest",
            producer_acks=-1,
            producer_compression_type="lz4",
            producer_max_request_size=4 * _MEGABYTE,
            datadir=str(directory),
            store=URL("rocksdb://"),
            table_standby_replicas=1,
            topic_allow_declare=False,
            topic_disable_leader=True,
            stream_buffer_maxsize=4_096,
            web_enabled=False,
            autodiscover=False,
            Table=_Table,
        )
        self.strays = Strays(settings)
        self.arrivals: asyncio.Queue[Inboxed] = asyncio.Queue(_ARRIVALS)
        self.faust.transport = Transport(brokers, self.faust, self.arrivals, self._take_changes)
        follow(self, settings, lambda app: app.transport)
        raw: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
        # For an agent's topics Faust subscribes to the inbox and shares its partitions out; the records take ``arrivals``.
        self.faust.agent(self.faust.topic(INBOX, **raw), name="cases")(_nothing)
        self._table: Any = self.faust.Table(
            "cases",
            key_type=bytes,
            value_type=bytes,
            changelog_topic=self.faust.topic(STATE, **raw),
            options={
                "driver": "rocksdict",
                "block_cache_size": 16 * _MEGABYTE,
                "block_cache_compressed_size": 4 * _MEGABYTE,
                "write_buffer_size": 8 * _MEGABYTE,
                "max_write_buffer_number": 2,
            },
        )

    def _take_changes(self, changes: Iterable[Change]) -> None:
        self._table.apply_changelog_batch(changes)

    @property
    def transport(self) -> Transport:
        """What the consumer connects with."""
        transport = self.faust.transport
        assert isinstance(transport, Transport)  # noqa: S101 - it was set above
        return transport

    @property
    def consumer(self) -> Consumer:
        """The consumer that settles."""
        consumer = self.faust.consumer
        assert isinstance(consumer, Consumer)  # noqa: S101 - the transport makes no other
        return consumer

    @property
    def generation(self) -> int | None:
        """Which share of the cases this is: another number after every change of partitions; None while they change."""
        return None if self.faust.rebalancing else self.faust.consumer_generation_id

    @property
    def is_recovered(self) -> bool:
        """Whether the local copy of all own cases is up to date."""
        return self.generation is not None and bool(self.faust.tables.actives_ready)

    def partitions(self) -> list[int]:
        """The partitions whose cases are this coordinator's."""
        return sorted(one.partition for one in self.faust.assignor.assigned_actives() if one.topic == STATE)

    def get(self, partition: int, number: bytes) -> bytes | None:
        """A stored case."""
        found: bytes | None = self._database(partition).get(number)
        return found

    def put(self, partition: int, number: bytes, case: bytes) -> None:
        """Keep a copy of a case that the changelog has.

        Faust's own assignment takes the partition of whatever record its stream is at, which is not that of a batch.
        """
        self._database(partition).put(number, case)

    def read_up_to(self, partition: int, offset: int) -> None:
        """The local copy has everything of the changelog up to this offset: after a crash it is read on from there."""
        store: Any = self._table.data
        store.set_persisted_offset(TP(STATE, partition), offset)

    def read_so_far(self) -> dict[int, int]:
        """Own partition -> the first offset of the changelog that the local copy lacks."""
        store: Any = self._table.data
        found = {partition: store.persisted_offset(TP(STATE, partition)) for partition in self.partitions()}
        return {partition: 0 if offset is None else offset + 1 for partition, offset in found.items()}

    def overtaken(self) -> list[tuple[int, bytes]]:
        """Own cases (partition, number) of which an older state stood last when the changelog was read."""
        return [(one, number) for one in self.partitions() for number in self._table.overtaken.get(one, ())]

    def put_right(self, cases: Iterable[tuple[int, bytes]]) -> None:
        """The newest states of these stand last again."""
        for partition, number in cases:
            self._table.overtaken.get(partition, set()).discard(number)

    def scan(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """All stored cases of a partition."""
        store: Any = self._table.data
        return iter(store._visible_items(self._database(partition)))

    def passed_over(self) -> list[int]:
        """Own partitions of which a record was read and is not done."""
        found = self.consumer.passed_over(self.inbox_partition(one) for one in self.partitions())
        return [one.partition for one in found]

    def inbox_partition(self, partition: int) -> TP:
        """A partition of the inbox."""
        return TP(INBOX, partition)

    def _database(self, partition: int) -> Any:
        store: Any = self._table.data
        return store._db_for_partition(partition)


async def _nothing(stream: Any) -> None:
    async for _ in stream.events():  # there is none
        pass


def _credentials(settings: Settings) -> Any:
    secure = settings.tls()
    if settings.security_protocol.startswith("SASL"):
        password = settings.current_password()
        return faust.SASLCredentials(
            mechanism=settings.sasl_mechanism, username=settings.username, password=password, ssl_context=secure
        )
    if secure is not None:
        return faust.SSLCredentials(context=secure)
    if settings.security_protocol != "PLAINTEXT":
        raise ConfigurationError(f"HUTONG_KAFKA_SECURITY_PROTOCOL: {settings.security_protocol} is not known to the coordinator")
    return None


def _quieten() -> None:
    """Faust and aiokafka log every step that they take; what matters comes from the coordinator itself."""
    for name in ("faust", "mode", "aiokafka", __name__, "services.coordinator.transport"):  # the last are Faust's classes
        logging.getLogger(name).setLevel(logging.ERROR)
