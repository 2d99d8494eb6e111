"""Every (principal, resource, operation): what a running broker allows equals what the declarations say, cell by cell.

Two sets: the sample, and one made up from a seed whose names come as near to each other as names can (HUTONG_SEED repeats one).
The expectation comes from the files alone, see ``tests.access.oracle``.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from hutong.embedded import up
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.resources import Acl
from hutong.kafka.settings import Settings
from tests.access.asking import Asking
from tests.access.inventing import invent
from tests.access.oracle import GROUP_OPERATIONS, TOPIC_OPERATIONS, Declared
from tests.conftest import temporary_home
from tests.integration.processes import hutong

SAMPLE = Path(__file__).parents[2] / "schemas"
SEED = int(os.environ.get("HUTONG_SEED") or random.SystemRandom().randrange(1_000_000))
INTERNAL = ("__consumer_offsets", "__transaction_state")
OTHER_GROUPS = ("hutong.router", "hutong.routerx", "hutong.coordinator", "hutong.intake", "hutong.none", "hutong.x", "hutongx")
_AT_ONCE = 4

pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A bus on which a set of declarations is applied."""

    home: Home
    schemas: Path
    declared: Declared
    name: str

    def settings(self, principal: str) -> Settings:
        return Settings.resolve(principal, {"HUTONG_HOME": str(self.home.root)})

    @cached_property
    def asking(self) -> dict[str, Asking]:
        """Everybody who is no super user."""
        return {name: Asking(self.settings(name)) for name in self.declared.principals}

    @cached_property
    def topics(self) -> list[str]:
        """Every topic that there is."""
        return sorted(Asking(self.settings("operator")).seen())

    @cached_property
    def groups(self) -> list[str]:
        """Groups that there are: one or two of everybody's, and some whose names are nearly somebody's."""
        of_departments = {f"{code}{end}" for code in self.declared.departments for end in (".apps", "x.apps", ".c")}
        names = sorted({*of_departments, *OTHER_GROUPS})
        operator = Asking(self.settings("operator"))
        for name in names:
            assert operator.commits_as(name, "ctl.agreements")
        return names

    def of_all(self, question: Any) -> dict[str, Any]:
        """A question to everybody, some at a time."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(self.asking, pool.map(lambda name: question(name, self.asking[name]), self.asking), strict=True))


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with temporary_home() as home:
        up(home, attached=True)
        yield home


@pytest.fixture(scope="module", params=["sample", pytest.param("made up", marks=pytest.mark.long)])
def stage(request: pytest.FixtureRequest, home: Home, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """One set after the other on the same bus: what the first one left behind must be gone."""
    schemas = SAMPLE if request.param == "sample" else invent(tmp_path_factory.mktemp("made-up"), SEED)
    hutong(home, "apply", "--prune", "--schemas", str(schemas))
    declared = Declared.of(schemas)
    name = "sample" if schemas == SAMPLE else f"{request.param}, seed {SEED}"
    stage = Stage(home=home, schemas=schemas, declared=declared, name=name)
    wait_for_internal_topics(stage)
    return stage


def wait_for_internal_topics(stage: Stage) -> None:
    """A group and a transaction make the brokers make their own topics, so that those are among the cells."""
    operator = Asking(stage.settings("operator"))
    assert operator.commits_as("hutong.none", "ctl.agreements")
    assert operator.transacts_as("hutong.matrix")


def say(stage: Stage, what: str, cells: int, began: float, wrong: list[Any]) -> None:
    print(f"\naccess matrix, {stage.name}: {what}: {cells:,} cells in {time.monotonic() - began:.1f} s, {len(wrong)} wrong")


def test_topics(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Read, write, create, delete, alter, describe, and the two of configurations: stated by the broker, and tried."""
    began, declared = time.monotonic(), stage.declared
    assert set(stage.topics) >= declared.topics | set(INTERNAL)
    assert {name for name in stage.topics if not name.startswith("__")} == declared.topics
    stated = stage.of_all(lambda _, one: one.stated(stage.topics))
    tried = stage.of_all(lambda _, one: one.tried(stage.topics))
    wrong = []
    for principal in declared.principals:
        for topic in stage.topics:
            should = declared.may(principal, topic)
            if stated[principal][topic] != should:
                wrong.append(("stated", principal, topic, sorted(stated[principal][topic]), sorted(should)))
            if tried[principal][topic] != should - {"DESCRIBE"}:  # to describe is what was asked first
                wrong.append(("tried", principal, topic, sorted(tried[principal][topic]), sorted(should)))
    with capsys.disabled():
        size = f"{len(declared.principals)} principals x {len(stage.topics)} topics x {len(TOPIC_OPERATIONS)} operations"
        say(stage, size, len(declared.principals) * len(stage.topics) * len(TOPIC_OPERATIONS), began, wrong)
    assert wrong == []


