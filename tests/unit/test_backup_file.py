"""A backup's file by itself: who may read it, what is in it, and what is not taken for one. The bus is not asked."""

from __future__ import annotations

import io
import json
import stat
import tarfile
from pathlib import Path
from typing import Any, cast

import pytest

from hutong.control.backup import Backup, load, restore, save
from hutong.errors import ConfigurationError, HutongError
from hutong.home import Home
from hutong.kafka.resources import Acl, TopicState

BACKUP = Backup(
    made_at=1_700_000_000,
    topics={"pub.x.y.z": (2, {"retention.ms": "1"})},
    passwords={"x.y": "secret"},
    without_password=("a.b",),
    acls=frozenset({Acl(principal="x.y", resource="topic", name="pub.x.y.z", pattern="literal", operation="WRITE")}),
    quotas={"x.y": {"producer_byte_rate": 5e5}},
    keys={"agreement": "ab" * 32},
    records={"ctl.agreements": {"agreement": b"{}"}},
    subjects={"pub.x.y.z-value": [1]},
    schemas=b"zip",
)


def members(file: Path) -> list[str]:
    with tarfile.open(file) as archive:
        return sorted(archive.getnames())


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    """Everything that was saved is loaded."""
    save(BACKUP, tmp_path / "bus.backup")
    assert load(tmp_path / "bus.backup") == BACKUP


def test_it_is_for_its_owner_alone_and_replaces_nothing(tmp_path: Path) -> None:
    """Nobody else may read it, at no moment; a file that is there stays."""
    file = tmp_path / "bus.backup"
    save(BACKUP, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    other = tmp_path / "other"
    other.write_text("mine")
    with pytest.raises(ConfigurationError, match="is there already"):
        save(BACKUP, other)
    assert other.read_text() == "mine"


def test_it_holds_no_event_and_no_key_of_the_authority(tmp_path: Path) -> None:
    """Two parts: the control plane as it says of itself, and the registry's archive."""
    save(BACKUP, tmp_path / "bus.backup")
    assert members(tmp_path / "bus.backup") == ["control.json", "schemas.zip"]
    with tarfile.open(tmp_path / "bus.backup") as archive:
        control = archive.extractfile("control.json")
        assert control is not None
        plain = json.load(control)
    parts = {"topics", "passwords", "without_password", "acls", "quotas", "keys", "records", "subjects"}
    assert set(plain) == {"format", "made_at"} | parts


def archive_of(file: Path, **content: bytes) -> Path:
    with tarfile.open(file, "w:gz") as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(name.replace("__", "."))
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    """Other bytes, half an archive, one without its parts or with others, a link in place of a part: one clear error each."""
    whole = tmp_path / "whole"
    save(BACKUP, whole)
    half = tmp_path / "half"
    half.write_bytes(whole.read_bytes()[:100])
    bytes_ = tmp_path / "bytes"
    bytes_.write_bytes(b"\x1f\x8b not one")
    linked = tmp_path / "linked"
    with tarfile.open(linked, "w:gz") as archive:
        link = tarfile.TarInfo("control.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    files = [
        *(tmp_path / "is not there", half, bytes_, linked),
        archive_of(tmp_path / "one part", control__json=b"{}"),
        archive_of(tmp_path / "empty"),
        archive_of(tmp_path / "list", control__json=b"[]", schemas__zip=b""),
        archive_of(tmp_path / "words", control__json=b"not JSON", schemas__zip=b""),
        archive_of(tmp_path / "deep", control__json=b"[" * 200_000, schemas__zip=b""),
        archive_of(tmp_path / "later", control__json=b'{"format": 99}', schemas__zip=b""),
    ]
    for file in files:
        with pytest.raises(ConfigurationError, match=r"no backup|format 99"):
            load(file)


def test_a_part_beyond_all_measure_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes that unpack to more than any control plane has do not fill the memory."""
    file = archive_of(tmp_path / "bomb", control__json=b" " * 10_000_000, schemas__zip=b"")
    assert file.stat().st_size < 20_000
    monkeypatch.setattr("hutong.control.backup._LARGEST", 1_000_000)
    with pytest.raises(ConfigurationError, match="no backup"):
        load(file)


def test_nothing_of_an_archive_is_unpacked(tmp_path: Path) -> None:
    """A member whose name leads out of the directory is not looked at."""
    file, target = tmp_path / "bus.backup", tmp_path / "target"
    save(BACKUP, file)
    content = {}
    with tarfile.open(file) as archive:
        for name in archive.getnames():
            part = archive.extractfile(name)
            assert part is not None
            content[name.replace(".", "__")] = part.read()
    archive_of(file, **content, **{"/../target": b"owned", str(target): b"owned"})
    assert load(file) == BACKUP
    assert not target.exists()


class Admin:
    """An administrator of a bus that holds what it is given, and must be left alone."""

    def __init__(self, topics: dict[str, TopicState]) -> None:
        self._topics = topics

    def brokers(self) -> int:
        return 1

    def topics(self, _: Any) -> dict[str, TopicState]:
        return self._topics


class Registry:
    """A registry with a schema of somebody else's."""

    url = "http://registry"

    def subjects(self) -> list[str]:
        return ["somebody-elses-value"]

    def versions(self, _: str) -> list[int]:
        return []


def test_a_bus_in_use_is_left_alone(tmp_path: Path) -> None:
    """A registry with other schemas: refused before anything is written, be it to the bus or to the home."""
    home = Home(root=tmp_path / "home")
    with pytest.raises(HutongError, match="nothing was changed"):
        restore(BACKUP, cast("Any", None), cast("Any", Admin({})), cast("Any", Registry()), home)
    assert not home.root.exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", ".hidden", ""])
def test_names_in_a_backup_stay_in_the_home(tmp_path: Path, name: str) -> None:
    """A principal or an agreement whose name is a path is refused where its file would be written."""
    home = Home(root=tmp_path / "home")
    for write in (home.write_secret, home.write_key):
        with pytest.raises(ConfigurationError, match="cannot name"):
            write(name, "x")
