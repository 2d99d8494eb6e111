"""Brokers that are killed: the only one, each of three in turn, and the one that leads the controllers.

Neighbours: ``network`` has what goes wrong on the way to a broker, ``machine`` what goes wrong under one.
"""

from __future__ import annotations

import json
import signal
from random import Random
from typing import NamedTuple

from confluent_kafka.admin import AdminClient

from hutong.home import Home
from tests.integration.processes import await_true
from tests.torture.fault import Fault
from tests.torture.world import World

__all__ = ["FAULTS", "kill_broker"]

_ENDS_SECONDS = 15.0
_ELECTED_SECONDS = 30.0
_IN_SYNC_SECONDS = 90.0


class BrokerKilled:
    """The only broker is killed, and started again."""

    name = "broker-killed"
    says = "SIGKILL of the only broker"
    times = 3
    short_times = 0
    brokers = 1

    def strike(self, world: World, random: Random) -> None:
        kill_broker(world, 1)
        world.start_missing()


class OneOfThreeKilled:
    """One of three brokers is killed, the next each time. The line goes on without it, and it comes back."""

    name = "one-of-three-killed"
    says = "SIGKILL of each of three brokers in turn"
    times = 3
    short_times = 0
    brokers = 3

    def __init__(self) -> None:
        self._strikes = 0

    def strike(self, world: World, random: Random) -> None:
        number = self._strikes % 3 + 1
        self._strikes += 1
        kill_broker(world, number)
        _come_back(world, number)


class ControllerKilled:
    """The broker whose controller leads the others is killed; another one takes over."""

    name = "controller-killed"
    says = "SIGKILL of the active controller, one of three"
    times = 2
    short_times = 0
    brokers = 3

    def strike(self, world: World, random: Random) -> None:
        before = active_controller(world.home)
        kill_broker(world, before.node)
        await_true(lambda: active_controller(world.home).term > before.term, "another controller is elected", _ELECTED_SECONDS)
        after = active_controller(world.home)
        assert after.node != before.node, f"the controller of the dead broker {before.node} was elected again"
        _come_back(world, before.node)


class Leader(NamedTuple):
    """The active controller.

    Attributes:
        term: rises with every election.
        node: its broker's id.
    """

    term: int
    node: int


def active_controller(home: Home) -> Leader:
    """Who leads the controllers, as the one that knows of the newest election has written it down.

    Brokers tell clients of any controller (KIP-590); the quorum's own state is in a file beside the metadata.
    """
    found = [Leader(-1, -1)]
    for file in home.kafka.glob("node-*/data/__cluster_metadata-0/quorum-state"):
        facts = json.loads(file.read_text(encoding="utf-8"))
        if facts["leaderId"] >= 0:
            found.append(Leader(facts["leaderEpoch"], facts["leaderId"]))
    newest = max(found)
    assert newest.node >= 0, "no controller is known to lead"
    return newest


def kill_broker(world: World, number: int) -> None:
    """End a broker without warning."""
    broker = world.broker_process(number)
    broker.signal(signal.SIGKILL)
    await_true(lambda: not broker.alive, f"broker {number} is dead", _ENDS_SECONDS)


def _come_back(world: World, number: int) -> None:
    """The line must go on with two; then the third comes back, and the next may go only when every copy is in step again."""
    seconds = world.recovered()
    world.say(f"the line went on without broker {number} after {seconds:.1f} s")
    world.start_missing()
    admin = AdminClient(world.settings().client() | {"log_level": 0})

    def in_sync() -> bool:
        topics = admin.list_topics(timeout=10).topics.values()
        return all(len(one.isrs) == len(one.replicas) for topic in topics for one in topic.partitions.values())

    await_true(in_sync, f"broker {number} has caught up", _IN_SYNC_SECONDS)


FAULTS: tuple[Fault, ...] = (BrokerKilled(), OneOfThreeKilled(), ControllerKilled())
