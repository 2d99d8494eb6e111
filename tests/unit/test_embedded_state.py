"""The bus's layout: ports are kept, taken ones are named or replaced, and a running part's never move."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hutong.embedded import ports
from hutong.embedded.state import State, Wish, load, new_cluster_id, save, settle
from hutong.errors import ConfigurationError, HutongError
from hutong.home import Home

NOBODY: frozenset[str] = frozenset()


@contextmanager
def occupied(port: int) -> Iterator[None]:
    with socket.socket() as squatter:
        squatter.bind((ports.LOOPBACK, port))
        squatter.listen()
        yield


def all_ports(state: State) -> list[int]:
    return [port for node in state.nodes for port in (node.port, node.controller_port)] + [
        state.registry_port,
        state.management_port,
    ]


@pytest.mark.parametrize("brokers", [1, 3])
def test_first_layout_has_free_ports_of_its_own(brokers: int) -> None:
    """Every listener gets another port, below those of outgoing connections."""
    state = settle(None, Wish(brokers=brokers), NOBODY)
    found = all_ports(state)
    assert len(set(found)) == len(found) == 2 * brokers + 2
    assert all(20_000 <= port < 32_768 for port in found)
    assert [node.name for node in state.nodes] == [f"kafka-{number}" for number in range(1, brokers + 1)]
    assert len(state.cluster_id) == 22


def test_layout_is_kept(tmp_path: Path) -> None:
    """The next start uses the same ports, without and with parts that run."""
    home = Home(root=tmp_path)
    assert load(home) is None
    state = settle(None, Wish(brokers=3), NOBODY)
    save(home, state)
    assert load(home) == state
    assert settle(state, Wish(), NOBODY) == state
    assert settle(state, Wish(brokers=3, kafka_port=None), frozenset(["kafka-1", "kafka-2", "kafka-3", "registry"])) == state
    assert home.address() == state.address


def test_wished_ports_are_used() -> None:
    """Brokers follow one another from the wished port on; 0 means a new one."""
    wished = next(port for port in range(21_000, 30_000) if all(ports.is_free(port + step) for step in range(3)))
    state = settle(None, Wish(brokers=3, kafka_port=wished, registry_port=0), NOBODY)
    assert [node.port for node in state.nodes] == [wished, wished + 1, wished + 2]
    moved = settle(state, Wish(kafka_port=0, registry_port=0), NOBODY)
    assert {node.port for node in moved.nodes}.isdisjoint(node.port for node in state.nodes)
    assert moved.cluster_id == state.cluster_id


def test_taken_client_port_is_named_with_a_way_out() -> None:
    """Clients know it, so it is not changed behind their backs."""
    state = settle(None, Wish(), NOBODY)
    with occupied(state.nodes[0].port), pytest.raises(HutongError, match=r"port \d+ of broker 1 is in use .*--kafka-port 0"):
        settle(state, Wish(), NOBODY)
    with (
        occupied(state.registry_port),
        pytest.raises(HutongError, match=r"port \d+ of the registry is in use .*--registry-port 0"),
    ):
        settle(state, Wish(), NOBODY)
    with occupied(state.registry_port), pytest.raises(HutongError, match="name another port"):
        settle(None, Wish(registry_port=state.registry_port), NOBODY)
    with pytest.raises(HutongError, match="in use"):
        settle(None, Wish(kafka_port=state.registry_port, registry_port=state.registry_port), NOBODY)


def test_taken_inner_port_is_replaced() -> None:
    """Nobody outside knows a controller's or the management port."""
    state = settle(None, Wish(), NOBODY)
    with occupied(state.nodes[0].controller_port), occupied(state.management_port):
        moved = settle(state, Wish(), NOBODY)
    assert moved.nodes[0].controller_port != state.nodes[0].controller_port
    assert moved.management_port != state.management_port
    assert moved.address == state.address


def test_ports_of_running_parts_stay() -> None:
    """A killed broker comes back where the others look for it."""
    state = settle(None, Wish(brokers=3), NOBODY)
    alive = frozenset(["kafka-1", "kafka-3", "registry"])
    with occupied(state.nodes[0].port), occupied(state.registry_port):
        assert settle(state, Wish(), alive) == state
    with (
        occupied(state.nodes[1].controller_port),
        pytest.raises(HutongError, match=r"broker 2's controller is in use .*hutong down"),
    ):
        settle(state, Wish(), alive)


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        (Wish(brokers=2), "1 or 3 brokers"),
        (Wish(brokers=3), "holds a bus with 1 broker"),
        (Wish(kafka_port=20_001), "brokers are running"),
        (Wish(registry_port=20_001), "registry is running"),
    ],
)
def test_wish_that_cannot_be_met_is_refused(wish: Wish, problem: str) -> None:
    """The message says why and what to do."""
    state = replace(settle(None, Wish(), NOBODY), registry_port=20_000)
    with pytest.raises(ConfigurationError, match=problem):
        settle(state, wish, frozenset(["kafka-1", "registry"]))


def test_damaged_layout_is_named(tmp_path: Path) -> None:
    """A bus.json that lacks something says how to get a new one."""
    home = Home(root=tmp_path)
    home.write_bus({"nodes": [{"id": 1}]})
    with pytest.raises(ConfigurationError, match=r"bus\.json is damaged .*hutong reset"):
        load(home)


def test_answering_and_free_ports_are_told_apart() -> None:
    """A listener answers and is not free; afterwards it is free again, though its connections linger."""
    port = ports.free_port()
    assert (ports.is_free(port), ports.answers(port)) == (True, False)
    with occupied(port):
        assert (ports.is_free(port), ports.answers(port)) == (False, True)
    assert (ports.is_free(port), ports.answers(port)) == (True, False)


def test_no_cluster_id_looks_like_an_option() -> None:
    """One random id in 64 begins with a hyphen, and Kafka's storage tool would take it for an option."""
    ids = {new_cluster_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert not any(one.startswith("-") for one in ids)
