"""The lock of a home, the reasons read out of logs, and the settings that the brokers get."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hutong.embedded import kafka
from hutong.embedded.diagnosis import explain, first_problem
from hutong.embedded.progress import Progress
from hutong.embedded.state import Wish, settle
from hutong.embedded.turn import turn
from hutong.errors import ConfigurationError, HutongError
from hutong.home import Home


def test_second_command_waits_for_the_first(tmp_path: Path) -> None:
    """Two starts at once become one after the other, and the waiting is told."""
    home = Home(root=tmp_path)
    told: list[str] = []

    class Told(Progress):
        def say(self, text: str) -> None:
            told.append(text)
            let_go.set()

    let_go, order = threading.Event(), []

    def first() -> None:
        with turn(home, Progress()):
            holds.set()
            let_go.wait(10)
            order.append("first")

    holds = threading.Event()
    thread = threading.Thread(target=first)
    thread.start()
    holds.wait(10)
    with turn(home, Told()):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert "waiting for another hutong command (process" in told[0]


def test_waiting_has_an_end(tmp_path: Path) -> None:
    """A command that never ends is named by its process."""
    home = Home(root=tmp_path)
    with (
        turn(home, Progress()),
        pytest.raises(HutongError, match=r"another hutong command \(process \d+\) still works"),
        turn(home, Progress(), seconds=0.0),
    ):
        pytest.fail("two held the lock")


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A killed command does not lock the next one out."""
    code = f"""
import os, signal
from pathlib import Path
from hutong.embedded.progress import Progress
from hutong.embedded.turn import turn
from hutong.home import Home
with turn(Home(root=Path({str(tmp_path)!r})), Progress()):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    with turn(Home(root=tmp_path), Progress(), seconds=0.0):
        pass


def test_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """HUTONG_HOME may point at anything; what cannot be a home is said in one line."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigurationError, match=r"cannot write in .*point HUTONG_HOME"),
        turn(Home(root=tmp_path / "file"), Progress()),
    ):
        pytest.fail("a file is no directory")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x ERROR LogDirFailureChannel: java.io.IOException: No space left on device", "the disk is full"),
        ("java.net.BindException: Address already in use", "another program took its port"),
        ("There is insufficient memory for the Java Runtime", "too little memory"),
        ("InconsistentClusterIdException: The Cluster ID X doesn't match", "belong to another bus"),
        ("KafkaException: Failed to acquire lock on file .lock in /data", "another process still works on its data"),
        ("2026 ERROR KafkaServer: it broke\n\tat java.base/x.y(Z.java:1)", "KafkaServer: it broke (see "),
        ("initdb: error: could not do it\ninitdb: removing", "could not do it (see "),
        ("all is well", "it gave no reason"),
        ("x INFO  Selector: Failed authentication with /127.0.0.1 (Authentication failed)", "it gave no reason"),
    ],
)
def test_reason_is_read_out_of_the_log(tmp_path: Path, text: str, reason: str) -> None:
    """One line, without a stack trace, and with what to do where that is known."""
    log = tmp_path / "log"
    log.write_text(text)
    said = explain(log, tmp_path / "missing")
    assert reason in said
    assert "\n" not in said


def test_first_problem_is_the_cause(tmp_path: Path) -> None:
    """A tool that ends at its first problem may complain about its own tidying up afterwards."""
    output = tmp_path / "output"
    output.write_text("fine\ninitdb: error: the cause\ninitdb: error: failed to remove\n")
    assert first_problem(output) == "the cause"
    output.write_text("")
    assert first_problem(output) == "it gave no reason"


@pytest.mark.parametrize(("brokers", "copies", "in_sync"), [(1, "1", "1"), (3, "3", "2")])
def test_broker_settings_are_closed_by_default(tmp_path: Path, brokers: int, copies: str, in_sync: str) -> None:
    """SCRAM for clients, ACLs that deny, loopback only, and as many copies as there are brokers."""
    home = Home(root=tmp_path)
    state = settle(None, Wish(brokers=brokers), frozenset())
    file = kafka.configure(home, state, state.nodes[0])
    settings = dict(line.split("=", 1) for line in file.read_text().splitlines())
    assert file.stat().st_mode & 0o077 == 0
    assert settings["allow.everyone.if.no.acl.found"] == "false"
    assert settings["sasl.enabled.mechanisms"] == "SCRAM-SHA-512"
    assert "PLAINTEXT:" not in settings["listener.security.protocol.map"].replace("SASL_PLAINTEXT", "")
    assert settings["super.users"] == "User:operator;User:kafka-broker;User:kafka-controller"
    assert all("://127.0.0.1:" in listener for listener in settings["listeners"].split(","))
    for topic in ("default", "offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        assert settings[f"{topic}.replication.factor"] == copies
    for name in ("min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"):
        assert settings[name] == in_sync


def test_home_in_any_language_reaches_the_broker(tmp_path: Path) -> None:
    """Kafka reads its settings as Latin-1; a path with other characters must arrive all the same."""
    home = Home(root=tmp_path / "互通 ö")
    state = settle(None, Wish(), frozenset())
    text = kafka.configure(home, state, state.nodes[0]).read_bytes()
    assert b"\\u4e92\\u901a \\u00f6" in text
    assert text.isascii()
