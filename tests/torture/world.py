"""What the faults strike at: a bus with its routers, the load on it, and somebody who reads along as the recipients do.

Neighbours: ``runner`` starts one for each number of brokers; ``load`` publishes, ``reading`` reads, ``ledger`` keeps the book.
"""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Self

from demo.population import Population, populate
from hutong import Publisher
from hutong.embedded import Wish, state, up
from hutong.embedded.process import Process, processes
from hutong.embedded.state import State
from hutong.errors import HutongError
from hutong.home import Home
from hutong.kafka.settings import Settings
from tests.conftest import temporary_home
from tests.integration.routers import RouterProcess, hutong
from tests.spans import Collector, collector
from tests.torture.evidence import Evidence
from tests.torture.granted import AGREEMENTS, DECLARATIONS
from tests.torture.ledger import Book, Entry, Ledger
from tests.torture.load import PERSONS, RATE, Load, data_of
from tests.torture.places import Place
from tests.torture.reading import Watcher, ends, read
from tests.torture.story import DEPARTMENT, PAYMENT, PERSON, payment, person

__all__ = ["PARTITIONS", "TRANSACTION_SECONDS", "World"]

PARTITIONS = 4
TRANSACTION_SECONDS = 3
"""After so long the brokers abort a transaction whose router has died."""

_STEADY = {PERSON: ("people-for-statistics",), PAYMENT: ("payments-to-welfare", "payments-to-audit")}
"""Agreements that no fault touches, and that grant every probe."""
_OWN = range(160, PERSONS)  # persons of whom no writer tells
_RECOVERED_SECONDS = 60.0
_HELD_SECONDS = 90.0  # longer than any transaction can hold readers up


