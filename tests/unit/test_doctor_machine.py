"""The doctor's findings about a machine and a home, staged for real: open files, taken ports, lost processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hutong.doctor import machine, proc
from hutong.doctor.finding import Context
from hutong.doctor.machine import Machine
from hutong.home import Home
from tests.findings import found


@pytest.mark.parametrize(("free", "severity"), [(10, "error"), (1_000, "warning"), (10_000, None)])
def test_little_room_on_the_disk(tmp_path: Path, free: int, severity: str | None) -> None:
    """Less than a start needs, and less than Kafka soon will."""
    facts = Machine(home=tmp_path, free_bytes=free * 1024 * 1024)
    assert [one[1] for one in found(machine.GROUP, facts)] == ([severity] if severity else [])


def look(home: Home) -> Machine:
    return machine.look(Context(home=home, schemas=Path("schemas")))


def test_passwords_that_others_may_read(tmp_path: Path) -> None:
    """A home as it is made has none; one open file, one open directory are told; certificates may be public, keys may not."""
    home = Home(root=tmp_path)
    home.write_secret("x.y", "secret")
    home.ensure_key("agreement")
    (tmp_path / "tls").mkdir(mode=0o755)
    (tmp_path / "tls" / "ca.crt").write_text("public", encoding="utf-8")
    key = tmp_path / "tls" / "server.key"
    key.write_text("private", encoding="utf-8")
    key.chmod(0o600)
    assert look(home).open_files == {}
    (home.secrets / "x.y").chmod(0o640)
    home.keys.chmod(0o755)
    key.chmod(0o644)
    facts = look(home)
    assert set(facts.open_files) == {home.secrets / "x.y", home.keys, key}
    ((check, severity, where),) = [one for one in found(machine.GROUP, facts) if one[0] == "rights"]
    assert (check, severity) == ("rights", "error")
    assert str(home.keys) in where
    foreign = Machine(home=tmp_path, free_bytes=10**12, foreign=(key,))
    assert found(machine.GROUP, foreign) == [("rights", "warning", str(key))]


BUS = {
    "bootstrap_servers": "127.0.0.1:{port}",
    "registry_url": "http://127.0.0.1:1/apis/ccompat/v7",
    "cluster_id": "x",
    "management_port": 3,
    "registry_port": 1,
}


def test_a_port_that_somebody_else_holds(tmp_path: Path) -> None:
    """It is told with the process that holds it, as far as the system tells."""
    home = Home(root=tmp_path)
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        home.write_bus({**BUS, "nodes": [{"id": 1, "port": port, "controller_port": 2}]})
        code = f"import sys; sys.path[:0] = {sys.path!r}; from hutong.doctor.proc import listener; print(listener({port}))"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert told.strip() == f"process {os.getpid()} ({Path(sys.executable).name})"
        facts = look(home)
    assert list(facts.taken) == ["kafka-1"]
    assert ("ports", "error", "kafka-1") in found(machine.GROUP, facts)
    assert proc.listener(port) is None


def test_processes_without_record_and_records_without_process(tmp_path: Path) -> None:
    """A server that works in this home and is recorded nowhere; a part whose process is gone."""
    home = Home(root=tmp_path)
    home.run.mkdir(parents=True)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    facts = {"pid": os.getpid(), "started": 1, "boot": boot, "stop_signal": 15}
    (home.run / "kafka-1.json").write_text(json.dumps(facts), encoding="ascii")
    command = ["java", "-c", "print(flush=True); input()", f"{home.root}/kafka/1/server.properties"]
    with subprocess.Popen(command, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stray:
        assert stray.stdout is not None
        stray.stdout.readline()
        seen = look(home)
        stray.communicate(b"\n")
    assert (seen.dead, seen.strays) == (("kafka-1",), {stray.pid: "java"})
    assert [one for one in found(machine.GROUP, seen) if one[0] == "orphans"] == [
        ("orphans", "error", "kafka-1"),
        ("orphans", "warning", f"pid {stray.pid}"),
    ]
    assert look(home).strays == {}
