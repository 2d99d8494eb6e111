"""The settings of one Kafka broker, as plain data: the same for the embedded bus and for containers. Pure.

Every node is broker and controller at once (KRaft). Clients and brokers log in with SCRAM-SHA-512 and are held to ACLs. The
controllers cannot use SCRAM, whose credentials lie in the very log that they keep: they log in to each other with a password of
their own. With TLS every listener speaks it, and nothing else. Neighbours: ``kafka`` writes these down and runs the node here,
``prepare`` writes them down for containers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hutong.principals import OPERATOR, SERVICES

__all__ = [
    "BROKER",
    "CONTROLLER",
    "PRINCIPALS",
    "Place",
    "Tls",
    "controller_alone",
    "properties",
    "quoted",
    "settings",
    "users",
]

# With a hyphen, which no department's code has: nobody can be given these names.
BROKER = "kafka-broker"
CONTROLLER = "kafka-controller"
PRINCIPALS = (OPERATOR, *sorted(SERVICES), BROKER)
"""Who can log in from the start. A service then waits for `hutong apply`, which gives it its rights."""

_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"

# What suits a laptop and a router that fans out in transactions; each differs from Kafka's default for the reason beside it.
_TUNING = {
    "auto.create.topics.enable": "false",  # a topic exists because a contract does
    "group.initial.rebalance.delay.ms": "0",  # nobody else is about to join
    "group.min.session.timeout.ms": "1000",  # a killed router may be replaced at once
    "group.consumer.min.session.timeout.ms": "3000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1500",
    "offsets.topic.num.partitions": "6",  # of 50: start-up time, and few coordinators suffice on one machine
    "transaction.state.log.num.partitions": "6",
    "share.coordinator.state.topic.num.partitions": "3",
    "transaction.max.timeout.ms": "60000",  # the longest that a dead writer can hold up readers of committed events
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",  # look for dead writers more often than every 10 s
    "log.segment.bytes": str(128 * 1024 * 1024),  # of 1 GiB: retention works by whole segments
    "log.index.size.max.bytes": str(1024 * 1024),  # of 10 MiB, which every partition would map; 128 MiB need a quarter of one
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),  # of 128 MiB of heap
    "num.network.threads": "2",  # two cores
    "num.io.threads": "4",
    "quota.window.num": "3",  # of 11 s: who was quiet for so long may send that much at once before a quota slows it down
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "6000",  # of 9 s: how long a killed broker's successor waits until it may register
    # Of 30 s: a transaction's coordinator that could not note its end, since a replica had just died, tries again only when its
    # thread for marks wakes up, by other marks or after this time; until then nobody can begin under the same name.
    "request.timeout.ms": "5000",
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one node is reached.

    Args:
        id: its node id.
        host: its name or address, as clients and the other nodes know it.
        port: for clients and brokers.
        controller_port: for controllers.
    """

    id: int
    host: str
    port: int
    controller_port: int


@dataclass(frozen=True, kw_only=True)
class Tls:
    """A node's side of TLS.

    Args:
        store: file with its key and certificate, PEM.
        authority: file with the authority's certificate, PEM.
        mutual: whether clients must show a certificate of that authority too.
    """

    store: Path
    authority: Path
    mutual: bool


def settings(
    nodes: Sequence[Place], node: Place, *, listen: str, data: str, passwords: Mapping[str, str], tls: Tls | None
) -> dict[str, str]:
    """All that differs from Kafka's defaults.

    Args:
        nodes: the whole cluster.
        node: the one that is meant.
        listen: the address that it listens on.
        data: its data directory.
        passwords: of ``kafka-broker`` and ``kafka-controller``.
        tls: None for a bus without.
    """
    replicas = min(3, len(nodes))
    in_sync = 2 if replicas == 3 else 1
    protocol = "SASL_SSL" if tls else "SASL_PLAINTEXT"
    broker, controller = passwords[BROKER], passwords[CONTROLLER]
    return _TUNING | {
        "process.roles": "broker,controller",
        "node.id": str(node.id),
        "controller.quorum.voters": ",".join(f"{each.id}@{each.host}:{each.controller_port}" for each in nodes),
        "listeners": _listeners(listen, node),
        "advertised.listeners": _listeners(node.host, node),
        "listener.security.protocol.map": f"CLIENTS:{protocol},CONTROLLERS:{protocol}",
        "inter.broker.listener.name": "CLIENTS",
        "controller.listener.names": "CONTROLLERS",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.controllers.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.clients.scram-sha-512.sasl.jaas.config": f'{_SCRAM} required username="{BROKER}" password="{broker}";',
        "listener.name.controllers.plain.sasl.jaas.config": (
            f'{_PLAIN} required username="{CONTROLLER}" password="{controller}" user_{CONTROLLER}="{controller}";'
        ),
        **(_tls(tls) if tls else {}),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:{OPERATOR};User:{BROKER};User:{CONTROLLER}",
        "log.dirs": data,
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(in_sync),
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": str(in_sync),
        "share.coordinator.state.topic.replication.factor": str(replicas),
        "share.coordinator.state.topic.min.isr": str(in_sync),
    }


def controller_alone(settings: Mapping[str, str]) -> dict[str, str]:
    """A node's settings for its controller without its broker, that soon notices which brokers are not there."""
    return {name: value for name, value in settings.items() if name != "advertised.listeners"} | {
        "process.roles": "controller",
        "listeners": settings["listeners"].partition(",")[2],
        "broker.session.timeout.ms": "1000",
    }


def users(passwords: Mapping[str, str]) -> list[str]:
    """Arguments of Kafka's storage tool that make the first users: SCRAM credentials must lie in the log before it begins."""
    each = (("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]") for name, password in passwords.items())
    return [word for pair in each for word in pair]


def properties(values: Mapping[str, str]) -> str:
    """The text of a Java properties file."""
    return "".join(f"{name}={_escaped(value)}\n" for name, value in values.items())


def quoted(arguments: Sequence[str]) -> str:
    """The text of a Java argument file, one argument a line."""
    return "\n".join('"' + argument.replace("\\", "\\\\").replace('"', '\\"') + '"' for argument in arguments)


def _listeners(host: str, node: Place) -> str:
    return f"CLIENTS://{host}:{node.port},CONTROLLERS://{host}:{node.controller_port}"


def _tls(tls: Tls) -> dict[str, str]:
    asked = "required" if tls.mutual else "none"
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(tls.store),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(tls.authority),
        "ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
        # Kafka looks at this setting on listeners with a login only under the listener's own name.
        "listener.name.clients.ssl.client.auth": asked,
        "listener.name.controllers.ssl.client.auth": asked,
    }


def _escaped(value: str) -> str:
    """A value as a Java properties file holds it: Kafka reads the file as Latin-1."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = (int.from_bytes(units[place : place + 2]) for place in range(0, len(units), 2))
    return "".join(chr(code) if 0x20 <= code < 0x7F else f"\\u{code:04x}" for code in codes)
