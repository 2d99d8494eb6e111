"""Faults of the routers: killed, stopped for longer than they may be silent, coming and going.

Neighbours: ``world`` starts the routers; the judge knows nothing of them.
"""

from __future__ import annotations

import signal
import time
from random import Random

from hutong.kafka.lookout import Lookout
from tests.integration.routers import RouterProcess, await_true
from tests.torture.fault import Fault
from tests.torture.reading import DELIVERIES, ends
from tests.torture.world import TRANSACTION_SECONDS, World

__all__ = ["FAULTS"]

_KILLS = 4
_LONGER_THAN_A_TRANSACTION = 0.5  # of a router that is well, at this load


class Killed:
    """SIGKILL of a router in the middle of its work, and of others while the group still shares its partitions out anew."""

    name = "router-killed"
    says = "SIGKILL of a router, and of three more at random moments of taking over (4 kills each time)"
    times = 5
    short_times = 1
    brokers = 1

    def strike(self, world: World, random: Random) -> None:
        for _ in range(_KILLS):
            name = random.choice(sorted(world.routers))
            world.routers[name].kill()
            world.start_router(name)
            time.sleep(random.uniform(0, 1))  # the next one at a random moment of the last one's recovery


class Zombie:
    """SIGSTOP with a transaction open, until its partitions are given away and the transaction was aborted; then SIGCONT."""

    name = "router-zombie"
    says = "SIGSTOP of a router with an open transaction, past session and transaction time-out, then SIGCONT: fenced"
    times = 3
    short_times = 1
    brokers = 1

    def strike(self, world: World, random: Random) -> None:
        name = random.choice(sorted(world.routers))
        router = world.routers[name]
        before = _given_up(router)
        _stop_in_transaction(world, router)
        try:
            stopped = time.monotonic()
            world.recovered()  # on all partitions: the other has taken over, and readers are not held up any more
            away = time.monotonic() - stopped
            assert away > TRANSACTION_SECONDS, f"others took over after {away:.1f} s: nothing was open"
        finally:
            router.process.send_signal(signal.SIGCONT)
        await_true(lambda: _given_up(router) > before, "the zombie notices that its transaction is not its own any more")
        world.say(f"  {name} was away for {away:.1f} s, and its transaction came to nothing")


class JoinAndLeave:
    """A router more, and a router less, under load."""

    name = "routers-come-and-go"
    says = "a router joins the group, does its share, and leaves"
    times = 10
    short_times = 1
    brokers = 1

    def strike(self, world: World, random: Random) -> None:
        newcomer = world.start_router("c").await_ready()
        await_true(lambda: newcomer.metric("hutong_router_batch_events_count") > 0, "the newcomer routes")
        leaving = random.choice(("a", "b", "c"))
        world.stop_router(leaving)
        if leaving != "c":
            world.start_router(leaving)
            world.stop_router("c")


def _given_up(router: RouterProcess) -> float:
    """Transactions of the router that were aborted, or of which it does not know how they ended."""
    return sum(router.metric("hutong_router_transactions_total", outcome=outcome) for outcome in ("aborted", "unknown"))


def _stop_in_transaction(world: World, router: RouterProcess) -> None:
    """SIGSTOP at a moment at which the router has written records and not committed them."""
    for _ in range(100):
        router.process.send_signal(signal.SIGSTOP)
        if _is_held_up(world):
            return
        router.process.send_signal(signal.SIGCONT)
        time.sleep(world.random.uniform(0, 0.05))
    raise AssertionError("the router was never caught with a transaction open")


def _is_held_up(world: World) -> bool:
    """Whether readers of a recipient stand before records that are there, and stay: the other router's transactions end."""
    lookout = Lookout(world.settings())
    places = list(ends(world.settings(), DELIVERIES))
    before = lookout.ends(places)
    time.sleep(_LONGER_THAN_A_TRANSACTION)
    after, tops = lookout.ends(places), lookout.tops(places)
    return any(before[place] == after[place] < tops[place] for place in places)


FAULTS: tuple[Fault, ...] = (Killed(), Zombie(), JoinAndLeave())
