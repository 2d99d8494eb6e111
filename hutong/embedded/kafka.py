"""One Kafka broker of the embedded bus: its storage, its files, its command line.

No password is ever on a command line; the files that hold one have mode 0600.
Neighbours: ``broker`` says how it is set up, ``bus`` starts and watches the nodes, ``state`` chose their ports.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from hutong.embedded import broker
from hutong.embedded.diagnosis import first_problem
from hutong.embedded.disk import full_disk_said_plainly
from hutong.embedded.java import environment, java, server_flags, tool_flags
from hutong.embedded.ports import LOOPBACK
from hutong.embedded.state import Node, State
from hutong.errors import HutongError
from hutong.home import Home, write_private

__all__ = ["command", "configure", "format_storage", "is_formatted", "log_file", "was_killed"]

_FORMAT_SECONDS = 60.0


def configure(home: Home, state: State, node: Node, *, alone: bool = False) -> Path:
    """Write the node's settings and make its directories.

    Args:
        home: where.
        state: the cluster.
        node: the node.
        alone: for its controller without its broker.

    Returns:
        The file, mode 0600.
    """
    directory = _directory(home, node)
    directory.mkdir(parents=True, exist_ok=True)
    home.log.mkdir(parents=True, exist_ok=True)
    settings = _settings(home, state, node, data=directory / "data")
    file = _file(home, node, alone=alone)
    write_private(file, broker.properties(broker.controller_alone(settings) if alone else settings))
    return file


def _file(home: Home, node: Node, *, alone: bool) -> Path:
    return _directory(home, node) / ("controller.properties" if alone else "server.properties")


def log_file(home: Home, node: Node, *, alone: bool = False) -> Path:
    """Where the node logs."""
    return home.log / f"{node.name}{'-controller' if alone else ''}.log"


def _settings(home: Home, state: State, node: Node, *, data: Path) -> dict[str, str]:
    places = {each.id: _place(each) for each in state.nodes}
    passwords = {principal: home.ensure_secret(principal) for principal in (broker.BROKER, broker.CONTROLLER)}
    tls = None
    if state.has_tls:
        tls = broker.Tls(store=home.tls / "server.pem", authority=home.tls / "ca.crt", mutual=state.security == "mutual")
    return broker.settings(list(places.values()), places[node.id], listen=LOOPBACK, data=str(data), passwords=passwords, tls=tls)


def _place(node: Node) -> broker.Place:
    return broker.Place(id=node.id, host=LOOPBACK, port=node.port, controller_port=node.controller_port)


def is_formatted(home: Home, node: Node) -> bool:
    """Whether the node has storage; formatting is done in one step, so it has all of it or none."""
    return (_directory(home, node) / "data" / "meta.properties").exists()


def was_killed(home: Home, node: Node) -> bool:
    """Whether it has run, and did not end in good order."""
    data = _directory(home, node) / "data"
    return (data / "__cluster_metadata-0").is_dir() and not (data / ".kafka_cleanshutdown").exists()


def format_storage(home: Home, state: State, node: Node, kafka: Path) -> None:
    """Make the node's storage, with the credentials of the principals that exist from the start.

    Raises:
        HutongError: Kafka's own tool could not do it.
    """
    directory = _directory(home, node)
    new = directory / "data.new"
    settings = directory / "format.properties"
    shutil.rmtree(new, ignore_errors=True)
    write_private(settings, broker.properties(_settings(home, state, node, data=new)))
    arguments = [*tool_flags(), "-cp", _class_path(kafka), "kafka.tools.StorageTool", "format"]
    arguments += ["--cluster-id", state.cluster_id, "--config", str(settings)]
    arguments += broker.users({principal: home.ensure_secret(principal) for principal in broker.PRINCIPALS})
    # Java reads its command line from this file, so that the passwords are not on one. What the tool prints holds their
    # salted hashes, so it is looked at after a failure only, and removed.
    file, output = directory / "format.arguments", directory / "format.output"
    try:
        write_private(file, broker.quoted(arguments))
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


def command(home: Home, node: Node, kafka: Path, *, alone: bool = False) -> list[str]:
    """The node's command line; ``alone``: of its controller without its broker."""
    return [
        java(),
        *server_flags(heap_mb=1024, temporary=home.run / "tmp"),
        "-XX:+UseG1GC",  # Java would take the serial collector on a machine of less than 2 GB: pauses of the whole broker
        "-XX:MaxGCPauseMillis=20",
        "-XX:ParallelGCThreads=1",  # on cores that are shared, several wait for one that does not run: pauses of 100 ms
        f"-Dhutong.log={log_file(home, node, alone=alone)}",
        f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')}",
        "-cp",
        _class_path(kafka),
        "kafka.Kafka",
        str(_file(home, node, alone=alone)),
    ]


def _directory(home: Home, node: Node) -> Path:
    return home.kafka / f"node-{node.id}"


def _class_path(kafka: Path) -> str:
    return f"{kafka}/*"
