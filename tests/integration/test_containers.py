"""What compose.yaml's containers start with, started here: their files, the broker's script, the registry on Kafka."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from confluent_kafka.admin import AdminClient

from hutong import Publisher, Subscription
from hutong.embedded import broker, containers, ports
from hutong.embedded.jars import distributions, install
from hutong.embedded.java import java
from hutong.embedded.progress import Progress
from hutong.home import Home
from hutong.kafka.settings import Settings
from hutong.principals import REGISTRY_WRITER, SERVICES
from tests.behaviour.line import FI, MOVED, move
from tests.integration.processes import ServiceProcess, await_true, hutong

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy/compose/kafka.sh"

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Containers as processes here."""

    directory: Path
    layout: containers.Containers

    @property
    def operator(self) -> Home:
        """The volume "operator"."""
        return Home(root=self.directory / "operator")

    @property
    def out(self) -> Path:
        """All the other volumes."""
        return self.directory / "prepared"

    def variables(self, home: Home) -> dict[str, str]:
        """As ``x-bus`` in compose.yaml, and for the operator as ``apply`` has them."""
        node = self.layout.nodes[0]
        writer = {"HUTONG_REGISTRY_USERNAME": REGISTRY_WRITER} if home == self.operator else {}
        return writer | {
            "HUTONG_HOME": str(home.root),
            "HUTONG_KAFKA_BOOTSTRAP_SERVERS": f"{node.host}:{node.port}",
            "HUTONG_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "HUTONG_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "HUTONG_KAFKA_SSL_CA_LOCATION": str(home.tls / "ca.crt"),
            "HUTONG_REGISTRY_URL": f"https://{self.layout.registry_host}:{self.layout.registry_port}/apis/ccompat/v7",
            "HUTONG_REGISTRY_SSL_CA_LOCATION": str(home.tls / "ca.crt"),
        }


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A broker and the registry, from the prepared files."""
    directory = tmp_path_factory.mktemp("containers")
    programs = distributions()
    kafka, registry = install(directory / "jars", [programs["kafka"], programs["apicurio-registry"]], Progress())
    taken: set[int] = set()
    for _ in range(4):
        taken.add(ports.free_port(taken))
    port, controller, https, management = taken
    layout = containers.Containers(
        nodes=[broker.Place(id=1, host="127.0.0.1", port=port, controller_port=controller)],
        registry_host="127.0.0.1",
        registry_port=https,
        etc=str(directory / "prepared/{name}"),
        data=str(directory / "{name}-data"),
        libraries=f"{kafka}/*",
        listen="127.0.0.1",
    )
    found = Stack(directory=directory, layout=layout)
    containers.prepare(found.operator, found.out, layout)
    with ExitStack() as running:
        _start_broker(found, kafka, running)
        await_true(lambda: ports.answers(port), "the broker takes clients", 60)
        _python(found, "from hutong.embedded.containers import main; main(['access'])")
        variables = {
            "QUARKUS_CONFIG_LOCATIONS": str(found.out / "registry/registry.properties"),
            "QUARKUS_MANAGEMENT_PORT": str(management),
        }
        command = [java(), "-Xmx384m", "-XX:TieredStopAtLevel=1", "-jar", str(registry / "quarkus-run.jar")]
        _start(command, directory / "registry.log", variables, running)
        try:
            check = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["registry"]["healthcheck"]["test"]
            probe = [word.replace("/9000", f"/{management}") for word in check[1:]]
            healthy = lambda: subprocess.run(probe, stderr=subprocess.DEVNULL, check=False, timeout=10).returncode == 0  # noqa: E731
            await_true(healthy, "the registry is healthy, as compose.yaml asks it", 60)
        except AssertionError:
            print((directory / "registry.log").read_text()[-6000:])  # shown with the failure
            raise
        yield found


def _start_broker(stack: Stack, kafka: Path, running: ExitStack) -> None:
    home, tools = stack.directory / "kafka", stack.directory / "bin"
    (home / "bin").mkdir(parents=True)
    tools.mkdir()
    (tools / "java").symlink_to(java())
    (stack.directory / "kafka-1-data").mkdir()
    # Of the image all that the script uses is this one.
    begin = home / "bin/kafka-server-start.sh"
    begin.write_text(f'#!/bin/bash\nexec java $KAFKA_HEAP_OPTS -cp "{kafka}/*" kafka.Kafka "$1"\n')
    begin.chmod(0o755)
    variables = {
        "KAFKA_ETC": str(stack.out / "kafka-1"),
        "KAFKA_DATA": str(stack.directory / "kafka-1-data"),
        "KAFKA_HOME": str(home),
        "KAFKA_HEAP_OPTS": "-Xms256m -Xmx512m",
        "PATH": f"{tools}:/usr/bin:/bin",
    }
    _start(["/bin/bash", str(SCRIPT)], stack.directory / "kafka.log", variables, running)


def _start(command: list[str], log: Path, variables: dict[str, str], running: ExitStack) -> None:
    with log.open("wb") as out:
        process = subprocess.Popen(command, env={"PATH": "/usr/bin:/bin", **variables}, stdout=out, stderr=out)

    def end() -> None:
        process.terminate()
        process.wait(30)

    running.callback(end)


def _python(stack: Stack, code: str) -> None:
    variables = os.environ | stack.variables(stack.operator)
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_line_runs_on_the_prepared_cluster(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Applied by the operator, routed with what the router's volume holds, over TLS, with the registry's schemas in Kafka."""
    for name, value in stack.variables(stack.operator).items():
        monkeypatch.setenv(name, value)
    hutong(stack.operator, "apply", "--schemas", str(FI))
    monkeypatch.delenv("HUTONG_REGISTRY_USERNAME")  # of "apply" alone
    home = Home(root=stack.out / "router")
    shutil.copytree(stack.operator.keys, home.keys)  # in compose.yaml: a volume of both
    router = ServiceProcess(home, "router", "router-1", environment=stack.variables(home))
    try:
        router.await_ready()
        with (
            Subscription("kela", "population", settings=Settings.resolve("kela"), group="kela.containers") as kela,
            Publisher("dvv", settings=Settings.resolve("dvv")) as dvv,
        ):
            kela.join(30)
            sent = dvv.publish(move(3), MOVED)
            sent.result(30)
            assert next(iter(kela)).attributes.id == sent.event_id
    finally:
        router.stop()
    topics = AdminClient(Settings.resolve("operator").client()).list_topics(timeout=10).topics
    assert "kafkasql-journal" in topics


