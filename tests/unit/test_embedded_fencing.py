"""When controllers run alone before brokers start: after a kill that nobody was left to notice, and then only."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hutong.embedded import fencing, kafka
from hutong.embedded.broker import BROKER, CONTROLLER, Place, controller_alone, settings
from hutong.embedded.fencing import fence_killed
from hutong.embedded.state import Node, State
from hutong.errors import HutongError
from hutong.home import Home

NODES = tuple(Node(id=number, port=9000 + number, controller_port=9100 + number) for number in (1, 2, 3))


class Stage:
    """A home, and processes that are only noted; each says something in its log when it starts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.home = Home(root=directory)
        self.did: list[str] = []
        self.says = "Fencing broker {} at epoch 7 because its session has timed out."
        self.alive = True
        self.home.log.mkdir()
        monkeypatch.setattr(kafka, "command", lambda *_, alone: ["java", str(alone)])
        monkeypatch.setattr(fencing, "start", self._start)
        monkeypatch.setattr(fencing, "stop", lambda processes, **_: self.did.extend(f"stop {one.name}" for one in processes))

    def _start(self, name: str, command: list[str], **_: Any) -> Any:
        assert command[-1] == "True"
        self.did.append(f"start {name}")
        with (self.home.log / f"{name}-controller.log").open("a") as log:
            log.write(self.says.format(name.removeprefix("kafka-")) + "\n")
        return SimpleNamespace(name=name, alive=self.alive)

    def left(self, node: Node, *, cleanly: bool) -> None:
        """A node that has run."""
        data = self.home.kafka / f"node-{node.id}" / "data"
        (data / "__cluster_metadata-0").mkdir(parents=True)
        if cleanly:
            (data / ".kafka_cleanshutdown").touch()

    def fence(self, nodes: tuple[Node, ...], missing: tuple[Node, ...]) -> list[str]:
        state = State(cluster_id="c", nodes=nodes, registry_port=1, management_port=2)
        fence_killed(self.home, state, missing, Path("/kafka"), attached=True)
        return self.did


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    return Stage(monkeypatch, tmp_path)


def test_the_only_broker_that_was_killed_is_fenced(stage: Stage) -> None:
    """Its controller starts without it, says so, and is stopped."""
    stage.left(NODES[0], cleanly=False)
    assert stage.fence(NODES[:1], NODES[:1]) == ["start kafka-1", "stop kafka-1"]
    settings_file = stage.home.kafka / "node-1" / "controller.properties"
    assert "process.roles=controller\n" in settings_file.read_text()
    assert settings_file.stat().st_mode & 0o777 == 0o600


def test_what_an_earlier_run_has_said_does_not_count(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for fenced nor for active."""
    stage.left(NODES[0], cleanly=False)
    (stage.home.log / "kafka-1-controller.log").write_text("Fencing broker 1 at epoch 3\nPerforming controller activation\n")
    stage.says = "nothing yet"
    monkeypatch.setattr(fencing, "_FENCED_SECONDS", 0.1)
    with pytest.raises(HutongError, match="did not get ready"):
        stage.fence(NODES[:1], NODES[:1])
    assert stage.did == ["start kafka-1", "stop kafka-1"]


def test_who_is_fenced_already_is_not_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An active controller that has nothing to say has nothing to do."""
    stage.left(NODES[0], cleanly=False)
    stage.says = "Performing controller activation."
    monkeypatch.setattr(fencing, "_NOTICED_SECONDS", 0.1)
    assert stage.fence(NODES[:1], NODES[:1]) == ["start kafka-1", "stop kafka-1"]


def test_a_controller_that_ends_is_told(stage: Stage) -> None:
    """With its last words; the others are stopped."""
    stage.left(NODES[0], cleanly=False)
    (stage.home.log / "kafka-1-controller.out").write_text("port in use\n")
    stage.says, stage.alive = "", False
    with pytest.raises(HutongError, match="kafka-1 stopped while its controller started: port in use"):
        stage.fence(NODES[:1], NODES[:1])
    assert stage.did == ["start kafka-1", "stop kafka-1"]


def test_three_brokers_that_were_killed_are_fenced_by_their_quorum(stage: Stage) -> None:
    """All controllers run, also of one that had ended in good order."""
    for node in NODES:
        stage.left(node, cleanly=node.id == 2)
    wanted = [f"{what} kafka-{number}" for what in ("start", "stop") for number in (1, 2, 3)]
    assert stage.fence(NODES, NODES) == wanted


@pytest.mark.parametrize(
    ("nodes", "missing", "cleanly"),
    [
        (NODES, NODES[:1], False),  # the others have noticed
        (NODES[:1], NODES[:1], True),
        (NODES[:1], (), False),
    ],
)
def test_there_is_nothing_to_fence(stage: Stage, nodes: tuple[Node, ...], missing: tuple[Node, ...], cleanly: bool) -> None:
    """A quorum was left, it ended in good order, or it runs."""
    for node in missing:
        stage.left(node, cleanly=cleanly)
    assert stage.fence(nodes, missing) == []


def test_a_new_node_has_not_been_killed(stage: Stage) -> None:
    """Formatted, and never started."""
    (stage.home.kafka / "node-1" / "data").mkdir(parents=True)
    assert stage.fence(NODES[:1], NODES[:1]) == []


def test_a_controller_alone_has_no_listener_for_clients() -> None:
    """Kafka refuses to start otherwise; all else is as for the whole node."""
    places = [Place(id=1, host="127.0.0.1", port=9001, controller_port=9101)]
    passwords = {BROKER: "b", CONTROLLER: "c"}
    whole = settings(places, places[0], listen="127.0.0.1", data="/d", passwords=passwords, tls=None)
    alone = controller_alone(whole)
    changed = {name for name in whole.keys() | alone.keys() if whole.get(name) != alone.get(name)}
    assert changed == {"process.roles", "listeners", "advertised.listeners", "broker.session.timeout.ms"}
    assert alone["listeners"] == "CONTROLLERS://127.0.0.1:9101"
    assert "advertised.listeners" not in alone
