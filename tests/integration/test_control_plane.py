"""``hutong plan`` and ``apply`` on a real bus: what they make, whom it lets do what, and what a second run changes."""

from __future__ import annotations

import json
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from hutong.agreements.grant import Grant
from hutong.cli import main
from hutong.cli.plan import compare
from hutong.contracts.avro import parse
from hutong.contracts.schema import EventSchema
from hutong.contracts.shape import fingerprint
from hutong.control.apply import apply
from hutong.embedded import up
from hutong.errors import RegistryUnavailable
from hutong.flows.control import plans_of
from hutong.flows.plan import FlowPlan
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.compacted import read_all
from hutong.kafka.groups import Groups
from hutong.kafka.lookout import Lookout
from hutong.kafka.registry_admin import RegistryAdmin
from hutong.kafka.resources import Acl
from hutong.kafka.settings import Settings
from tests.conftest import temporary_home
from tests.declaring import Declarations
from tests.integration.routers import hutong

MOVES = "agreements/kela/moves-to-benefits.yaml"
FLOW = "flows/claim-check.yaml"
DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with temporary_home() as home:
        up(home, attached=True)
        yield home


@pytest.fixture(scope="module")
def fi(tmp_path_factory: pytest.TempPathFactory) -> Declarations:
    """The second set; the tests of this module edit it one after the other."""
    return Declarations(tmp_path_factory.mktemp("fi"))


