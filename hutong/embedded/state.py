"""What an embedded bus remembers between two starts: its shape and its ports, in ``run/bus.json``.

A restart keeps the ports, so clients need not be told anything. Processes are recorded apart (see ``process``): they come
and go without this changing.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hutong.embedded import ports
from hutong.errors import ConfigurationError, HutongError
from hutong.home import BusAddress, Home

__all__ = ["Node", "Security", "State", "Wish", "load", "save", "settle"]

_PATH = "/apis/ccompat/v7"  # of Apicurio's Confluent-compatible API
Security = Literal["plain", "tls", "mutual"]
"""``tls``: servers show a certificate; ``mutual``: clients of the brokers do too."""

_SECURITY = {
    "plain": "without TLS",
    "tls": "with TLS",
    "mutual": "with mutual TLS",
}
_NEW_PORT = "end that program, or take a new port with `hutong up {option} 0`"
_ALL_DOWN = "end that program, or `hutong down` and then `hutong up`"


@dataclass(frozen=True, kw_only=True)
class Node:
    """One broker.

    Args:
        id: its node id, from 1 on.
        port: where clients and brokers reach it.
        controller_port: where controllers reach each other.
    """

    id: int
    port: int
    controller_port: int

    @property
    def name(self) -> str:
        """The process's name."""
        return f"kafka-{self.id}"


@dataclass(frozen=True, kw_only=True)
class State:
    """A bus as it was laid out at its first start."""

    cluster_id: str
    nodes: tuple[Node, ...]
    registry_port: int
    management_port: int
    security: Security = "plain"

    @property
    def has_tls(self) -> bool:
        """Whether every listener speaks TLS."""
        return self.security != "plain"

    @property
    def address(self) -> BusAddress:
        """Where clients reach it."""
        return BusAddress(
            bootstrap_servers=",".join(f"{ports.LOOPBACK}:{node.port}" for node in self.nodes),
            registry_url=f"{'https' if self.has_tls else 'http'}://{ports.LOOPBACK}:{self.registry_port}{_PATH}",
            security_protocol="SASL_SSL" if self.has_tls else "SASL_PLAINTEXT",
            mutual_tls=self.security == "mutual",
        )


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a caller of ``up`` asks for; None leaves it as it was, or to us.

    Args:
        brokers: 1 or 3.
        kafka_port: port of the first broker, the next ones follow; 0 picks a new one.
        registry_port: port of the registry; 0 picks a new one.
        security: whether there is TLS, and on which sides.
    """

    brokers: int | None = None
    kafka_port: int | None = None
    registry_port: int | None = None
    security: Security | None = None


def load(home: Home) -> State | None:
    """The bus of this home, or None before its first start."""
    facts = home.read_bus()
    if facts is None:
        return None
    try:
        nodes = tuple(Node(id=each["id"], port=each["port"], controller_port=each["controller_port"]) for each in facts["nodes"])
        return State(
            cluster_id=facts["cluster_id"],
            nodes=nodes,
            registry_port=facts["registry_port"],
            management_port=facts["management_port"],
            security=_security(facts),
        )
    except (KeyError, TypeError) as exc:
        raise ConfigurationError(
            f"{home.bus_file} is damaged ({exc}); `hutong reset` lays the bus out anew, without its data"
        ) from exc


def _security(facts: Mapping[str, Any]) -> Security:
    if facts.get("security_protocol") != "SASL_SSL":
        return "plain"
    return "mutual" if facts.get("mutual_tls") else "tls"


def new_cluster_id() -> str:
    """A UUID in Kafka's form. Never one that begins with a hyphen: Kafka's own commands take that for an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not text.startswith("-"):
            return text


def save(home: Home, state: State) -> None:
    """Remember it, for clients too."""
    nodes: list[dict[str, Any]] = [
        {"id": node.id, "port": node.port, "controller_port": node.controller_port} for node in state.nodes
    ]
    home.write_bus(
        {
            "bootstrap_servers": state.address.bootstrap_servers,
            "registry_url": state.address.registry_url,
            "security_protocol": state.address.security_protocol,
            "mutual_tls": state.address.mutual_tls,
            "sasl_mechanism": "SCRAM-SHA-512",
            "cluster_id": state.cluster_id,
            "nodes": nodes,
            "registry_port": state.registry_port,
            "management_port": state.management_port,
        }
    )


