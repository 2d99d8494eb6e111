"""``hutong doctor`` on a real bus: healthy, then made ill in one way after the other."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from hutong.cli import main
from hutong.doctor import cluster
from hutong.embedded import up
from hutong.embedded.process import Process, processes
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.compacted import write
from hutong.kafka.resources import Acl
from hutong.kafka.settings import Settings
from hutong.kafka.versions import broker_offer
from tests.conftest import temporary_home
from tests.declaring import Declarations
from tests.integration.processes import ServiceProcess, await_true

HERE = {"disk", "native"}
"""Findings about the machine that the tests run on."""


class Ward:
    """A bus with the second set of declarations, and the command line."""

    def __init__(self, home: Home, declarations: Declarations) -> None:
        self.home, self.declarations = home, declarations
        self.settings = Settings.resolve("operator", {"HUTONG_HOME": str(home.root)})

    def run(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HUTONG_HOME", str(self.home.root))
            patch.setenv("HUTONG_SCHEMAS", str(self.declarations.directory))
            patch.setattr(sys, "argv", ["hutong", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        return int(ended.value.code or 0), capsys.readouterr().out

    def findings(self, capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, str], dict[str, Any]]:
        """By check and severity; the exit code is as they are."""
        code, out = self.run(capsys, "doctor", "--json")
        document = json.loads(out)
        found = {(one["check"], one["severity"]): one for one in document["findings"] if one["check"] not in HERE}
        if not any(one["check"] in HERE for one in document["findings"] if one["severity"] != "note"):
            assert code == any(severity != "note" for _, severity in found)
        return found


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with temporary_home() as home:
        up(home, attached=True)
        yield Ward(home, Declarations(tmp_path_factory.mktemp("fi")))


def test_a_healthy_bus_has_no_finding(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    """After `apply` nothing is wrong; the brokers' clock was asked, and no topic is left of that."""
    assert ward.run(capsys, "apply")[0] == 0
    assert ward.findings(capsys) == {}
    assert Admin(ward.settings).topics(["hutong."]) == {}
    offer = broker_offer(ward.settings, ward.settings.bootstrap_servers)
    assert offer.features["metadata.version"] >= cluster._LEVEL


def test_what_is_missing_on_the_bus_is_told(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    """A topic, a rule, a key are taken away, a rule that nobody declared and a record that is no grant are put there."""
    admin = Admin(ward.settings)
    topics = sorted(admin.topics(["sub."]))
    rule = next(acl for acl in sorted(admin.acls() or ()) if acl.resource == "topic" and acl.operation == "READ")
    key = sorted(ward.home.keys.iterdir())[0]
    kept = key.read_bytes()
    admin.delete_topics([topics[0]])
    admin.delete_acls([rule])
    admin.create_acls([Acl(principal="dvv.population", resource="topic", name="pub.", pattern="prefixed", operation="READ")])
    key.unlink()
    write(ward.settings, "ctl.agreements", {"nonsense": b"{}"})
    found = ward.findings(capsys)
    assert {("topics", "error"), ("access", "error"), ("access", "warning"), ("keys", "error"), ("agreements", "error")} <= set(
        found
    )
    assert found["topics", "error"]["where"] == topics[0]
    assert rule.name in found["access", "error"]["where"]
    assert key.name in found["keys", "error"]["where"]
    key.write_bytes(kept)
    key.chmod(0o600)
    write(ward.settings, "ctl.agreements", {"nonsense": None})
    assert ward.run(capsys, "apply", "--prune")[0] == 0
    assert ward.findings(capsys) == {}


def test_what_stands_still_is_told(ward: Ward, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that is not ended, and groups that nobody takes part in any more: the routers', and a recipient's."""
    monkeypatch.setattr(cluster, "_TRANSACTION_SECONDS", 0.0)
    topic = sorted(Admin(ward.settings).topics(["sub."]))[0]
    recipient = ".".join(topic.split(".")[1:3])
    for group in ("hutong.router", f"{recipient}.apps"):
        reader = Consumer(ward.settings.client() | {"group.id": group, "log_level": 0})
        reader.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
        reader.close()
    producer = Producer(ward.settings.client() | {"transactional.id": "hutong.hanging", "log_level": 0})
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(topic, b"x", partition=0)
    producer.flush(10)
    found = ward.findings(capsys)
    producer.abort_transaction(10)
    assert set(found) == {("transactions", "error"), ("groups", "warning"), ("groups", "note")}
    assert found["transactions", "error"]["where"] == f"{topic}[0]"
    assert (found["groups", "warning"]["where"], found["groups", "note"]["where"]) == ("hutong.router", f"{recipient}.apps")


def test_services_are_seen_at_work_and_missed_when_killed(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    """A real router and a real monitor: found by their addresses, their figures shown; the one that is killed is told of."""
    router, monitor = ServiceProcess(ward.home, "router", "a"), ServiceProcess(ward.home, "monitor", "a")
    try:
        router.await_ready()
        monitor.await_ready()
        assert ward.run(capsys, "status")[0] == 0
        await_true(lambda: monitor.metric("hutong_agreement_info") > 0, "the monitor has looked")
        code, out = ward.run(capsys, "top", "--once", "--interval", "0.2", "--json")
        seen = json.loads(out)
        assert (code, seen["source"], seen["well"]) == (0, "monitor", True)
        assert {one["agreement"] for one in seen["agreements"]} == set(ward.declarations.catalogue().agreements)
        assert all((one["pending"], one["freshness"], one["rate"]) == (0, 0, 0) for one in seen["agreements"])
        router.kill()
        assert ward.run(capsys, "status")[0] == 1
        assert ward.findings(capsys)["services", "error"]["where"] == "router-a"
    finally:
        router.stop()
        monitor.stop()
    assert {one["state"] for one in json.loads(ward.run(capsys, "status", "--json")[1])["services"]} == {"down"}


def test_a_wrong_password_is_told(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    """Another file than the brokers know."""
    home = Home(root=ward.home.root)
    kept = home.read_secret("operator")
    assert kept is not None
    home.write_secret("operator", "another")
    try:
        assert "do not accept the password of operator" in ward.findings(capsys)["kafka", "error"]["what"]
    finally:
        home.write_secret("operator", kept)


def kill(process: Process) -> None:
    """End it without warning, and wait for its last thread."""
    process.signal(signal.SIGKILL)
    await_true(lambda: not process.alive, f"{process.name} is dead")


def test_parts_that_were_killed_are_told(ward: Ward, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """First the registry, then the broker too: each is told of with its remedy, and everything else is still examined."""
    monkeypatch.setattr("hutong.kafka.admin._REACH_SECONDS", 2.0)  # of ten: how long a dead broker is waited for
    running = {one.name: one for one in processes(ward.home.run)}
    kill(running["registry"])
    found = ward.findings(capsys)
    assert {("orphans", "error"), ("registry", "error")} <= set(found)
    assert found["orphans", "error"]["where"] == "registry"
    assert "`hutong up`" in found["orphans", "error"]["remedy"]
    kill(running["kafka-1"])
    found = ward.findings(capsys)
    assert {("orphans", "error"), ("kafka", "error")} <= set(found)
    assert "no broker at" in found["kafka", "error"]["what"]
