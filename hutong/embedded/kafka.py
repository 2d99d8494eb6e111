"""One Kafka broker of the embedded bus: its settings, its storage, its command line.

Every node is broker and controller at once (KRaft). Clients and brokers log in with SCRAM-SHA-512 and are held to ACLs.
The controllers cannot use SCRAM, whose credentials lie in the very log that they keep: they log in to each other with a
password of their own. No password is ever on a command line; the files that hold one have mode 0600.
Neighbours: ``bus`` starts and watches the nodes, ``state`` chose their ports.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from hutong.embedded.diagnosis import first_problem
from hutong.embedded.disk import full_disk_said_plainly
from hutong.embedded.java import environment, java, server_flags, tool_flags
from hutong.embedded.ports import LOOPBACK
from hutong.embedded.state import Node, State
from hutong.errors import HutongError
from hutong.home import Home, write_private

__all__ = ["BROKER", "CONTROLLER", "OPERATOR", "SERVICES", "command", "configure", "format_storage", "is_formatted"]

OPERATOR = "operator"
SERVICES = "services"
# With a hyphen, which no department's code has: nobody can be given these names.
BROKER = "kafka-broker"
CONTROLLER = "kafka-controller"

_FORMAT_SECONDS = 60.0
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
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "6000",  # of 9 s: how long a killed broker's successor waits until it may register
}


def configure(home: Home, state: State, node: Node) -> Path:
    """Write the node's ``server.properties`` and make its directories.

    Returns:
        The file, mode 0600.
    """
    directory = _directory(home, node)
    directory.mkdir(parents=True, exist_ok=True)
    home.log.mkdir(parents=True, exist_ok=True)
    settings = _settings(home, state, node, data=directory / "data")
    file = directory / "server.properties"
    _write_settings(file, settings)
    return file


def _settings(home: Home, state: State, node: Node, *, data: Path) -> dict[str, str]:
    replicas = min(3, len(state.nodes))
    in_sync = 2 if replicas == 3 else 1
    voters = ",".join(f"{each.id}@{LOOPBACK}:{each.controller_port}" for each in state.nodes)
    broker, controller = home.ensure_secret(BROKER), home.ensure_secret(CONTROLLER)
    return _TUNING | {
        "process.roles": "broker,controller",
        "node.id": str(node.id),
        "controller.quorum.voters": voters,
        "listeners": f"CLIENTS://{LOOPBACK}:{node.port},CONTROLLERS://{LOOPBACK}:{node.controller_port}",
        "advertised.listeners": f"CLIENTS://{LOOPBACK}:{node.port},CONTROLLERS://{LOOPBACK}:{node.controller_port}",
        "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLERS:SASL_PLAINTEXT",
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
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:{OPERATOR};User:{BROKER};User:{CONTROLLER}",
        "log.dirs": str(data),
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(in_sync),
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": str(in_sync),
        "share.coordinator.state.topic.replication.factor": str(replicas),
        "share.coordinator.state.topic.min.isr": str(in_sync),
    }


def is_formatted(home: Home, node: Node) -> bool:
    """Whether the node has storage; formatting is done in one step, so it has all of it or none."""
    return (_directory(home, node) / "data" / "meta.properties").exists()


def format_storage(home: Home, state: State, node: Node, kafka: Path) -> None:
    """Make the node's storage, with the credentials of the principals that exist from the start.

    Raises:
        HutongError: Kafka's own tool could not do it.
    """
    directory = _directory(home, node)
    new = directory / "data.new"
    settings = directory / "format.properties"
    shutil.rmtree(new, ignore_errors=True)
    _write_settings(settings, _settings(home, state, node, data=new))
    arguments = [*tool_flags(), "-cp", _class_path(kafka), "kafka.tools.StorageTool", "format"]
    arguments += ["--cluster-id", state.cluster_id, "--config", str(settings)]
    for principal in (OPERATOR, SERVICES, BROKER):
        arguments += ["--add-scram", f"SCRAM-SHA-512=[name={principal},password={home.ensure_secret(principal)}]"]
    # Java reads its command line from this file, so that the passwords are not on one. What the tool prints holds their
    # salted hashes, so it is looked at after a failure only, and removed.
    file, output = directory / "format.arguments", directory / "format.output"
    try:
        write_private(file, "\n".join(_quoted(argument) for argument in arguments))
        write_private(output, "")
        with output.open("wb") as out, full_disk_said_plainly(directory):
            done = subprocess.run(
                [java(), f"@{file}"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment(),
                timeout=_FORMAT_SECONDS,
                check=False,
            )
        if done.returncode != 0:
            raise HutongError(f"Kafka's storage in {directory} could not be made: {first_problem(output)}")
        new.rename(directory / "data")
    except subprocess.TimeoutExpired:
        raise HutongError(f"Kafka's storage in {directory} was not made within {_FORMAT_SECONDS:g} s; run it again") from None
    finally:
        for left in (file, output, settings):
            left.unlink(missing_ok=True)


def command(home: Home, node: Node, kafka: Path) -> list[str]:
    """The broker's command line."""
    return [
        java(),
        *server_flags(heap_mb=1024, temporary=home.run / "tmp"),
        "-XX:+UseG1GC",  # Java would take the serial collector on a machine of less than 2 GB: pauses of the whole broker
        "-XX:MaxGCPauseMillis=20",
        f"-Dhutong.log={home.log / f'kafka-{node.id}.log'}",
        f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')}",
        "-cp",
        _class_path(kafka),
        "kafka.Kafka",
        str(_directory(home, node) / "server.properties"),
    ]


def _directory(home: Home, node: Node) -> Path:
    return home.kafka / f"node-{node.id}"


def _class_path(kafka: Path) -> str:
    return f"{kafka}/*"


def _write_settings(file: Path, settings: Mapping[str, str]) -> None:
    write_private(file, "".join(f"{name}={_escaped(value)}\n" for name, value in settings.items()))


def _escaped(value: str) -> str:
    """A value as a Java properties file holds it: Kafka reads the file as Latin-1."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = (int.from_bytes(units[place : place + 2]) for place in range(0, len(units), 2))
    return "".join(chr(code) if 0x20 <= code < 0x7F else f"\\u{code:04x}" for code in codes)


def _quoted(argument: str) -> str:
    """One argument in Java's argument-file syntax."""
    return '"' + argument.replace("\\", "\\\\").replace('"', '\\"') + '"'
