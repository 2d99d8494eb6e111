"""What goes wrong between a router and a broker: an EndTxn that comes late (KAFKA-17754), and a transaction that nobody ends.

An EndTxn names its transaction by nothing but the producer's id and epoch. One that comes after the client has sent it again, and
has begun the next transaction, therefore ends that one, in the middle. ``LateEnd`` makes it come exactly then: after the first
records of the next transaction, before the others. The broker must refuse it, because the router has a new producer by then.
Neighbours: ``proxy`` holds requests back, ``unguarded`` is the router that must fail here.
"""

from __future__ import annotations

import time
from random import Random

from confluent_kafka import KafkaError, Producer

from hutong.contracts.schema import EventSchema
from hutong.embedded.state import load
from hutong.kafka.lookout import Lookout
from hutong.kafka.registry import Registry
from hutong.kafka.stalled import stalled
from tests.integration.processes import ServiceProcess, await_true
from tests.integration.routers import RouterProcess
from tests.torture.fault import Fault
from tests.torture.load import record_of
from tests.torture.proxy import Held, Proxy
from tests.torture.story import PERSON
from tests.torture.unguarded import UnguardedRouter
from tests.torture.wire import ADD_PARTITIONS, END_TRANSACTION, PRODUCE, end_transaction_error
from tests.torture.world import TRANSACTION_SECONDS, World

__all__ = ["FAULTS"]

_REFUSED = (KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED)
_TRAFFIC_SECONDS = 30.0  # the load gives a router something to commit all the time
_GIVE_UP_SECONDS = 30.0  # transaction time-out, a new producer, and pauses between tries
_MORE_SECONDS = 3.0  # where the next transaction writes to one partition only, there is no second request to wait for


class LateEnd:
    """An EndTxn is held back until the next transaction is under way.

    In turn: the router's connection breaks, so that its client sends the request again at once; or it stays silent, until the
    client loses its patience.
    """

    name = "endtxn-late"
    says = "an EndTxn held back past the next begin, by a proxy"
    times = 6
    short_times = 1
    brokers = 1
    is_control = False

    _program: type[RouterProcess] = RouterProcess

    def __init__(self) -> None:
        self._strikes = 0
        self._proxy: Proxy | None = None

    def prepare(self, world: World) -> None:
        """One router, and a proxy between it and the broker."""
        state = load(world.home)
        assert state is not None
        proxy = self._proxy = Proxy(state.nodes[0].port)
        for name in list(world.routers):
            world.stop_router(name)
        through = {
            "HUTONG_KAFKA_BOOTSTRAP_SERVERS": proxy.address,
            "HUTONG_KAFKA_SECURITY_PROTOCOL": state.address.security_protocol,
            "HUTONG_REGISTRY_URL": state.address.registry_url,
        }
        seconds = str(TRANSACTION_SECONDS)
        router = world.routers["a"] = self._program(world.home, "a", "--transaction-seconds", seconds, **through)
        router.await_ready()

    def clear(self, world: World) -> None:
        """The usual routers, and no proxy."""
        if "a" in world.routers:
            world.stop_router("a")
        if self._proxy is not None:
            self._proxy.close()
            self._proxy = None
        for name in ("a", "b"):
            world.start_router(name).await_ready()

    def strike(self, world: World, random: Random) -> None:
        assert self._proxy is not None
        breaks = self._strikes % 2 == 0
        self._strikes += 1
        late = self._proxy.hold(END_TRANSACTION)
        held = [late]
        try:
            assert late.caught(_TRAFFIC_SECONDS), "the router has committed nothing"
            code = self._ended_late(self._proxy, late, held, breaks=breaks)
        finally:
            for one in held:
                one.release()
        world.say(f"{self.name}: the connection {'broke' if breaks else 'was silent'}, the late EndTxn was answered with {code}")
        if not self.is_control:
            assert code in _REFUSED, f"the broker took an EndTxn that was meant for the last transaction (code {code})"

    def _ended_late(self, proxy: Proxy, late: Held, held: list[Held], *, breaks: bool) -> int:
        """Release it in the middle of the next transaction; the broker's answer."""
        begins, first, second = proxy.hold(ADD_PARTITIONS), proxy.hold(PRODUCE), proxy.hold(PRODUCE)
        held += [begins, first, second]
        if breaks:
            late.cut()
        assert begins.caught(_GIVE_UP_SECONDS), "no other transaction has begun"
        begins.release()
        assert first.caught(_TRAFFIC_SECONDS), "the next transaction writes nothing"
        first.release()
        first.answered(_TRAFFIC_SECONDS)
        second.caught(_MORE_SECONDS)
        late.release()
        assert late.request is not None
        return end_transaction_error(late.request, late.answered(_TRAFFIC_SECONDS))