def test_nobody_deletes_or_makes_topics(stage: Stage) -> None:
    """Every topic, its own ones too, tried by everybody; and names that would be somebody's."""
    new = [f"{kind}.{code}.new_one" for kind in ("pub", "sub", "quarantine") for code in stage.declared.departments]
    new += ["ctl.new", "ctl.cases.new", "anything"]

    def attempts(_: str, one: Asking) -> set[str]:
        return one.deleted(stage.topics) | one.made(new)

    assert {name: done for name, done in stage.of_all(attempts).items() if done} == {}
    assert sorted(Asking(stage.settings("operator")).seen()) == stage.topics


def test_everybody_sees_its_own_topics_alone(stage: Stage) -> None:
    """A list of all topics has those with which a principal may do something: to departments, control topics are not there."""
    seen = stage.of_all(lambda _, one: one.seen())
    declared = stage.declared
    assert seen == {name: {topic for topic in stage.topics if declared.may(name, topic)} for name in declared.principals}
    assert not any(topic.startswith(("ctl.", "__", "quarantine.")) for code in declared.departments for topic in seen[code])


def test_groups(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Join and commit, look at, delete: everybody with every group, its neighbours' and nearly its own ones among them."""
    began, declared, groups = time.monotonic(), stage.declared, stage.groups
    stated = stage.of_all(lambda _, one: one.groups(groups))
    commits = stage.of_all(lambda _, one: {group for group in groups if one.commits_as(group, "ctl.agreements")})
    looks = stage.of_all(lambda _, one: {group for group in groups if one.looks_at(group)})
    deletes = stage.of_all(lambda _, one: one.deletes_groups(groups))
    wrong = []
    for principal in declared.principals:
        for group in groups:
            should = declared.may_with_group(principal, group)
            tried = {"READ"} & ({"READ"} if group in commits[principal] else set())
            tried |= {"DESCRIBE"} if group in looks[principal] else set()
            tried |= {"DELETE"} if group in deletes[principal] else set()
            if not stated[principal][group] == tried == should:
                wrong.append((principal, group, sorted(stated[principal][group]), sorted(tried), sorted(should)))
    with capsys.disabled():
        size = f"{len(declared.principals)} principals x {len(groups)} groups x {len(GROUP_OPERATIONS)} operations"
        say(stage, size, len(declared.principals) * len(groups) * len(GROUP_OPERATIONS), began, wrong)
    assert wrong == []


def test_everybody_sees_its_own_groups_alone(stage: Stage) -> None:
    """A list of all groups has those that a principal may look at."""
    groups, declared = set(stage.groups), stage.declared
    seen = stage.of_all(lambda _, one: one.listed_groups() & groups)
    assert seen == {name: {one for one in groups if declared.may_with_group(name, one)} for name in declared.principals}


def test_transactional_ids(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever took a router's transactional id would fence it: each service has its own ones, and departments none."""
    began, declared = time.monotonic(), stage.declared
    departments = sorted(declared.departments)
    ids = ["hutong.router.a", "hutong.routerx", "hutong.intake.a", "hutong.coordinator.a", "hutong.replay", f"{departments[0]}.a"]

    def attempts(name: str, one: Asking) -> dict[str, bool]:
        return {id_: one.transacts_as(id_) for id_ in [*ids, f"{name}.a"]}

    done = stage.of_all(attempts)
    wrong = [(n, id_, may) for n, all_ in done.items() for id_, may in all_.items() if may != declared.may_transact(n, id_)]
    with capsys.disabled():
        say(stage, "transactional ids, each tried", sum(map(len, done.values())), began, wrong)
    assert wrong == []


def test_nobody_administers_the_cluster(stage: Stage) -> None:
    """No principal has a right on the cluster: it changes no rule, no password, no setting of a broker; tried by each."""
    admin = Admin(stage.settings("operator"))
    rules, users = admin.acls(), admin.users()

    def attempts(name: str, _: Asking) -> list[str]:
        own = AdminClient(stage.settings(name).client() | {"log_level": 0})
        answer: Any = own.describe_cluster(include_authorized_operations=True, request_timeout=30)
        done = [operation.name for operation in answer.result().authorized_operations or ()]
        mine = Admin(stage.settings(name))
        anything = Acl(principal=name, resource="topic", name="*", pattern="literal", operation="READ")
        tries: list[tuple[str, Callable[[], None]]] = [
            ("rule", lambda: mine.create_acls([anything])),
            ("no rule", lambda: mine.delete_acls([anything])),
            ("password", lambda: mine.set_passwords({name: "mine"})),
            ("user", lambda: mine.delete_users(["operator"])),
        ]
        for what, attempt in tries:
            with suppress(Exception):  # whatever it is called: it did not work, and the operator looks whether that is true
                attempt()
                done.append(what)
        return done

    assert {name: done for name, done in stage.of_all(attempts).items() if done} == {}
    assert (admin.acls(), admin.users()) == (rules, users)


def test_neighbours_do_not_get_at_each_other(stage: Stage) -> None:
    """Real consumers: a department in another's group, and in its own group on another's channel, for codes that begin alike."""
    declared = stage.declared
    codes = sorted(declared.departments)
    pairs = [(one, other) for one in codes for other in codes if one != other and one[:1] == other[:1]]
    pairs.sort(key=lambda pair: not pair[1].startswith(pair[0]))
    channels = {code: [topic for topic, owner in declared.recipients.items() if owner == code] for code in codes}
    pairs = [(one, other) for one, other in pairs if channels[one] and channels[other]][:12]
    assert pairs
    for one, other in pairs:
        asking = stage.asking[one]
        assert asking.joins(f"{one}.real", channels[one][0])
        assert not asking.joins(f"{other}.real", channels[one][0]), (one, other)
        assert not asking.joins(f"{one}.real", channels[other][0]), (one, other)


def test_who_has_gone_cannot_log_in(stage: Stage) -> None:
    """After --prune: principals of the set that was there before are nobody any more."""
    admin = Admin(stage.settings("operator"))
    assert admin.users() == {*stage.declared.principals, "operator", "kafka-broker"}
    gone = {file.name for file in stage.home.secrets.iterdir()} - admin.users() - {"kafka-controller", "registry-writer"}
    assert bool(gone) == (stage.name != "sample")
    for code in sorted(gone)[:3]:
        with pytest.raises(KafkaException):
            AdminClient(stage.settings(code).client() | {"log_level": 0}).list_topics(timeout=2)


def test_a_rule_by_hand_is_found(stage: Stage) -> None:
    """The matrix can fail: a rule that somebody adds, and that opens a neighbour's channel, shows in that cell."""
    admin, code = Admin(stage.settings("operator")), sorted(stage.declared.departments)[0]
    rule = Acl(principal=code, resource="topic", name="sub.", pattern="prefixed", operation="READ")
    other = next(topic for topic, owner in stage.declared.recipients.items() if owner != code)
    admin.create_acls([rule])
    try:
        deadline = time.monotonic() + 10
        while stage.asking[code].stated([other])[other] == stage.declared.may(code, other):
            assert time.monotonic() < deadline, "a rule that opens a neighbour's channel is not seen"
    finally:
        admin.delete_acls([rule])


@pytest.mark.long
@pytest.mark.parametrize("stage", ["made up"], indirect=True)
def test_a_bus_whose_services_were_one_principal(stage: Stage) -> None:
    """As an earlier version left it: apply makes the router's own principal, --prune takes the common one away, rules stay."""
    admin, secret = Admin(stage.settings("operator")), stage.home.secrets / "router"
    rules = admin.acls() or frozenset()
    admin.delete_users(["router"])
    admin.delete_acls(rule for rule in rules if rule.principal == "router")
    secret.unlink()
    old = [
        Acl(principal="services", resource="topic", name="pub.", pattern="prefixed", operation="READ"),
        Acl(principal="services", resource="group", name="hutong.", pattern="prefixed", operation="READ"),
        Acl(principal="services", resource="transactional_id", name="hutong.", pattern="prefixed", operation="WRITE"),
    ]
    admin.create_acls(old)
    admin.set_passwords({"services": stage.home.ensure_secret("services")})
    was, published = Asking(stage.settings("services")), f"pub.{min(stage.declared.publishers)}"
    assert was.transacts_as("hutong.router.old")
    hutong(stage.home, "apply", "--schemas", str(stage.schemas))
    now = Asking(stage.settings("router"))
    assert now.stated([published])[published] == was.stated([published])[published] == {"READ", "DESCRIBE"}
    assert admin.acls() == rules | set(old)
    hutong(stage.home, "apply", "--prune", "--schemas", str(stage.schemas))
    assert (admin.acls(), "services" in admin.users()) == (rules, False)
    secret.with_name("services").unlink()
