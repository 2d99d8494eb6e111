"""The home's files: private where they must be, whole at any moment, and never outside of it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hutong.errors import ConfigurationError
from hutong.home import BusAddress, Home


def test_home_is_the_one_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HUTONG_HOME wins, also when relative; without it the home is .hutong right here."""
    monkeypatch.chdir(tmp_path)
    assert Home.find({}).root == tmp_path / ".hutong"
    assert Home.find({"HUTONG_HOME": ""}).root == tmp_path / ".hutong"
    assert Home.find({"HUTONG_HOME": "elsewhere"}).root == tmp_path / "elsewhere"
    monkeypatch.setenv("HUTONG_HOME", "/some/where")
    assert Home.find().root == Path("/some/where")


def test_secret_is_made_once_and_private(tmp_path: Path) -> None:
    """A password is random, stays the same, and its file and directory are the owner's alone."""
    home = Home(root=tmp_path)
    assert home.read_secret("operator") is None
    password = home.ensure_secret("operator")
    assert len(password) >= 43  # 256 bits
    assert home.ensure_secret("operator") == home.read_secret("operator") == password
    assert home.ensure_secret("services") != password
    assert stat.S_IMODE((home.secrets / "operator").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.secrets.stat().st_mode) == 0o700


def test_key_of_an_agreement_is_64_hexadecimal_characters(tmp_path: Path) -> None:
    """The pseudonym key has 32 bytes and stays the same."""
    home = Home(root=tmp_path)
    key = home.ensure_key("cremation-to-pension")
    assert (len(bytes.fromhex(key)), home.ensure_key("cremation-to-pension")) == (32, key)


@pytest.mark.parametrize("name", ["", ".", "..", "../operator", "a/b", ".hidden", "a\0b"])
def test_name_that_would_leave_the_directory_is_refused(tmp_path: Path, name: str) -> None:
    """A principal's name from a declaration never becomes a path."""
    with pytest.raises(ConfigurationError, match="cannot name"):
        Home(root=tmp_path).write_secret(name, "x")


def test_address_is_what_was_written(tmp_path: Path) -> None:
    """No bus, no address; a written one is read back; a damaged file is named with what to do."""
    home = Home(root=tmp_path)
    assert home.address() is None
    home.write_bus({"bootstrap_servers": "127.0.0.1:1", "registry_url": "http://127.0.0.1:2"})
    assert home.address() == BusAddress(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:2")
    for damaged in ("{", "[]", '{"bootstrap_servers": "x"}', "\x00"):
        home.bus_file.write_text(damaged)
        with pytest.raises(ConfigurationError, match=r"bus\.json.*hutong up"):
            home.address()


def test_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk or a kill in the middle of a write costs nothing that was there, and leaves no litter."""
    home = Home(root=tmp_path)
    home.write_secret("operator", "old")

    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fchmod", fail)
    with pytest.raises(OSError, match="No space"):
        home.write_secret("operator", "new")
    assert home.read_secret("operator") == "old"
    assert [file.name for file in home.secrets.iterdir()] == ["operator"]