class Commands:
    """The command line against this module's bus."""

    def __init__(self, home: Home, schemas: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("HUTONG_HOME", str(home.root))
        self.home, self.schemas, self.monkeypatch, self.capsys = home, schemas, monkeypatch, capsys

    def run(self, *arguments: str) -> tuple[int, str]:
        self.monkeypatch.setattr(sys, "argv", ["hutong", *arguments, "--schemas", str(self.schemas)])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = self.capsys.readouterr()
        return int(ended.value.code or 0), captured.out + captured.err

    def apply(self, *arguments: str) -> str:
        code, out = self.run("apply", *arguments)
        assert code == 0, out
        return out

    def plan(self, *arguments: str) -> dict[str, Any]:
        code, out = self.run("plan", "--json", *arguments)
        document: dict[str, Any] = json.loads(out)
        assert code == (0 if document["in_step"] else 1)
        return document

    def settings(self, principal: str = "operator") -> Settings:
        return Settings.resolve(principal, {"HUTONG_HOME": str(self.home.root)})

    def admin(self) -> Admin:
        return Admin(self.settings())

    def registry(self) -> RegistryAdmin:
        return RegistryAdmin.of(self.settings())

    def grants(self) -> dict[str, Grant]:
        return {id_: Grant.from_json(text) for id_, text in read_all(self.settings(), "ctl.agreements").items()}

    def plan_of_the_flow(self) -> FlowPlan:
        """As a coordinator makes it."""
        entries = read_all(self.settings(), "ctl.flows")
        return plans_of(entries, lambda name: bytes.fromhex(self.home.read_key(name) or ""))["claim-check"]


@pytest.fixture
def bus(home: Home, fi: Declarations, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(home, fi.directory, monkeypatch, capsys)


def client(bus: Commands, principal: str, **more: Any) -> dict[str, Any]:
    return bus.settings(principal).client() | {"log_level": 0, **more}


def may_write(bus: Commands, principal: str, topic: str, *, idempotent: bool = True) -> bool:
    """Whether a real producer of a department gets a record onto a topic."""
    told: list[KafkaError | None] = []
    producer = Producer(client(bus, principal, **{"enable.idempotence": idempotent, "message.timeout.ms": 8000}))
    producer.produce(topic, b"x", b"k", on_delivery=lambda error, _: told.append(error))
    producer.flush(10)
    assert told, "no delivery report"
    assert told[0] is None or told[0].code() in DENIED, told[0]
    return told[0] is None


def may_read(bus: Commands, principal: str, topic: str, group: str) -> bool:
    """Whether a real consumer of a department gets to a topic's end in a group."""
    consumer = Consumer(
        client(bus, principal, **{"group.id": group, "enable.partition.eof": True, "auto.offset.reset": "earliest"})
    )
    try:
        consumer.subscribe([topic])
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            message = consumer.poll(1)
            error = message.error() if message is not None else None
            if error is not None and error.code() in DENIED:
                return False
            if message is not None and (error is None or error.code() == KafkaError._PARTITION_EOF):
                return True
        pytest.fail(f"{principal} got no answer about {topic}")
    finally:
        consumer.close()


def test_apply_makes_the_bus_as_declared(bus: Commands) -> None:
    """From an empty bus: everything in one run, then nothing to do, quickly."""
    assert {entry["step"] for entry in bus.plan()["changes"]} == {
        "topic",
        "schema",
        "principal",
        "acl",
        "quota",
        "key",
        "agreement",
        "flow",
    }
    code, out = bus.run("apply")
    assert code == 0, out
    assert "11 contracts, 13 agreements, 1 flow, 8 departments" in out
    assert bus.plan() == {
        **{"format": 1, "in_step": True, "changes": [], "stays_until_prune": [], "refusals": [], "notes": []},
    }
    began = time.monotonic()
    code, out = bus.run("apply")
    assert (code, out.startswith("nothing to do")) == (0, True)
    assert time.monotonic() - began < 10  # one second on an idle machine; tests share theirs


def test_any_process_finds_the_bus_in_step(bus: Commands, fi: Declarations, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared does not depend on a process's hash seed (fastavro orders keys by it)."""
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        hutong(bus.home, "plan", "--schemas", str(fi.directory))  # exit code 0: nothing to do


def test_topics_have_their_settings(bus: Commands) -> None:
    """The broker's clock, the contract's retention, two partitions per broker, one control partition."""
    topics = bus.admin().topics(("pub.", "sub.", "quarantine.", "ctl."))
    published = topics["pub.kela.benefit_decided"]
    assert published.partitions == 2
    assert published.config["message.timestamp.type"] == "LogAppendTime"
    assert published.config["retention.ms"] == str(730 * 86_400_000)
    assert topics["ctl.agreements"].partitions == 1
    assert topics["ctl.agreements"].config["cleanup.policy"] == "compact"
    assert (topics["ctl.cases.inbox"].partitions, topics["ctl.cases.state"].partitions) == (8, 8)
    assert topics["ctl.cases.inbox"].config["message.timestamp.type"] == "LogAppendTime"
    assert topics["ctl.cases.state"].config["cleanup.policy"] == "compact"
    assert len(topics) == 11 + 11 + 12 + 5


def test_the_registry_alone_holds_every_rule(bus: Commands) -> None:
    """The newest version is the subject's latest, with its annotations; the registry enforces the contract's level."""
    registry = bus.registry()
    latest = registry.latest("pub.kela.benefit_decided-value")
    assert latest is not None
    schema = EventSchema(latest.schema)
    assert (schema.contract, schema.version, schema.key) == ("kela.benefit_decided", 2, ("decision_id",))
    assert registry.compatibility("pub.dvv.person_moved-value") == "FULL_TRANSITIVE"
    grant = bus.grants()["moves-to-benefits"]
    delivery = registry.by_id(grant.delivery_schema_id)
    assert delivery is not None
    assert fingerprint(parse(delivery)) == fingerprint(parse(grant.delivery_schema))
    assert delivery["hutong"]["purpose"] == "Made up for tests"


def test_secrets_are_private_and_complete(bus: Commands) -> None:
    """A password per department, a key per agreement and per flow that hides persons, readable by the owner alone."""
    passwords = {path.name for path in bus.home.secrets.iterdir()}
    assert {"kela", "vero", "traficom.vehicles", "om.courts.district"} <= passwords
    assert {path.name for path in bus.home.keys.iterdir()} == {*bus.grants(), "flow.claim-check"}
    for path in (*bus.home.secrets.iterdir(), *bus.home.keys.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = (bus.home.keys / "moves-to-benefits").read_text().strip()
    assert len(bytes.fromhex(key)) == 32


def test_departments_write_their_own_topics_only(bus: Commands) -> None:
    """The topic's owner may, everybody else may not, and nobody writes to a channel by hand."""
    assert may_write(bus, "kela", "pub.kela.benefit_decided")
    assert not may_write(bus, "vero", "pub.kela.benefit_decided")
    assert not may_write(bus, "kela", "sub.kela.population")
    assert not may_write(bus, "kela", "ctl.agreements")
    assert not may_write(bus, "kela", "ctl.flows")
    assert not may_write(bus, "kela", "ctl.cases.inbox")
    assert not may_write(bus, "kela", "quarantine.kela.benefit_decided")


def test_recipients_read_their_own_channels_in_their_own_groups_only(bus: Commands) -> None:
    """Another's channel, another's group, the published topic and the agreements stay closed."""
    assert may_read(bus, "kela", "sub.kela.population", "kela.app")
    assert not may_read(bus, "kela", "sub.kela.population", "vero.app")
    assert not may_read(bus, "vero", "sub.kela.population", "vero.app")
    assert not may_read(bus, "kela", "pub.dvv.person_moved", "kela.app")
    assert not may_read(bus, "kela", "ctl.agreements", "kela.app")
    assert not may_read(bus, "kela", "ctl.cases.state", "kela.app")


def test_the_router_reads_what_is_published_and_delivers_in_transactions(bus: Commands) -> None:
    """It may transact onto channels and quarantine under its own names, and may not publish."""
    producer = Producer(client(bus, "router", **{"transactional.id": "hutong.router.test"}))
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce("sub.kela.population", b"x", b"k")
    producer.produce("quarantine.dvv.person_moved", b"x", b"k")
    producer.commit_transaction(20)
    for other in ("hutong.intake.test", "hutong.replay", "other.test"):
        with pytest.raises(KafkaException) as refused:
            Producer(client(bus, "router", **{"transactional.id": other})).init_transactions(20)
        assert refused.value.args[0].code() in DENIED
    assert may_read(bus, "router", "pub.dvv.person_moved", "hutong.router")
    assert may_read(bus, "router", "ctl.agreements", "hutong.router")
    assert not may_write(bus, "router", "pub.dvv.person_moved")
    assert not may_read(bus, "router", "ctl.cases.state", "hutong.router")
    assert not may_read(bus, "router", "pub.dvv.person_moved", "hutong.coordinator")


def test_the_coordinator_keeps_cases_and_publishes_what_flows_emit(bus: Commands) -> None:
    """It follows the flows and keeps cases; of published topics it reads what flows take, and writes what they emit alone."""
    for topic in ("ctl.cases.inbox", "ctl.cases.state", "pub.kela.question_asked", "pub.kela.claim_checked"):
        assert may_write(bus, "coordinator", topic)
    for topic in ("ctl.flows", "pub.vero.income_answered", "sub.kela.population", "quarantine.dvv.person_moved"):
        assert not may_write(bus, "coordinator", topic)
    for topic in ("ctl.flows", "ctl.cases.inbox", "ctl.cases.state", "pub.vero.income_answered"):
        assert may_read(bus, "coordinator", topic, "hutong.coordinator")
    assert not may_read(bus, "coordinator", "pub.dvv.person_moved", "hutong.coordinator")
    assert not may_read(bus, "coordinator", "ctl.flows", "hutong.router")


def test_the_monitor_looks_at_everything_and_touches_nothing(bus: Commands) -> None:
    """Its own password; every event and every group's position to see, nothing to write, and no group to join."""
    for topic in ("pub.dvv.person_moved", "sub.kela.population", "quarantine.dvv.person_moved", "ctl.agreements"):
        assert may_look(bus, "monitor", topic)
        assert not may_write(bus, "monitor", topic, idempotent=False)  # not even an id to write with
    assert not may_read(bus, "monitor", "pub.dvv.person_moved", "hutong.router")
    assert "ctl.cases.state" not in Lookout(bus.settings("monitor")).cluster().partitions
    with Groups(bus.settings("monitor")) as groups:
        assert "kela.app" in groups.committed(["kela.app"])
        assert groups.committed(["nobody.app"]) == {}


def may_look(bus: Commands, principal: str, topic: str) -> bool:
    """Whether a principal may read a topic without a group; an empty one may be read if its end may be seen."""
    config = client(bus, principal, **{"group.id": "hutong.none", "enable.partition.eof": True, "enable.auto.commit": False})
    with Consumer(config) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = consumer.poll(10)
        assert message is not None
        error = message.error()
        return error is None or error.code() == KafkaError._PARTITION_EOF


def test_a_flow_is_one_record_that_can_be_run(bus: Commands, fi: Declarations) -> None:
    """From the topic and the key in the home alone; an edit sends it again and nothing else, and the key stays."""
    plan = bus.plan_of_the_flow()
    assert list(plan.asks) == ["income"]
    number = plan.number("131052-308T")
    fi.edit(FLOW, "remind: [{days: 7}]", "remind: [{days: 5}, {days: 8}]")
    (change,) = bus.plan()["changes"]
    assert (change["step"], change["action"], change["name"]) == ("flow", "change", "claim-check")
    assert change["details"] == ["~ question income (remind): when it is asked from now on; what was asked keeps its times"]
    assert "sending 1 flow to the coordinators" in bus.apply()
    assert bus.plan()["in_step"]
    again = bus.plan_of_the_flow()
    assert len(again.asks["income"].spec.remind) == 2
    assert again.number("131052-308T") == number


def test_a_flow_that_has_gone_is_stopped_when_it_is_pruned(bus: Commands, fi: Declarations) -> None:
    """Its record goes, and with the last flow the topics of cases; declared again, it is there again with its key."""
    text, number = fi.text(FLOW), bus.plan_of_the_flow().number("1")
    fi.remove(FLOW)
    assert bus.plan()["in_step"]
    assert "stopping 1 flow" in bus.apply("--prune")
    assert bus.admin().topics(("ctl.",)).keys() == {"ctl.agreements", "ctl.replays"}
    assert bus.plan("--prune")["in_step"]
    fi.write(FLOW, text)
    bus.apply()
    assert bus.plan_of_the_flow().number("1") == number
    assert bus.plan("--prune")["in_step"]


def test_an_edited_agreement_is_planned_and_applied_alone(bus: Commands, fi: Declarations) -> None:
    """The plan names recipient and fields; the apply writes one record onto the control topic and no other."""
    before = bus.grants()
    with Consumer(client(bus, "operator", **{"group.id": "hutong.test"})) as consumer:
        _, end_before = consumer.get_watermark_offsets(TopicPartition("ctl.agreements", 0), 10)
        fi.edit(MOVES, "  - {field: notice_number}\n", "")
        document = bus.plan()
        assert [(entry["step"], entry["name"]) for entry in document["changes"]] == [
            ("schema", "sub.kela.population-kela.deliveries.MovesToBenefits"),
            ("agreement", "moves-to-benefits"),
        ]
        (effect,) = document["changes"][1]["effects"]
        assert effect["recipient"] == "kela"
        assert [(field["sign"], field["path"]) for field in effect["fields"]] == [("-", "notice_number")]
        bus.apply()
        _, end_after = consumer.get_watermark_offsets(TopicPartition("ctl.agreements", 0), 10)
    assert end_after == end_before + 1
    after = bus.grants()
    assert {id_ for id_ in after if after[id_] != before[id_]} == {"moves-to-benefits"}
    assert bus.plan()["in_step"]


def test_a_stricter_rule_is_registered_with_the_newest_version_last(bus: Commands, fi: Declarations) -> None:
    """Both versions of a contract get the new facts although v1 cannot read v2; the level is in force afterwards."""
    fi.edit("contracts/kela/benefit_decided/contract.yaml", "minimum: 0, maximum: 30", "minimum: 0, maximum: 20")
    bus.apply()
    registry = bus.registry()
    subject = "pub.kela.benefit_decided-value"
    versions = [registry.version(subject, number).schema["hutong"]["version"] for number in registry.versions(subject)]
    assert versions == [1, 2, 1, 2]
    assert registry.compatibility(subject) == "BACKWARD_TRANSITIVE"
    assert bus.plan()["in_step"]


def test_an_edited_published_version_is_refused_before_anything_is_done(bus: Commands, fi: Declarations) -> None:
    """Exit code 1, the reason, and the rest of the edit is not applied either."""
    edit = (
        "contracts/thl/vaccination_recorded/v1.avsc",
        '"name": "district", "type": "string"',
        '"name": "district", "type": "bytes"',
    )
    fi.edit(*edit)
    fi.edit("agreements/vero/companies-to-tax.yaml", "  - {field: name}\n", "")
    code, out = bus.run("apply")
    assert code == 1
    assert "make it a new version" in out
    assert "nothing was applied" in out
    assert "name" in {field.out_name for field in bus.grants()["companies-to-tax"].agreement.fields}
    fi.edit(edit[0], edit[2], edit[1])
    bus.apply()
    assert "name" not in {field.out_name for field in bus.grants()["companies-to-tax"].agreement.fields}


def test_what_was_changed_by_hand_is_put_right(bus: Commands) -> None:
    """A topic's retention, a missing rule, a rule too many: found and repaired, the last one on request."""
    admin = bus.admin()
    lost = Acl(principal="kela", resource="topic", name="pub.kela.benefit_decided", pattern="literal", operation="WRITE")
    extra = Acl(principal="stat", resource="topic", name="pub.kela.benefit_decided", pattern="literal", operation="READ")
    admin.configure_topics({"pub.kela.benefit_decided": {"retention.ms": "60000"}})
    admin.delete_acls([lost])
    admin.create_acls([extra])
    code, out = bus.run("apply", "--prune")
    assert code == 0, out
    assert admin.topics(("pub.kela",))["pub.kela.benefit_decided"].config["retention.ms"] == str(730 * 86_400_000)
    acls = admin.acls() or frozenset()
    assert lost in acls
    assert extra not in acls
    assert bus.plan()["in_step"]


def test_a_removed_agreement_stays_until_it_is_pruned(bus: Commands, fi: Declarations) -> None:
    """Without ``--prune`` the plan only tells of it; with it, grant, channel and rule go, and a second run finds nothing."""
    fi.remove("agreements/thl/companies-to-health.yaml")
    document = bus.plan()
    assert document["in_step"]
    assert {entry["name"] for entry in document["stays_until_prune"]} == {
        "companies-to-health",
        "sub.thl.companies",
        "thl: topic sub.thl.companies",
    }
    code, out = bus.run("apply")
    assert (code, "will stay until --prune" in out) == (0, True)
    assert "companies-to-health" in bus.grants()
    assert bus.run("plan", "--prune")[0] == 1
    bus.apply("--prune")
    assert "companies-to-health" not in bus.grants()
    assert bus.admin().topics(("sub.thl.companies",)) == {}
    assert bus.plan("--prune")["in_step"]
    assert bus.home.read_key("companies-to-health"), "the key is kept: granted again, the pseudonyms are the same"


def test_a_failed_step_can_be_run_again(bus: Commands, fi: Declarations, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry goes away in the middle: what came before stays, no grant is sent, and the next run does the rest."""
    text = fi.text(MOVES)
    for name in ("extra-0", "extra-1", "extra-2"):
        extra = text.replace("id: moves-to-benefits", f"id: {name}").replace("channel: population", f"channel: {name}")
        fi.write(f"agreements/kela/{name}.yaml", extra)
    comparison = compare(fi.catalogue(), 4)
    register, calls = RegistryAdmin.register, []

    def failing(self: RegistryAdmin, subject: str, schema: Any) -> int:
        calls.append(subject)
        if len(calls) > 1:
            raise RegistryUnavailable("gone")
        return register(self, subject, schema)

    ways = {"settings": comparison.settings, "admin": comparison.admin, "registry": comparison.registry, "home": comparison.home}
    with monkeypatch.context() as patched:
        patched.setattr(RegistryAdmin, "register", failing)
        with pytest.raises(RegistryUnavailable):
            apply(comparison.difference, comparison.wanted, comparison.found, **ways)  # type: ignore[arg-type]
    assert "sub.kela.extra-2" in bus.admin().topics(("sub.kela.extra",))
    assert not any(id_.startswith("extra") for id_ in bus.grants())
    bus.apply()
    assert {"extra-0", "extra-1", "extra-2"} <= set(bus.grants())
    assert bus.plan()["in_step"]


def test_lost_passwords_are_not_replaced_behind_anybodys_back(bus: Commands) -> None:
    """A user that is on the bus keeps its password, whether or not this home knows it."""
    (bus.home.secrets / "stat").unlink()
    bus.apply()
    assert bus.home.read_secret("stat") is None


def test_only_the_operator_may_apply(bus: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another principal gets one clear line and exit code 2, and so does a wrong password."""
    monkeypatch.setenv("HUTONG_KAFKA_USERNAME", "kela")
    code, out = bus.run("apply")
    assert code == 2
    assert "kela may not administer the cluster" in out
    monkeypatch.setenv("HUTONG_KAFKA_PASSWORD", "wrong")
    code, out = bus.run("plan")
    assert code == 2
    assert "do not accept the password of kela" in out
    assert "wrong" not in out
