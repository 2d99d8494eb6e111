"""The embedded bus as a whole: started, stopped, looked at and thrown away, by id and in any state it may be found in.

``up`` brings whatever is there to a running bus: nothing, half of one, one with a killed broker, a running one. If it fails
or is interrupted, it stops what it has started itself. Neighbours: ``kafka`` and ``registry`` know their programs,
``state`` the ports, ``process`` the processes.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hutong.embedded import broker, kafka, ports, registry
from hutong.embedded.diagnosis import FULL, explain
from hutong.embedded.disk import full_disk_said_plainly, is_full, require_room
from hutong.embedded.fencing import fence_killed
from hutong.embedded.jars import distributions, install
from hutong.embedded.java import environment as java_environment
from hutong.embedded.process import Process, processes, start, stop
from hutong.embedded.progress import Progress
from hutong.embedded.state import State, Wish, load, save, settle
from hutong.embedded.tls import certify, stop_expired
from hutong.embedded.turn import turn
from hutong.errors import BrokerUnavailable, ConfigurationError, HutongError, NotAuthorised
from hutong.home import BusAddress, Home
from hutong.principals import OPERATOR

__all__ = ["Part", "Status", "down", "reset", "status", "up"]

_READY_SECONDS = 180.0  # 5 on two idle cores, ten times that on busy ones; what has died is noticed at once
_LOGIN_SECONDS = 20.0  # a new cluster's passwords reach a broker a moment after its port opens
_PROBE_SECONDS = 0.2
_STOP_SECONDS = 15.0
_ROOM = 256 * 1024 * 1024
_STATE = ("kafka", "registry", "postgres", "coordinator", "secrets", "keys", "tls", "log", "demo")
"""What ``reset`` deletes, besides ``run``."""
_REGISTRY = "registry"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process of the bus as it is now.

    Args:
        name: ``kafka-1``, ``registry``, ``postgres-main``.
        state: ``up`` (it answers), ``starting`` (it runs and does not answer) or ``down``.
        pid: its process id.
        port: where its clients reach it.
        rss_bytes: its resident memory.
        problem: why it is down, where that is known.
    """

    name: str
    state: Literal["up", "starting", "down"]
    pid: int | None = None
    port: int | None = None
    rss_bytes: int = 0
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Status:
    """The bus as it is now; ``up`` only when all of its parts are."""

    up: bool
    home: Path
    address: BusAddress | None
    parts: tuple[Part, ...]


def up(home: Home, *, wish: Wish | None = None, progress: Progress | None = None, attached: bool = False) -> BusAddress:
    """Bring the bus up and wait until it takes clients. Harmless when it is up.

    Args:
        home: where it lives.
        wish: number of brokers, ports and TLS, where they matter.
        progress: told what happens.
        attached: end the bus when the calling process ends, however it ends; for tests.

    Raises:
        HutongError: it cannot be brought up; the message says what to do, and nothing that this call started still runs.
    """
    wish, progress = wish or Wish(), progress or Progress()
    _check_place(home)
    with full_disk_said_plainly(home.root), turn(home, progress):
        before = frozenset(process.name for process in processes(home.run))
        known = load(home)
        state = settle(known, wish, before)
        ended = stop_expired(home, state, _names(state), progress)
        before -= ended
        if known == state and before >= _names(state) and _is_ready(home, state):
            certify(home, state, progress)  # a bus that runs for years needs them too, its clients' above all
            return state.address
        if known:
            _check_secrets(home, state)
        for name in sorted(_names(state) - before - ended) if before & _names(state) else ():
            progress.say(f"{name} is not running, though the rest of the bus is; starting it")
        programs = distributions()
        kafka_files, registry_files = install(home.jars, [programs["kafka"], programs["apicurio-registry"]], progress)
        require_room(home.root, _ROOM, "the bus")
        save(home, state)
        certify(home, state, progress)
        try:
            _start_missing(home, state, before, kafka_files, registry_files, attached=attached)
            _await(home, state)
        except BaseException:
            ours = _names(state) - before
            stop([process for process in processes(home.run) if process.name in ours], patience=_STOP_SECONDS)
            raise
    return state.address


