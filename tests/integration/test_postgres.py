"""The embedded PostgreSQL: real servers with passwords, kept between starts, stopped with the bus."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psycopg
import pytest

from hutong.embedded import down, postgres, status
from hutong.errors import HutongError
from hutong.home import Home
from tests.integration.processes import await_true


def test_databases_are_made_and_kept(own_home: Home) -> None:
    """What was committed is there after a stop, under the same port; a second start changes nothing."""
    server = postgres.start(own_home, databases=["funeral", "name with space"])
    with psycopg.connect(server.dsn("funeral")) as connection:
        connection.execute("CREATE TABLE t (a int)")
        connection.execute("INSERT INTO t VALUES (1)")
    assert postgres.start(own_home, databases=["funeral", "marriage"]) == server
    postgres.stop(own_home)
    postgres.stop(own_home)
    assert postgres.start(own_home) == server
    with psycopg.connect(server.dsn("funeral")) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
        assert connection.execute("SELECT current_setting('wal_level')").fetchone() == ("logical",)
    psycopg.connect(server.dsn("marriage")).close()


def test_nobody_enters_without_the_password(own_home: Home) -> None:
    """The password is needed, is in a private file, and shows neither in the server's repr nor on its command line."""
    server = postgres.start(own_home)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.dsn(password="wrong"))
    assert server.password not in repr(server)
    assert (own_home.secrets / "postgres-main").stat().st_mode & 0o077 == 0
    (part,) = status(own_home).parts
    assert server.password not in Path(f"/proc/{part.pid}/cmdline").read_text()


def test_down_stops_servers_whose_clients_are_still_there(own_home: Home) -> None:
    """A forgotten connection does not keep a server alive."""
    one, other = postgres.start(own_home), postgres.start(own_home, name="other")
    assert one.port != other.port
    with psycopg.connect(one.dsn()) as connection:
        assert down(own_home) == ["postgres-main", "postgres-other"]
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()


def test_a_lost_password_is_named(own_home: Home) -> None:
    """The data know the old password, so the start says which file is missing."""
    postgres.start(own_home)
    postgres.stop(own_home)
    (own_home.secrets / "postgres-main").unlink()
    with pytest.raises(HutongError, match=r"password file .*postgres-main is gone"):
        postgres.start(own_home)


def test_the_log_quotes_no_rows(own_home: Home) -> None:
    """Not those that break a rule, not the value that is none, and not the statement under which a process was killed."""
    server, number = postgres.start(own_home, attached=True), "11010519491231002X"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE t (number text PRIMARY KEY)")
        connection.execute("INSERT INTO t VALUES (%s)", (number,))
        for statement in ("INSERT INTO t VALUES (%s)", "SELECT %s::int"):
            with pytest.raises(psycopg.DataError if "int" in statement else psycopg.IntegrityError):
                connection.execute(statement, (number,))
    with psycopg.connect(server.dsn()) as connection:
        connection.execute(f"SELECT '{number}'".encode())
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    log = own_home.log / "postgres-main.log"
    await_true(lambda: "was terminated by signal 9" in log.read_text(), "the server has noticed")
    assert number not in log.read_text()
