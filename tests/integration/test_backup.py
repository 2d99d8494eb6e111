"""Backup and restore of the control plane: a bus thrown away and made again, on which everybody goes on."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from hutong import Publisher
from hutong.embedded import reset, up
from hutong.home import Home
from hutong.kafka.compacted import read_all
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from hutong.kafka.topics import AGREEMENTS_TOPIC
from tests.behaviour.line import FI, MOVED, move
from tests.integration.routers import RouterProcess, await_true, hutong
from tests.integration.test_router import STATISTICS, ends, ids, read

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]


def settings(home: Home, principal: str) -> Settings:
    return Settings.resolve(principal, {"HUTONG_HOME": str(home.root)})


def schema_ids(home: Home) -> dict[str, list[int]]:
    registry = Registry.of(settings(home, "operator"))
    return {name: [registry.version(name, one).id for one in registry.versions(name)] for name in registry.subjects()}


def deliver(home: Home, name: str) -> tuple[int, bytes]:
    """One event through a router: the id of the delivery's schema, and its key, which the agreement's key may have made."""
    since = ends(home, STATISTICS)
    router = RouterProcess(home, name).await_ready()
    try:
        with Publisher("dvv", settings=settings(home, "dvv")) as dvv:
            sent = dvv.publish(move(1), MOVED).event_id
        await_true(lambda: ids(read(home, STATISTICS, since)) == [sent], "it is delivered")
    finally:
        router.stop()
    [message] = read(home, STATISTICS, since)
    return int.from_bytes(message.value()[1:5], "big"), message.key()


def test_a_new_bus_goes_on_where_the_old_one_was(own_home: Home, tmp_path: Path) -> None:
    """Backup, reset, up, restore: the same schema ids, passwords, keys and agreements; the declarations see no difference."""
    file = tmp_path / "bus.backup"
    up(own_home, attached=True)
    hutong(own_home, "apply", "--schemas", str(FI))
    before = (schema_ids(own_home), deliver(own_home, "before"), own_home.read_secret("dvv"))
    grants = read_all(settings(own_home, "operator"), AGREEMENTS_TOPIC)
    told = json.loads(hutong(own_home, "backup", "--out", str(file), "--json"))
    assert (told["format"], told["without_password"]) == (1, [])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    hutong(own_home, "backup", "--out", str(file), codes=(2,))  # nothing is written over
    hutong(own_home, "restore", str(file), codes=(2,))  # nor a bus that is in use

    reset(own_home)
    up(own_home, attached=True)
    hutong(own_home, "restore", str(file))
    assert read_all(settings(own_home, "operator"), AGREEMENTS_TOPIC) == grants
    assert "nothing" in hutong(own_home, "plan", "--schemas", str(FI))  # exit code 0: the bus is as declared
    assert (schema_ids(own_home), deliver(own_home, "after"), own_home.read_secret("dvv")) == before


def test_what_is_no_backup_is_told(tmp_path: Path, own_home: Home) -> None:
    """A file of another kind, or half of one, changes nothing and says so."""
    file = tmp_path / "other"
    file.write_bytes(b"\x1f\x8b not one")
    said = hutong(own_home, "restore", str(file), codes=(2,))
    assert said == ""