def test_each_container_sees_its_own_secrets_alone(stack: Stack) -> None:
    """No volume holds another's password or key; what holds one is private; the authority's key is the operator's alone."""
    secrets = {file.name: file.read_text().strip() for file in stack.operator.secrets.iterdir()}
    allowed = {
        "kafka-1": {"operator", *SERVICES, "kafka-broker", "kafka-controller", "registry"},  # it makes the first users
        "registry": {"registry"},
        **{service: {service} for service in SERVICES},
        "grafana": {"grafana"},
    }
    assert {path.name for path in stack.out.iterdir()} == allowed.keys()
    for name, may in allowed.items():
        for file in (file for file in (stack.out / name).rglob("*") if file.is_file()):
            text = file.read_text(errors="replace")
            held = {principal for principal, password in secrets.items() if password in text}
            assert held <= may, file
            if held or "PRIVATE KEY" in text:
                assert stat.S_IMODE(file.stat().st_mode) in ((0o600, 0o640) if name == "grafana" else (0o600,)), file
    assert [file.name for file in stack.directory.rglob("ca.key")] == ["ca.key"]


def test_preparing_again_changes_nothing(stack: Stack) -> None:
    """A second `docker compose up` finds every file as it is: no broker gets another password or identity."""
    files = [file for file in stack.out.rglob("*") if file.is_file() and "services/log" not in str(file)]
    before = {file: file.read_bytes() for file in files}
    containers.prepare(stack.operator, stack.out, stack.layout)
    assert {file: file.read_bytes() for file in files} == before
