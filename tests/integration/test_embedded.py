"""The embedded bus as its operator meets it: real processes, real clients, and the ways in which they die."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from hutong.embedded import Wish, down, reset, status, up
from hutong.embedded.process import processes
from hutong.errors import ConfigurationError, HutongError
from hutong.home import Home
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from hutong.principals import SERVICES
from hutong.runtime.addresses import forget_gone
from tests.conftest import RunningBus

HUTONG = (sys.executable, "-c", "import sys; sys.argv[0] = 'hutong'; from hutong.cli import main; main()")


def hutong(home: Home, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HUTONG_HOME": str(home.root)}
    return subprocess.run([*HUTONG, *arguments], env=environment, capture_output=True, text=True, check=False, **options)


def client(home: Home, principal: str = "operator", **changes: Any) -> dict[str, Any]:
    config = Settings.resolve(principal, {"HUTONG_HOME": str(home.root)}).client()
    return config | {"log_level": 0, "socket.timeout.ms": 5000, **changes}


def make_topic(home: Home, topic: str, **options: Any) -> None:
    admin = AdminClient(client(home))  # named: a client that nobody holds gives its requests up
    admin.create_topics([NewTopic(topic, **options)])[topic].result(timeout=15)


def publish(home: Home, topic: str, value: bytes) -> None:
    errors: list[KafkaError | None] = []
    producer = Producer(client(home) | {"enable.idempotence": True, "message.timeout.ms": 20_000})
    producer.produce(topic, value, on_delivery=lambda error, _: errors.append(error))
    producer.flush(25)
    assert errors == [None]


def values(home: Home, topic: str) -> list[bytes | None]:
    consumer = Consumer(client(home) | {"group.id": "test", "auto.offset.reset": "earliest", "enable.auto.commit": False})
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([TopicPartition(topic, 0, 0)])
        _, end = consumer.get_watermark_offsets(partition, timeout=10)
        return [message.value() for message in consumer.consume(end, timeout=10)] if end else []
    finally:
        consumer.close()


def register(home: Home, subject: str) -> int:
    registry = Registry.of(Settings.resolve("operator", {"HUTONG_HOME": str(home.root)}))
    return registry.register(subject, {"type": "record", "name": "R", "fields": []})


def subjects(home: Home) -> list[str]:
    address = home.address()
    assert address
    with urllib.request.urlopen(f"{address.registry_url}/subjects", timeout=10) as response:  # noqa: S310 - an address of our own
        found: list[str] = json.load(response)
        return found


def pid_of(home: Home, name: str) -> int:
    return next(process.pid for process in processes(home.run) if process.name == name)


def wait_until_gone(pid: int) -> None:
    def fields() -> list[str]:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()

    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/stat").exists() and (fields()[0] != "Z" or int(fields()[17]) > 1):  # its other threads end later
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.02)


def test_operator_makes_a_topic_and_a_schema(bus: RunningBus) -> None:
    """The operator's password opens Kafka, and the registry speaks the Confluent API."""
    make_topic(bus.home, "test.operator", num_partitions=3)
    assert len(AdminClient(client(bus.home)).list_topics("test.operator", timeout=10).topics["test.operator"].partitions) == 3
    assert register(bus.home, "test.operator-value") > 0
    assert "test.operator-value" in subjects(bus.home)


@pytest.mark.parametrize(
    "changes",
    [
        {"security.protocol": "PLAINTEXT"},
        {"sasl.password": "wrong"},
        {"sasl.username": "nobody.known"},
        {"sasl.mechanism": "PLAIN"},
    ],
    ids=["no login", "wrong password", "unknown principal", "other mechanism"],
)
def test_stranger_gets_no_answer(bus: RunningBus, changes: dict[str, str]) -> None:
    """Without a principal's password there is no metadata, let alone an event."""
    with pytest.raises(KafkaException):
        AdminClient(client(bus.home) | changes).list_topics(timeout=2)


def test_known_principal_without_a_grant_may_nothing(bus: RunningBus) -> None:
    """What no ACL allows is forbidden, also to somebody who has logged in."""
    make_topic(bus.home, "test.forbidden")
    allowed_nothing = AdminClient(client(bus.home, "router"))
    with pytest.raises(KafkaException) as refused:
        allowed_nothing.create_topics([NewTopic("test.mine")])["test.mine"].result(timeout=15)
    assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    seen = allowed_nothing.list_topics("test.forbidden", timeout=10).topics["test.forbidden"]
    assert seen.error is not None
    assert seen.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_controllers_do_not_take_clients_passwords(bus: RunningBus) -> None:
    """The controllers' port knows only the controllers' own principal."""
    node = (bus.home.read_bus() or {})["nodes"][0]
    for mechanism in ("PLAIN", "SCRAM-SHA-512"):
        direct = client(bus.home) | {"bootstrap.servers": f"127.0.0.1:{node['controller_port']}", "sasl.mechanism": mechanism}
        with pytest.raises(KafkaException):
            AdminClient(direct).list_topics(timeout=2)


