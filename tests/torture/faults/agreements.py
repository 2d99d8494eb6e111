"""An agreement that is revoked, granted again with less, and granted again as it was, while the load runs.

Neighbours: ``granted`` has the terms, the ledger when each began and was acknowledged; the judge holds every delivery to them.
"""

from __future__ import annotations

import signal
import time
from random import Random

from hutong.kafka.compacted import write
from hutong.kafka.topics import AGREEMENTS_TOPIC
from tests.integration.routers import RouterProcess, await_true
from tests.torture.fault import Fault
from tests.torture.granted import DECLARED, NARROW
from tests.torture.heedless import HeedlessRouter
from tests.torture.ledger import Terms, now_ms
from tests.torture.proxy import Proxy
from tests.torture.world import World

__all__ = ["FAULTS"]

_ID = "people-to-tax"
_FOLLOWER = "rdkafka"  # what a client calls itself that was given no name: of a router's, only the one that follows agreements
_CUT_SECONDS = 10.0
_UNDER_WAY_SECONDS = 0.5  # a question that lies with the broker already would still be answered, and tell of the revocation
_HEARD_MS = 1000  # "in under a second"
_AWAY_SECONDS = (1.5, 5.0)  # longer than a revocation may take, shorter than the router's session (10 s)
_FILE = f"agreements/tax.office/{_ID}.yaml"
_LESS = (
    ("at_least: 1}", "at_least: 5}"),
    ("  - {field: name, transform: mask, keep_first: 1}\n", ""),
    ("  - {field: address}\n", ""),
)


class Revoked:
    """Its recipient has another agreement on the same channel, which must not notice."""

    name = "agreement-revoked"
    says = "an agreement revoked, granted again, narrowed, revoked by apply, and granted again, under load"
    times = 3
    short_times = 1
    brokers = 1

    def strike(self, world: World, random: Random) -> None:
        file = world.schemas / _FILE
        declared = file.read_text(encoding="utf-8")
        try:
            _revoke(world)
            time.sleep(random.uniform(1, 3))  # so long nothing may be delivered; below likewise
            _grant(world)
            file.write_text(_narrowed(declared), encoding="utf-8")
            _apply(world, NARROW)
            time.sleep(random.uniform(0, 2))
            file.unlink()
            _apply(world, "", "--prune")
            time.sleep(random.uniform(0, 2))
        finally:
            file.write_text(declared, encoding="utf-8")
            _grant(world)


class Unseen:
    """A router is stopped for a moment and keeps its partitions; then it has events and an old table in its memory."""

    name = "agreement-revoked-unseen"
    says = "an agreement revoked while a router is stopped for less than its session: it must look before it goes on"
    times = 4
    short_times = 0
    brokers = 1

    def strike(self, world: World, random: Random) -> None:
        router = world.routers[random.choice(sorted(world.routers))].process
        try:
            router.send_signal(signal.SIGSTOP)
            try:
                _revoke(world)
                time.sleep(random.uniform(*_AWAY_SECONDS))  # so long it knows nothing of it
            finally:
                router.send_signal(signal.SIGCONT)
            world.recovered()
        finally:
            _grant(world)


class UnseenHeedless(Unseen):
    """The same with routers that do not look. Whether one goes on before it hears of it is chance, so it strikes more often."""

    name = "agreement-revoked-unseen-control"
    says = "the same with routers that go on all the same: the judge must find it"
    times = 12
    is_control = True

    def prepare(self, world: World) -> None:
        """Routers without the guard."""
        _exchange(world, HeedlessRouter)

    def clear(self, world: World) -> None:
        """The usual routers."""
        _exchange(world, RouterProcess)


class CutOff:
    """A router is cut off from the control topic, and from nothing else: it must wait, since nobody tells it what was revoked."""

    name = "agreement-revoked-unheard"
    says = "an agreement revoked while a router cannot reach the topic that says so, and can reach all others"
    times = 2
    short_times = 0
    brokers = 1

    is_control = False

    _program: type[RouterProcess] = RouterProcess

    def __init__(self) -> None:
        self._proxy: Proxy | None = None

    def prepare(self, world: World) -> None:
        """Router "a" behind a proxy; "b" hears everything."""
        self._proxy = Proxy(world.broker_port(1))
        world.stop_router("a")
        world.start_router("a", program=self._program, **world.through(self._proxy.address)).await_ready()

    def clear(self, world: World) -> None:
        """The usual router."""
        world.stop_router("a")
        if self._proxy is not None:
            self._proxy.close()
            self._proxy = None
        world.start_router("a").await_ready()

    def strike(self, world: World, random: Random) -> None:
        assert self._proxy is not None
        router = world.routers["a"]
        try:
            with self._proxy.silent_to(_FOLLOWER):
                time.sleep(_UNDER_WAY_SECONDS)
                _revoke(world)
                if not self.is_control:
                    await_true(lambda: router.get("/health/ready")[0] == 503, "the router says that it waits", _CUT_SECONDS)
                    assert AGREEMENTS_TOPIC in router.get("/health/ready")[1], "it waits for something else"
                time.sleep(_AWAY_SECONDS[1] if self.is_control else random.uniform(*_AWAY_SECONDS))  # so long it is tempted
            world.recovered()
        finally:
            _grant(world)


class CutOffHeedless(CutOff):
    """The same with a router that does not look; the judge must find what it delivers."""

    name = "agreement-revoked-unheard-control"
    says = "the same with a router that goes on all the same: the judge must find it"
    times = 1
    short_times = 0
    is_control = True
    _program = HeedlessRouter


def _exchange(world: World, program: type[RouterProcess]) -> None:
    """Start every router anew, as another program."""
    for name in sorted(world.routers):
        world.stop_router(name)
        world.start_router(name, program=program).await_ready()


def _narrowed(declared: str) -> str:
    """The agreement's file with fewer rows and fields."""
    for old, new in _LESS:
        assert old in declared, f"{_FILE} has no {old}"
        declared = declared.replace(old, new)
    return declared


def _grant(world: World) -> None:
    """Put the agreement in force again. Nothing that was not granted is delivered the sooner, so nobody waits for the routers."""
    _apply(world, DECLARED, grace_ms=_HEARD_MS)


def _apply(world: World, terms: str, *flags: str, grace_ms: int = 0) -> None:
    """``hutong apply``; when it has taken something back, that holds from the moment at which it says so."""
    began = now_ms()
    world.apply(*flags)
    _note(world, terms, began, grace_ms)


def _revoke(world: World) -> None:
    """The first thing that ``hutong apply --prune`` does, by itself: what is acknowledged is one record, before it is heard."""
    began = now_ms()
    write(world.settings(), AGREEMENTS_TOPIC, {_ID: None})
    _note(world, "", began, _HEARD_MS)


def _note(world: World, terms: str, began_ms: int, grace_ms: int) -> None:
    world.book.terms(Terms(agreement=_ID, terms=terms, began_ms=began_ms, acknowledged_ms=now_ms(), grace_ms=grace_ms))


FAULTS: tuple[Fault, ...] = (Revoked(), Unseen(), UnseenHeedless(), CutOff(), CutOffHeedless())