def down(home: Home, *, progress: Progress | None = None) -> list[str]:
    """Stop everything that this home runs, PostgreSQL too, and wait for its end.

    Returns:
        Names of what was stopped.
    """
    if not home.run.is_dir():
        return []
    with turn(home, progress or Progress()):
        return _stop_all(home)


def reset(home: Home, *, progress: Progress | None = None) -> None:
    """Stop the bus and delete its data, secrets, keys and logs; what was downloaded stays."""
    if not home.root.is_dir():
        return
    with turn(home, progress or Progress()):
        _stop_all(home)
        for name in _STATE:
            shutil.rmtree(home.root / name, ignore_errors=True)
        for left in home.run.iterdir():
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            elif left.name != "lock":  # we hold it, and another command may be waiting for this very file
                left.unlink(missing_ok=True)


def status(home: Home) -> Status:
    """Look at every part; nothing is changed."""
    state = load(home)
    running = {process.name: process for process in processes(home.run)}
    parts: list[Part] = []
    if state:
        for node in state.nodes:
            parts.append(_part(home, node.name, running, node.port, ports.answers(node.port)))
        ready = _REGISTRY in running and registry.is_ready(home, state)
        parts.append(_part(home, _REGISTRY, running, state.registry_port, ready))
    is_up = bool(parts) and all(part.state == "up" for part in parts)
    for name in sorted(set(running) - {part.name for part in parts}):
        parts.append(Part(name=name, state="up", pid=running[name].pid, rss_bytes=running[name].rss_bytes))
    return Status(up=is_up, home=home.root, address=state.address if state else None, parts=tuple(parts))


def _part(home: Home, name: str, running: dict[str, Process], port: int, answers: bool) -> Part:
    process = running.get(name)
    if process is None:
        # A part that was stopped has no record; one that has was killed, or ended by itself.
        died = (home.run / f"{name}.json").exists()
        return Part(name=name, state="down", port=port, problem=_why(home, name) if died else "")
    return Part(name=name, state="up" if answers else "starting", pid=process.pid, port=port, rss_bytes=process.rss_bytes)


def _why(home: Home, name: str) -> str:
    if is_full(home.root):  # then the log could not say so
        return FULL
    return explain(*_logs(home, name))


def _check_place(home: Home) -> None:
    if not Path("/proc/self/stat").exists():
        raise ConfigurationError("the embedded bus runs on Linux; elsewhere point HUTONG_KAFKA_BOOTSTRAP_SERVERS at a Kafka")
    if any(character in str(home.root) for character in ",;:\n"):
        raise ConfigurationError(f"HUTONG_HOME must not hold a comma, colon, semicolon or line break: {home.root}")


def _check_secrets(home: Home, state: State) -> None:
    """The passwords lie in Kafka's data: new ones would only lock everybody out."""
    if not any(kafka.is_formatted(home, node) for node in state.nodes):
        return
    for principal in (OPERATOR, broker.BROKER):
        if home.read_secret(principal) is None:
            raise HutongError(
                f"the password file {home.secrets / principal} is gone, and the bus was set up with it; "
                "put it back, or `hutong reset` to begin anew without the data"
            )


def _names(state: State) -> frozenset[str]:
    return frozenset([_REGISTRY, *(node.name for node in state.nodes)])