class LateEndUnguarded(LateEnd):
    """The same with a router that trusts its producer. The broker takes the EndTxn, and the judge must find what comes of it."""

    name = "endtxn-late-control"
    says = "the same without the guard: the judge must find it"
    times = 2
    short_times = 0
    is_control = True
    _program = UnguardedRouter


class HangingTransaction:
    """Somebody writes into a transaction and neither ends it nor dies.

    The monitor must show it, an onlooker must find it, and readers must be free again when its time is over.
    """

    name = "transaction-hangs"
    says = "a transaction that nobody ends, on an event topic"
    times = 2
    short_times = 0
    brokers = 1

    _seconds = 10.0
    _seen_seconds = 2.0  # it is told when it has stood for so long
    _late_seconds = 5.0  # brokers look for such transactions once a second

    def __init__(self) -> None:
        self._strikes = 0
        self._monitor: ServiceProcess | None = None

    def prepare(self, world: World) -> None:
        """The monitor, who must show it."""
        self._monitor = ServiceProcess(world.home, "monitor", "torture", "--round-seconds", "0.5").await_ready()

    def clear(self, world: World) -> None:
        """No monitor."""
        if self._monitor is not None:
            self._monitor.stop()
            self._monitor = None

    def strike(self, world: World, random: Random) -> None:
        assert self._monitor is not None
        monitor, topic, settings = self._monitor, f"pub.{PERSON}", world.settings()
        self._strikes += 1
        entry = world.own_person(0)
        registered = Registry.of(settings).latest(f"{topic}-value")
        assert registered is not None
        key, value, headers = record_of(entry, EventSchema(registered.schema), registered.id)
        own = {"transactional.id": f"hutong.hanging-{self._strikes}", "transaction.timeout.ms": int(self._seconds * 1000)}
        producer = Producer(settings.client() | own)
        producer.init_transactions(30)
        world.book.attempted(entry)
        producer.begin_transaction()
        began = time.monotonic()
        producer.produce(topic, value, key, headers=headers)  # type: ignore[arg-type]
        assert producer.flush(30) == 0

        def shown() -> bool:
            return monitor.metric("hutong_stable_offset_behind_seconds", topic=topic) > self._seen_seconds

        await_true(shown, "the monitor shows that the topic stands still", self._seconds)
        lookout = Lookout(settings)
        places = [(topic, partition) for partition in world.ends(topic)]
        found = stalled(settings, lookout, places, older_than=self._seen_seconds)
        assert [one.topic for one in found] == [topic], f"an onlooker finds {found}"
        place = (topic, found[0].partition)
        left = began + self._seconds + self._late_seconds - time.monotonic()
        await_true(lambda: lookout.ends([place])[place] > found[0].offset, "readers get past it in time", left)
        stood = time.monotonic() - began
        world.book.aborted(entry.id)
        world.say(f"{self.name}: readers of {topic} were held up for {stood:.1f} s")


FAULTS: tuple[Fault, ...] = (LateEnd(), LateEndUnguarded(), HangingTransaction())