def test_everything_listens_on_loopback_alone(bus: RunningBus) -> None:
    """No process of the bus can be reached from another machine."""
    pids = {process.pid for process in processes(bus.home.run)}
    targets: list[str] = []
    for link in (link for pid in pids for link in Path(f"/proc/{pid}/fd").iterdir()):
        with suppress(FileNotFoundError):  # closed since it was listed
            targets.append(str(link.readlink()))
    sockets = {one.removeprefix("socket:[").removesuffix("]") for one in targets if one.startswith("socket:[")}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                listening.append(fields[1].partition(":")[0])
    assert len(listening) >= 4  # clients, controllers, registry, its management
    assert set(listening) <= {"0100007F", "0000000000000000FFFF00000100007F"}


def test_passwords_are_in_private_files_only(bus: RunningBus) -> None:
    """Nobody else on the machine can read a password: not in a file, a command line, an environment or a log."""
    secrets = {file.name: file.read_text().strip() for file in bus.home.secrets.iterdir()}
    assert {"operator", *SERVICES, "registry-writer"} <= set(secrets)
    for process in processes(bus.home.run):
        seen = Path(f"/proc/{process.pid}/cmdline").read_bytes() + Path(f"/proc/{process.pid}/environ").read_bytes()
        assert not [name for name, password in secrets.items() if password.encode() in seen]
    for file in bus.home.root.rglob("*"):
        if not file.is_file() or bus.home.jars in file.parents:
            continue
        private = stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
        if not private:
            assert not [name for name, password in secrets.items() if password.encode() in file.read_bytes()], file
    for log in bus.home.log.iterdir():
        assert not [name for name, password in secrets.items() if password.encode() in log.read_bytes()], log