def _start_missing(
    home: Home, state: State, before: frozenset[str], kafka_files: Path, registry_files: Path, *, attached: bool
) -> None:
    for directory in (home.log, home.kafka, home.registry, home.run / "tmp"):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)  # events are personal data, and logs may hold names of topics
    if _REGISTRY not in before:
        registry.configure(home)
        start(
            _REGISTRY,
            registry.command(home, registry_files),
            run=home.run,
            output=_begin_logs(home, _REGISTRY),
            environment=registry.environment(home, state),
            attached=attached,
        )
    missing = [node for node in state.nodes if node.name not in before]
    bare = [node for node in missing if not kafka.is_formatted(home, node)]
    if bare:
        for principal in (*broker.PRINCIPALS, broker.CONTROLLER):
            home.ensure_secret(principal)
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(lambda node: kafka.format_storage(home, state, node, kafka_files), bare))
    fence_killed(home, state, missing, kafka_files, attached=attached)
    for node in missing:
        kafka.configure(home, state, node)
        start(
            node.name,
            kafka.command(home, node, kafka_files),
            run=home.run,
            output=_begin_logs(home, node.name),
            environment=java_environment(),
            attached=attached,
        )


def _await(home: Home, state: State) -> None:
    """Wait until every part takes clients; a process that ends meanwhile ends the waiting at once."""
    began = time.monotonic()
    waiting: dict[str, Callable[[], bool]] = {node.name: _port_probe(node.port) for node in state.nodes}
    waiting[_REGISTRY] = lambda: registry.is_ready(home, state)
    in_service = False
    while waiting or not in_service:
        alive = {process.name for process in processes(home.run)}
        for name in sorted(_names(state) - alive):
            raise HutongError(f"{name} stopped while it started: {_why(home, name)}")
        for name in [name for name, ready in waiting.items() if ready()]:
            del waiting[name]
        if not in_service and not any(node.name in waiting for node in state.nodes):
            in_service = _brokers_in_service(home, state, patient=time.monotonic() < began + _LOGIN_SECONDS)
            if not in_service:
                time.sleep(_PROBE_SECONDS)  # the next look is a new client, with threads and handshakes: not twenty in a second
        if time.monotonic() > began + _READY_SECONDS:
            late = ", ".join(sorted(waiting)) or "the cluster"
            raise HutongError(
                f"{late} did not get ready within {_READY_SECONDS:g} s; see {home.log}, then `hutong down` and `hutong up`"
            )
        time.sleep(0.05)


def _port_probe(port: int) -> Callable[[], bool]:
    return lambda: ports.answers(port)


def _is_ready(home: Home, state: State) -> bool:
    return registry.is_ready(home, state) and _brokers_in_service(home, state)


def _brokers_in_service(home: Home, state: State, *, patient: bool = True) -> bool:
    from hutong.kafka.probe import brokers_in_service
    from hutong.kafka.settings import Settings

    for password in (home.read_secret(OPERATOR), home.staged_secret(OPERATOR)):  # the latter where a change was broken off
        here = {"HUTONG_HOME": str(home.root), "HUTONG_KAFKA_PASSWORD": password or "none"}
        try:
            return brokers_in_service(Settings.resolve(OPERATOR, here), seconds=2.0) == len(state.nodes)
        except BrokerUnavailable:
            return False
        except NotAuthorised:
            continue
    if patient:
        return False
    raise HutongError(
        f"the brokers do not accept the password in {home.secrets / OPERATOR}: the bus was set up with another one; "
        "put it back, or `hutong reset` to begin anew without the data"
    )


def _logs(home: Home, name: str) -> list[Path]:
    return [home.log / f"{name}.log", home.log / f"{name}.out"]


def _begin_logs(home: Home, name: str) -> Path:
    """Put the last run's logs aside, so that its errors are not taken for this one's; returns the file for the output."""
    for file in _logs(home, name):
        if file.exists():
            file.replace(file.with_suffix(f".previous{file.suffix}"))
    return home.log / f"{name}.out"


def _stop_all(home: Home) -> list[str]:
    running = processes(home.run)
    stop(running, patience=_STOP_SECONDS)
    for record in home.run.glob("*.json"):
        if record != home.bus_file:
            record.unlink(missing_ok=True)
    return [process.name for process in running]
