"""The files with which a cluster in containers starts: certificates, passwords, each broker's settings, the registry's.

``compose.yaml`` runs this twice: ``files`` before anything else, into one volume per container, so that each sees its own secrets
and no others; ``access`` when the brokers are up, for the registry's own topics. Run again, both change nothing, but a
certificate that ends soon. The brokers' settings are those of the embedded bus. Neighbours: ``broker``, ``hutong.certificates``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hutong.certificates import Authority
from hutong.embedded import broker, registry
from hutong.embedded.java import tool_flags
from hutong.embedded.state import new_cluster_id
from hutong.errors import HutongError
from hutong.home import Home, write_private
from hutong.kafka.resources import Acl
from hutong.principals import OPERATOR, REGISTRY, REGISTRY_WRITER, SERVICES

__all__ = ["ACCESS", "Containers", "main", "prepare"]

_GRAFANA = "grafana"
_USERS = (*broker.PRINCIPALS, REGISTRY)  # who must be able to log in before `hutong apply` has run
_KAFKA_PORT, _CONTROLLER_PORT, _REGISTRY_PORT = 9092, 9093, 8443
_SHARED = 0o640  # for a container whose user is another and whose group is ours
_PUBLIC = 0o644
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"

ACCESS = frozenset(
    Acl(principal=REGISTRY, resource=resource, name=name, pattern="prefixed", operation=operation)  # type: ignore[arg-type]
    for resource, name, operations in (
        ("topic", "kafkasql-", "READ WRITE CREATE DESCRIBE DESCRIBE_CONFIGS ALTER_CONFIGS"),
        ("group", "apicurio-", "READ DESCRIBE"),
    )
    for operation in operations.split()
)
"""What the registry may: keep its schemas in topics of its own."""


@dataclass(frozen=True, kw_only=True)
class Containers:
    """Where things are for the processes in the containers; ``{name}`` stands for the container's name.

    Args:
        nodes: of the cluster.
        registry_host: the registry's name or address.
        registry_port: its port for HTTPS.
        etc: where a container finds its files.
        data: a broker's data.
        libraries: Kafka's, as a Java class path.
        listen: the address that servers listen on.
    """

    nodes: Sequence[broker.Place]
    registry_host: str = REGISTRY
    registry_port: int = _REGISTRY_PORT
    etc: str = "/etc/hutong"
    data: str = "/var/lib/kafka/data"
    libraries: str = "/opt/kafka/libs/*"
    listen: str = "0.0.0.0"  # noqa: S104 - of a container, whose network is its own

    def path(self, name: str, file: str) -> Path:
        """A file of a container, as the process in it sees it."""
        return Path(self.etc.replace("{name}", name)) / file

    @property
    def bootstrap_servers(self) -> str:
        """Where clients reach the brokers."""
        return ",".join(f"{node.host}:{node.port}" for node in self.nodes)


def prepare(home: Home, out: Path, containers: Containers) -> None:
    """Write every container's files.

    Args:
        home: the operator's: the authority and all the passwords are kept there.
        out: one directory per container is filled below it.
        containers: where things are.
    """
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = Authority(directory=home.tls)
    trusted = authority.ensure().read_text(encoding="ascii")
    passwords = {name: home.ensure_secret(name) for name in (*_USERS, broker.CONTROLLER, REGISTRY_WRITER)}
    cluster_id = _cluster_id(home)
    for node in containers.nodes:
        _broker(authority, out / f"kafka-{node.id}", containers, node, passwords, cluster_id)
    _registry(authority, out / REGISTRY, containers, passwords)
    for name in sorted(SERVICES):
        their = Home(root=out / name)
        their.write_secret(name, passwords[name])
        write_private(their.tls / "ca.crt", trusted, mode=_PUBLIC)
    write_private(out / _GRAFANA / "password", home.ensure_secret(_GRAFANA), mode=_SHARED)


def _broker(
    authority: Authority,
    directory: Path,
    containers: Containers,
    node: broker.Place,
    passwords: Mapping[str, str],
    cluster_id: str,
) -> None:
    name = directory.name
    _certify(authority, directory, node.host)
    tls = broker.Tls(store=containers.path(name, "server.pem"), authority=containers.path(name, "ca.crt"), mutual=False)
    data = containers.data.replace("{name}", name)
    # The storage is made aside and then renamed, in one step: see deploy/compose/kafka.sh.
    for file, log in (("server.properties", f"{data}/log"), ("format.properties", f"{data}/new")):
        found = broker.settings(containers.nodes, node, listen=containers.listen, data=log, passwords=passwords, tls=tls)
        write_private(directory / file, broker.properties(found))
    arguments = [*tool_flags(), "-cp", containers.libraries, "kafka.tools.StorageTool", "format"]
    arguments += ["--cluster-id", cluster_id, "--config", str(containers.path(name, "format.properties"))]
    arguments += broker.users({user: passwords[user] for user in _USERS})
    write_private(directory / "format.arguments", broker.quoted(arguments))


def _certify(authority: Authority, directory: Path, host: str) -> None:
    authority.server([host, "localhost"], directory=directory)
    write_private(directory / "ca.crt", authority.certificate.read_text(encoding="ascii"), mode=_PUBLIC)


def _registry(authority: Authority, directory: Path, containers: Containers, passwords: Mapping[str, str]) -> None:
    _certify(authority, directory, containers.registry_host)
    common, topic = "apicurio.kafka.common.", "apicurio.kafkasql.topic."
    found = {
        "apicurio.storage.kind": "kafkasql",
        "apicurio.kafkasql.bootstrap.servers": containers.bootstrap_servers,
        "apicurio.events.kafka.topic": "kafkasql-events",  # made in any case; by this name the same rules cover it
        topic + "partitions": "1",
        # It makes as many copies as there are brokers, three at most; told a number (replication.factor), 3.3.3 fails to start.
        topic + "min.insync.replicas": "2" if len(containers.nodes) >= 3 else "1",
        common + "security.protocol": "SASL_SSL",
        common + "sasl.mechanism": "SCRAM-SHA-512",
        common + "sasl.jaas.config": f'{_SCRAM} required username="{REGISTRY}" password="{passwords[REGISTRY]}";',
        common + "ssl.truststore.type": "PEM",
        common + "ssl.truststore.location": str(containers.path(REGISTRY, "ca.crt")),
        # Apicurio's own default is to take any broker's certificate.
        common + "ssl.endpoint.identification.algorithm": "https",
        "quarkus.http.host": containers.listen,
        "quarkus.http.insecure-requests": "disabled",
        "quarkus.http.ssl-port": str(containers.registry_port),
        "quarkus.http.ssl.certificate.files": str(containers.path(REGISTRY, "server.crt")),
        "quarkus.http.ssl.certificate.key-files": str(containers.path(REGISTRY, "server.key")),
        "quarkus.http.access-log.enabled": "false",
        "quarkus.management.host": "127.0.0.1",
        **registry.access(passwords[REGISTRY_WRITER]),
    }
    write_private(directory / "registry.properties", broker.properties(found))


def _cluster_id(home: Home) -> str:
    file = home.root / "cluster-id"
    if not file.exists():
        write_private(file, new_cluster_id() + "\n")
    return file.read_text(encoding="ascii").strip()


def _access() -> None:
    from hutong.kafka.admin import Admin
    from hutong.kafka.settings import Settings

    admin = Admin(Settings.resolve(OPERATOR))
    admin.brokers()
    admin.create_acls(ACCESS)


def main(arguments: Sequence[str]) -> None:
    """``files`` or ``access``, for three brokers called kafka-1 to kafka-3."""
    parser = argparse.ArgumentParser(prog="python -m hutong.embedded.containers", description=__doc__)
    parser.add_argument("step", choices=("files", "access"))
    parser.add_argument("--out", type=Path, default=Path("/prepared"), help="one directory per container is filled below it")
    asked = parser.parse_args(arguments)
    if asked.step == "access":
        return _access()
    nodes = [broker.Place(id=n, host=f"kafka-{n}", port=_KAFKA_PORT, controller_port=_CONTROLLER_PORT) for n in (1, 2, 3)]
    return prepare(Home.find(), asked.out, Containers(nodes=nodes))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except HutongError as error:
        sys.exit(f"error: {error}")