def test_no_password_is_on_a_command_line_while_the_storage_is_made(own_home: Home) -> None:
    """Kafka's own way would put the first passwords into every process list."""
    from hutong.embedded import kafka
    from hutong.embedded.jars import distributions, install
    from hutong.embedded.progress import Progress
    from hutong.embedded.state import settle

    home = own_home
    state = settle(None, Wish(), frozenset())
    (program,) = install(home.jars, [distributions()["kafka"]], Progress())
    password = home.ensure_secret("operator")
    watcher = subprocess.Popen(
        [sys.executable, "-c", _WATCH, str(os.getpid())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    kafka.format_storage(home, state, state.nodes[0], program)
    seen, _ = watcher.communicate("stop\n", timeout=10)
    assert "StorageTool" not in seen  # the arguments are in a file
    assert "format.arguments" in seen  # so the watcher did see the process
    assert password not in seen
    assert sorted(file.name for file in (home.kafka / "node-1").iterdir()) == ["data"]


_WATCH = """
import select, sys
from pathlib import Path
seen = set()
while not select.select([sys.stdin], [], [], 0.005)[0]:
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            if each.read_text().rpartition(")")[2].split()[1] == sys.argv[1]:
                seen.add(each.with_name("cmdline").read_text())
        except OSError:
            pass
print("\\n".join(seen))
"""


def test_up_again_is_harmless(bus: RunningBus) -> None:
    """A second start finds everything and changes nothing."""
    before = {process.name: process.pid for process in processes(bus.home.run)}
    began = time.monotonic()
    done = hutong(bus.home, "up")
    assert (done.returncode, time.monotonic() - began < 5) == (0, True), done.stderr
    assert bus.address.bootstrap_servers in done.stdout
    assert {process.name: process.pid for process in processes(bus.home.run)} == before


def test_status_tells_programs_and_people(bus: RunningBus) -> None:
    """Exit code 0 and every part, as JSON and as text."""
    forget_gone(bus.home)  # of services that other tests have killed
    done = hutong(bus.home, "status", "--json")
    facts = json.loads(done.stdout)
    assert (done.returncode, facts["up"]) == (0, True)
    assert {part["name"]: part["state"] for part in facts["parts"]} == {"kafka-1": "up", "registry": "up"}
    assert all(part["rss_bytes"] > 50_000_000 for part in facts["parts"])
    assert re.search(r"^kafka-1 +up +port \d+ +pid \d+ +\d+ MiB$", hutong(bus.home, "status").stdout, re.MULTILINE)


def test_another_shape_is_refused_while_there_is_a_bus(bus: RunningBus) -> None:
    """Brokers and ports of a running bus do not change under its clients."""
    with pytest.raises(ConfigurationError, match="holds a bus with 1 broker"):
        up(bus.home, wish=Wish(brokers=3))
    with pytest.raises(ConfigurationError, match="brokers are running"):
        up(bus.home, wish=Wish(kafka_port=20_000))
    with pytest.raises(ConfigurationError, match="registry is running"):
        up(bus.home, wish=Wish(registry_port=20_000))


@pytest.mark.long  # half a minute of starts
@pytest.mark.timeout(180)
def test_a_bus_and_its_misfortunes(own_home: Home) -> None:
    """Topic, event and schema survive a stop, killed processes, a stale record and a taken port; nothing is ever orphaned."""
    address = up(own_home)
    make_topic(own_home, "test.survives")
    publish(own_home, "test.survives", b"first")
    register(own_home, "test.survives-value")

    killed = {name: pid_of(own_home, name) for name in ("kafka-1", "registry")}
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
        wait_until_gone(pid)
    found = status(own_home)
    assert not found.up
    assert {part.name: part.state for part in found.parts} == {"kafka-1": "down", "registry": "down"}
    assert all("hutong up" in part.problem for part in found.parts)

    # Its number now belongs to somebody else, who must not be taken for it, let alone be stopped.
    stale = own_home.run / "kafka-1.json"
    facts = json.loads(stale.read_text())
    stale.write_text(json.dumps(facts | {"pid": os.getpid()}))
    assert down(own_home) == []

    node = (own_home.read_bus() or {})["nodes"][0]
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the broker's last connections may still be winding down
        squatter.bind(("127.0.0.1", node["port"]))
        squatter.listen()
        refused = hutong(own_home, "up")
    assert refused.returncode == 2
    assert re.fullmatch(
        r"hutong: port \d+ of broker 1 is in use by another program; .*`hutong up --kafka-port 0`\n", refused.stderr
    )
    assert processes(own_home.run) == []

    assert up(own_home) == address
    assert values(own_home, "test.survives") == [b"first"]
    assert subjects(own_home) == ["test.survives-value"]
    publish(own_home, "test.survives", b"second")
    assert down(own_home) == ["kafka-1", "registry"]
    assert (down(own_home), status(own_home).up) == ([], False)
    assert hutong(own_home, "status").returncode == 1

    moved = up(own_home, wish=Wish(kafka_port=0))
    assert moved.bootstrap_servers != address.bootstrap_servers
    assert moved.registry_url == address.registry_url
    assert values(own_home, "test.survives") == [b"first", b"second"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_start_leaves_nothing_unknown(own_home: Home, number: int) -> None:
    """Ctrl-C and a polite kill stop what was started; after a rude one `down` still knows it."""
    starting = subprocess.Popen(
        [*HUTONG, "up"],
        env=os.environ | {"HUTONG_HOME": str(own_home.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not (own_home.run / "registry.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    registry = pid_of(own_home, "registry")
    starting.send_signal(number)
    _, said = starting.communicate(timeout=30)
    assert starting.returncode != 0
    assert "Traceback" not in said
    if number == signal.SIGKILL:
        assert "registry" in [process.name for process in processes(own_home.run)]
        assert "registry" in down(own_home)
    wait_until_gone(registry)
    assert processes(own_home.run) == []


def test_the_password_file_that_is_gone_is_named(own_home: Home) -> None:
    """A new password would lock everybody out, so the start says which file is missing."""
    up(own_home)
    down(own_home)
    (own_home.secrets / "operator").unlink()
    with pytest.raises(HutongError, match=r"the password file .*operator is gone.*hutong reset"):
        up(own_home)
    reset(own_home)
    assert sorted(path.name for path in own_home.root.iterdir()) == ["jars", "run"]
    assert [path.name for path in own_home.run.iterdir()] == ["lock"]


def _make_offsets_topic(home: Home) -> None:
    """Ask for a group's offsets, which makes the topic that holds them; while it is being made, there is no coordinator."""
    deadline = time.monotonic() + 30
    with Consumer(client(home) | {"group.id": "makes.the.offsets.topic"}) as consumer:
        while True:
            try:
                consumer.committed([TopicPartition("test.copies", 0)], timeout=20)
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return


@pytest.mark.timeout(180)
@pytest.mark.long
@pytest.mark.long
def test_three_brokers_survive_the_loss_of_one(own_home: Home) -> None:
    """Every topic has three copies, Kafka's own too; with a broker killed, events are still confirmed by two."""
    address = up(own_home, wish=Wish(brokers=3))
    assert len(address.bootstrap_servers.split(",")) == 3
    make_topic(own_home, "test.copies")
    admin = AdminClient(client(own_home))
    _make_offsets_topic(own_home)
    transactional = Producer(client(own_home) | {"transactional.id": "makes.the.state.topic"})
    transactional.init_transactions(30)
    topics = admin.list_topics(timeout=10).topics
    for topic in ("test.copies", "__consumer_offsets", "__transaction_state"):
        assert {len(partition.replicas) for partition in topics[topic].partitions.values()} == {3}
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        assert admin.describe_configs([resource])[resource].result(timeout=10)["min.insync.replicas"].value == "2"

    victim = pid_of(own_home, "kafka-2")
    os.kill(victim, signal.SIGKILL)
    wait_until_gone(victim)
    publish(own_home, "test.copies", b"confirmed by two")
    assert [part.name for part in status(own_home).parts if part.state == "down"] == ["kafka-2"]
    assert up(own_home) == address
    assert status(own_home).up
    assert values(own_home, "test.copies") == [b"confirmed by two"]
