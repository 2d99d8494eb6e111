"""What goes wrong under the bus: the registry is away, the broker's disk is full, clocks jump.

Neighbours: ``volume`` is a disk that can be filled, ``clock`` one that can be set; ``brokers`` has what kills brokers at once.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from random import Random

from hutong.embedded.process import Process, start
from tests.integration.processes import await_true
from tests.torture.clock import Clock, compiler
from tests.torture.fault import Fault
from tests.torture.volume import Volume, may_mount
from tests.torture.world import World

__all__ = ["FAULTS"]

_MIB = 1 << 20
_END_SECONDS = 60.0
_NOTICED_SECONDS = 60.0


class RegistryAway:
    """The registry is killed, and routers that know no schema yet are started: what comes then has ids that nobody can explain.

    They must wait, and say why; nothing may be skipped or put into quarantine.
    """

    name = "registry-away"
    says = "no registry for a minute, while routers meet schema ids that are new to them"
    times = 1
    short_times = 0
    brokers = 1

    _seconds = 60.0
    _short_seconds = 10.0

    def strike(self, world: World, random: Random) -> None:
        registry = world.process("registry")
        registry.signal(signal.SIGKILL)
        began = time.monotonic()
        await_true(lambda: not registry.alive, "the registry is dead", _END_SECONDS)
        for name in sorted(world.routers):
            world.stop_router(name)
            world.start_router(name)
        for name, router in sorted(world.routers.items()):

            def waits() -> bool:
                status, text = router.get("/health/ready")  # noqa: B023 - asked within this turn
                return status == 503 and "registry" in text

            await_true(waits, f"router {name} says that it waits for the registry", _NOTICED_SECONDS)
        # However long it is away: this is the fault itself.
        time.sleep(max(0.0, (self._short_seconds if world.is_short else self._seconds) - (time.monotonic() - began)))
        world.start_missing()


class DiskFull:
    """The broker's disk is full under load. It gives up; once there is room and it is started again, nothing is missing."""

    name = "disk-full"
    says = "the broker's disk full to the last byte, under load"
    times = 1
    short_times = 0
    brokers = 1

    _room = 64 * _MIB

    def __init__(self) -> None:
        self._volume: Volume | None = None

    def prepare(self, world: World) -> None:
        """Its data on a disk of their own."""
        assert may_mount(), "only root may mount the small disk that is filled here"
        _end(world.broker_process(1))
        self._volume = Volume(world.home.kafka / "node-1" / "data", self._room)
        world.start_missing()

    def clear(self, world: World) -> None:
        """Its data where they were."""
        if self._volume is None:
            return
        volume, self._volume = self._volume, None
        volume.make_room()
        world.start_missing()
        _end(world.broker_process(1))
        volume.end()
        world.start_missing()

    def strike(self, world: World, random: Random) -> None:
        assert self._volume is not None
        broker = world.broker_process(1)
        left = self._volume.fill()
        # Its only place for data has failed: nothing that it says could be kept, so it must not go on.
        await_true(lambda: not broker.alive, "the broker gives up", _NOTICED_SECONDS)
        world.say(f"{self.name}: the last {left // _MIB} MiB were taken, and the broker gave up")
        time.sleep(random.uniform(0, 2))
        self._volume.make_room()
        world.start_missing()


class ClocksJump:
    """The wall clocks of the routers and of the broker jump, each by itself, by an hour or a day, and back again."""

    name = "clocks-jump"
    says = "the clocks of routers and broker jump by an hour or a day, forward or back"
    times = 6
    short_times = 0
    brokers = 1

    _jumps = (-86_400, -3_600, 3_600, 86_400)

    def __init__(self) -> None:
        self._clocks: dict[str, Clock] = {}
        self._strikes = 0

    def prepare(self, world: World) -> None:
        """Routers and broker with clocks of their own."""
        assert compiler() is not None, "clocks that can be set need a C compiler"
        for name in list(world.routers):
            world.stop_router(name)
        self._clocks["broker"] = Clock(world.place / "clocks", "broker")
        _restart_with(world.broker_process(1), world, self._clocks["broker"])
        world.start_missing()
        for name in ("a", "b"):
            self._clocks[name] = Clock(world.place / "clocks", name)
            world.start_router(name, **self._clocks[name].environment)
        for router in world.routers.values():
            router.await_ready()

    def clear(self, world: World) -> None:
        """The usual clocks."""
        for name in list(world.routers):
            world.stop_router(name)
        _end(world.broker_process(1))
        world.start_missing()
        self._clocks = {}
        for name in ("a", "b"):
            world.start_router(name)
        for router in world.routers.values():
            router.await_ready()

    def strike(self, world: World, random: Random) -> None:
        who = ("a", "b", "broker")[self._strikes % 3]
        self._strikes += 1
        seconds = random.choice(self._jumps)
        world.say(f"{self.name}: {who} by {seconds:+} s")
        self._clocks[who].jump(seconds)
        world.recovered()  # the line goes on with a clock that is wrong
        time.sleep(random.uniform(0, 2))
        self._clocks[who].jump(0)


def _end(process: Process) -> None:
    """End a process as an operator does."""
    process.signal(signal.SIGTERM)
    await_true(lambda: not process.alive, f"{process.name} ends", _END_SECONDS)


def _restart_with(process: Process, world: World, clock: Clock) -> None:
    """End a process of the bus and start the same with a clock of its own."""
    command = _words(process, "cmdline")
    environment = dict(word.partition("=")[::2] for word in _words(process, "environ"))
    _end(process)
    start(
        process.name,
        command,
        run=world.home.run,
        output=world.home.log / f"{process.name}.out",
        environment=environment | clock.environment,
        attached=True,
    )


def _words(process: Process, what: str) -> list[str]:
    text = Path(f"/proc/{process.pid}/{what}").read_bytes().decode()
    return [word for word in text.split("\0") if word]


FAULTS: tuple[Fault, ...] = (RegistryAway(), DiskFull(), ClocksJump())