class World:
    """One bus and everything round it. A context manager: what it has started ends with it.

    Args:
        brokers: 1 or 3.
        seed: of everything that is drawn.
        short: whether faults should take no longer than they must.

    Attributes:
        home: the bus's.
        brokers: how many it has.
        is_short: whether faults should take no longer than they must.
        place: files of the run that are no part of the bus, and not below its home: ledgers, declarations.
        schemas: the declarations in force; a fault may edit them and call ``apply``.
        random: chance.
        population: persons and households of whom the load tells.
        routers: by name; "a" and "b" at the beginning of every fault.
        load: the publishing processes of the present fault.
        ledger: the books of the present fault.
        book: this process's own in it, for probes, and for faults that publish by themselves.
        watcher: reads along since the present fault began.
        spans: takes the spans of all routers.
        recoveries: seconds, of each blow of the present fault.
        places: what a fault leaves for the look for personal data, besides what lies in the home.
    """

    def __init__(self, *, brokers: int, seed: int, short: bool = False) -> None:
        self.brokers, self.seed, self.is_short = brokers, seed, short
        self.random = Random(f"{seed}/{brokers}")
        self.population: Population = populate(seed, PERSONS)
        self.routers: dict[str, RouterProcess] = {}
        self.home: Home
        self.place: Path
        self.ledger: Ledger
        self.book: Book
        self.load: Load
        self.watcher: Watcher
        self.spans: Collector
        self.recoveries: list[float] = []
        self.places: list[Place] = []
        self._since: dict[tuple[str, int], int] = {}
        self._probes: list[tuple[str, int]] = []
        self._sequence = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._enter()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def schemas(self) -> Path:
        """The declarations in force."""
        return self.place / "declarations"

    def settings(self, principal: str = "operator") -> Settings:
        """A principal's settings."""
        return Settings.resolve(principal, {"HUTONG_HOME": str(self.home.root)})

    def say(self, text: str) -> None:
        """A line on the screen."""
        print(f"{time.strftime('%X')} {text}", flush=True)

    # The bus

    def process(self, name: str) -> Process:
        """A process of the bus: ``kafka-1``, ``registry``, ``postgres-main``."""
        return next(process for process in processes(self.home.run) if process.name == name)

    def broker_process(self, number: int) -> Process:
        """A broker, from 1 on."""
        return self.process(f"kafka-{number}")

    def broker_port(self, number: int) -> int:
        """Where clients reach a broker, from 1 on."""
        return next(node.port for node in self._state().nodes if node.id == number)

    def through(self, address: str) -> dict[str, str]:
        """Variables with which a service reaches the bus by another way, such as a proxy's address."""
        found = self._state().address
        return {
            "HUTONG_KAFKA_BOOTSTRAP_SERVERS": address,
            "HUTONG_KAFKA_SECURITY_PROTOCOL": found.security_protocol,
            "HUTONG_REGISTRY_URL": found.registry_url,
        }

    def start_missing(self) -> None:
        """Start whatever of the bus does not run, and wait until it takes clients."""
        up(self.home, wish=Wish(brokers=self.brokers), attached=True)

    def apply(self, *flags: str) -> None:
        """``hutong apply`` of ``schemas``."""
        hutong(self.home, "apply", "--schemas", str(self.schemas), *flags)

    def ends(self, topic: str) -> dict[int, int]:
        """Where each partition of a topic ends, open transactions included."""
        return {partition: end for (_, partition), end in ends(self.settings(), [topic]).items()}

    # The routers

    def start_router(
        self, name: str, *flags: str, program: type[RouterProcess] = RouterProcess, **environment: str
    ) -> RouterProcess:
        """Start a router; it is not waited for. Whoever had its name before must have ended."""
        flags = flags or ("--transaction-seconds", str(TRANSACTION_SECONDS))
        traced = {"HUTONG_TRACING": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": self.spans.endpoint}
        self.routers[name] = program(self.home, name, *flags, **{**traced, **environment})
        return self.routers[name]

    def stop_router(self, name: str) -> None:
        """End a router as an operator does."""
        self.routers.pop(name).stop()

    def mend(self) -> None:
        """After a fault, as before it: the whole bus, and routers "a" and "b".

        Raises:
            AssertionError: a router has ended by itself.
        """
        self.start_missing()
        ended = {name: router.process.returncode for name, router in self.routers.items() if router.process.poll() is not None}
        for name in (set(self.routers) - {"a", "b"}) | ended.keys():
            self.stop_router(name)
        for name in sorted({"a", "b"} - self.routers.keys()):
            self.start_router(name)
        for router in self.routers.values():
            router.await_ready()
        assert not ended, f"routers have ended by themselves: {ended}"

    # A fault's time

    def begin(self, name: str) -> None:
        """A new ledger, a new load (not started), a new watcher."""
        self.recoveries = []
        self.ledger = Ledger(self.place / "ledger" / name)
        self.book = self.ledger.book("runner")
        # Three brokers and what they copy to each other take all of two cores at the full rate: nobody would answer in time.
        self.load = Load(self.home, self.ledger, f"{self.seed}/{name}", rate=RATE / self.brokers**2)
        self._since = ends(self.settings())
        self.watcher = Watcher(self.settings(), self._since)

    def end(self) -> Evidence:
        """Wait until all that was published has been routed, and read everything.

        Raises:
            AssertionError: it is not routed, or its readers are held up.
        """
        # Behind all that the load has published: when this is delivered, so is the rest.
        self.recovered(_HELD_SECONDS)
        self.watcher.close()  # first: what it has seen must be there afterwards
        records = read(self.settings(), self._since, seconds=_HELD_SECONDS)
        self.close_time()
        assert not self.watcher.trouble, self.watcher.trouble
        return Evidence(
            account=self.ledger.account(),
            records=records,
            glimpsed=self.watcher.glimpsed,
            secrets={name: self.home.read_key(name) or "" for name in AGREEMENTS},
        )

    def close_time(self) -> None:
        """End what belongs to the present fault."""
        self.load.kill()
        self.watcher.close()
        self.book.close()

    # Is the line well?

    def own_person(self, number: int, *, size: int = 3) -> Entry:
        """An event of a person of whom no writer tells, for a fault that publishes by itself."""
        self._sequence += 1
        return person(self.population, _OWN[-1 - number], self._sequence, size=size)

    def probe(self, seconds: float = _RECOVERED_SECONDS) -> float:
        """Publish one event to each partition, and wait until a reader of committed records has all their deliveries.

        Returns:
            Seconds from the publication to that.

        Raises:
            AssertionError: it took longer than ``seconds``.
        """
        began = time.monotonic()
        entries = [self._probe(contract, number) for contract, number in self._probes]
        wanted = {(one.id, agreement) for one in entries for agreement in _STEADY[one.contract]}
        self._publish(entries)
        done = self.watcher.await_seen(wanted, seconds, lambda: self._publisher.poll(0))
        missing = sorted({agreement for one, agreement in wanted if (one, agreement) not in self.watcher.seen})
        assert done, f"not delivered within {seconds:g} s: {', '.join(missing)}"
        return time.monotonic() - began

    def recovered(self, seconds: float = _RECOVERED_SECONDS) -> float:
        """The same after a blow: a fault's strike is followed by it, and may have more blows than one."""
        self.recoveries.append(self.probe(seconds))
        return self.recoveries[-1]

    def _state(self) -> State:
        found = state.load(self.home)
        assert found is not None, "the bus has never been up"
        return found

    def _publish(self, entries: list[Entry]) -> None:
        book = self.book
        book.attempted(*entries)
        for entry in entries:
            handle = self._publisher.publish(data_of(entry), entry.contract, id=entry.id)
            handle.when_done(lambda done: done.error or book.acknowledged(done.event_id))

    def _probe(self, contract: str, number: int) -> Entry:
        self._sequence += 1
        if contract == PERSON:
            return person(self.population, _OWN[number], self._sequence)
        return payment(f"probe-{number}", "Probe", self._sequence, 900)

    def _find_probes(self) -> None:
        """For each partition of each contract somebody whose events lie there."""
        for contract in _STEADY:
            places: dict[int, int] = {}
            for number in range(len(_OWN) - 20):
                entry = self._probe(contract, number)
                handle = self._publisher.publish(data_of(entry), contract, id=entry.id)
                places.setdefault(handle.result(30).partition, number)
                if len(places) == PARTITIONS:
                    break
            assert len(places) == PARTITIONS, f"{contract}: no event for each partition"
            self._probes += [(contract, number) for number in places.values()]

    def _enter(self) -> None:
        enter = self._stack.enter_context
        self.place = Path(enter(TemporaryDirectory(prefix="hutong-torture-")))
        self.home = enter(temporary_home())
        self.spans = enter(collector())
        self.say(f"a bus of {self.brokers} broker{'s' if self.brokers > 1 else ''}, seed {self.seed}")
        self.start_missing()
        shutil.copytree(DECLARATIONS, self.schemas)
        self.apply("--partitions", str(PARTITIONS))
        self._stack.callback(self._stop_routers)
        for name in ("a", "b"):
            self.start_router(name)
        self._publisher = Publisher(DEPARTMENT, settings=self.settings(DEPARTMENT))
        self._stack.callback(self._close_publisher)
        self._find_probes()
        for router in self.routers.values():
            router.await_ready()
        self.begin("beginning")
        self._stack.callback(self.close_time)
        self.probe()
        self.close_time()

    def _stop_routers(self) -> None:
        for router in self.routers.values():
            router.stop()

    def _close_publisher(self) -> None:
        with suppress(HutongError):  # the bus may be what was broken
            self._publisher.close(1)