def settle(known: State | None, wish: Wish, running: frozenset[str]) -> State:
    """The layout to start: what is remembered, changed as wished, with every port of a part that is not running free.

    Args:
        known: the remembered layout.
        wish: what the caller asks for.
        running: names of the parts that run; their ports stay.

    Raises:
        HutongError: a port that was asked for or remembered is taken.
        ConfigurationError: the wish cannot be met by this home.
    """
    if wish.brokers not in (None, 1, 3):
        raise ConfigurationError(f"a bus has 1 or 3 brokers, not {wish.brokers}")
    if known and wish.brokers not in (None, len(known.nodes)):
        raise ConfigurationError(
            f"this home holds a bus with {len(known.nodes)} broker(s); `hutong reset` deletes it, another HUTONG_HOME keeps both"
        )
    if known and wish.security not in (None, known.security):
        raise ConfigurationError(
            f"this home holds a bus {_SECURITY[known.security]}, not {_SECURITY[wish.security or known.security]}; "
            "`hutong reset` deletes it, another HUTONG_HOME keeps both"
        )
    taken: set[int] = set()
    nodes = _nodes(known, wish, running, taken)
    registry_port = known.registry_port if known else 0
    management_port = known.management_port if known else 0
    if "registry" in running:
        taken |= {registry_port, management_port}
        if wish.registry_port is not None and wish.registry_port != registry_port:
            raise ConfigurationError("the registry is running; `hutong down` first, then give it another port")
    else:
        remedy = _NEW_PORT.format(option="--registry-port")
        registry_port = _known_port(wish.registry_port, registry_port, taken, "the registry", remedy)
        management_port = _inner_port(management_port, taken)
    cluster_id = known.cluster_id if known else new_cluster_id()
    return State(
        cluster_id=cluster_id,
        nodes=nodes,
        registry_port=registry_port,
        management_port=management_port,
        security=known.security if known else wish.security or "plain",
    )


def _nodes(known: State | None, wish: Wish, running: frozenset[str], taken: set[int]) -> tuple[Node, ...]:
    before = (
        known.nodes
        if known
        else tuple(Node(id=number, port=0, controller_port=0) for number in range(1, (wish.brokers or 1) + 1))
    )
    alive = [node for node in before if node.name in running]
    if alive and wish.kafka_port is not None and wish.kafka_port != before[0].port:
        raise ConfigurationError("brokers are running; `hutong down` first, then give them other ports")
    for node in alive:
        taken |= {node.port, node.controller_port}
    nodes: list[Node] = []
    for place, node in enumerate(before):
        if node in alive:
            nodes.append(node)
            continue
        wished = wish.kafka_port + place if wish.kafka_port else wish.kafka_port
        port = _known_port(wished, node.port, taken, f"broker {node.id}", _NEW_PORT.format(option="--kafka-port"))
        if alive:  # they know this one's controller by its old port
            controller_port = _known_port(None, node.controller_port, taken, f"broker {node.id}'s controller", _ALL_DOWN)
        else:
            controller_port = _inner_port(node.controller_port, taken)
        nodes.append(Node(id=node.id, port=port, controller_port=controller_port))
    return tuple(nodes)


def _known_port(wished: int | None, known: int, taken: set[int], whose: str, remedy: str) -> int:
    """A port that others know: never changed without being asked to."""
    port = known if wished is None else wished
    if port == 0:
        port = ports.free_port(taken)
    elif port in taken or not ports.is_free(port):
        raise HutongError(f"port {port} of {whose} is in use by another program; {'name another port' if wished else remedy}")
    taken.add(port)
    return port


def _inner_port(known: int, taken: set[int]) -> int:
    """A port that only the bus itself uses: replaced silently when somebody has taken it."""
    port = known if known and known not in taken and ports.is_free(known) else ports.free_port(taken)
    taken.add(port)
    return port
