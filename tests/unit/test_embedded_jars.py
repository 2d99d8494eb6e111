"""Downloads: whole or fetched again, from the machine's Maven cache where they are there already."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hutong.embedded.jars import Artifact, Distribution, distributions, install
from hutong.embedded.progress import Progress
from hutong.errors import HutongError


class Repository(http.server.BaseHTTPRequestHandler):
    """A Maven repository on loopback, which can be made to fail."""

    files: dict[str, bytes]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Repository]]:
    """A repository that jgo is told of, and an empty Maven cache."""
    served = type("Served", (Repository,), {"files": {}, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), served)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    settings = tmp_path / "jgo.conf"
    settings.write_text(f"[settings]\n[repositories]\nhere = http://127.0.0.1:{server.server_port}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def artifact(coordinate: str, content: bytes) -> Artifact:
    return Artifact(coordinate=coordinate, size=len(content), sha256=hashlib.sha256(content).hexdigest())


JAR = b"a jar" * 1000
FIRST = artifact("org.example:first:1.0::jar", JAR)
SECOND = artifact("org.example:second:1.0::jar", b"another")
PROGRAM = Distribution(name="program-1.0", artifacts=(FIRST, SECOND))


def serve(repository: type[Repository], *, first: bytes = JAR) -> None:
    repository.files |= {f"/{FIRST.path}": first, f"/{SECOND.path}": b"another"}


def downloads(repository: type[Repository]) -> list[str]:
    return [path for path in repository.asked if path.endswith((".jar", ".tar.gz"))]


class Told(Progress):
    """Remembers the amounts."""

    def __init__(self) -> None:
        self.done = 0

    def amount(self, title: str, total: int):  # type: ignore[no-untyped-def]
        self.title, self.total = title, total
        return super().amount(title, total)


def test_lock_names_the_programs_of_the_bus() -> None:
    """Kafka 4.3.1 and Apicurio 3.3.3, every file with size and digest, and no Kafka of another version among them."""
    known = distributions()
    assert {name: program.name for name, program in known.items()} == {
        "kafka": "kafka-4.3.1",
        "apicurio-registry": "apicurio-registry-3.3.3",
    }
    files = [file for program in known.values() for file in program.artifacts]
    assert all(len(file.sha256) == 64 and file.size > 0 for file in files)
    assert all(":4.3.1:" in file.coordinate for file in files if file.coordinate.startswith("org.apache.kafka:"))


def test_program_is_downloaded_once(tmp_path: Path, repository: type[Repository]) -> None:
    """The first install fetches, the next finds all there, and a second home finds it in the Maven cache."""
    serve(repository)
    told = Told()
    (place,) = install(tmp_path / "jars", [PROGRAM], told)
    assert sorted(file.name for file in place.glob("*.jar")) == ["first-1.0.jar", "second-1.0.jar"]
    assert (place / "first-1.0.jar").read_bytes() == JAR
    assert (told.title, told.total) == ("downloading program-1.0", FIRST.size + SECOND.size)
    assert len(downloads(repository)) == 2
    repository.files.clear()
    assert install(tmp_path / "jars", [PROGRAM], Progress()) == [place]
    install(tmp_path / "other", [PROGRAM], Progress())
    assert len(downloads(repository)) == 2


def test_half_of_a_file_in_the_cache_is_fetched_again(tmp_path: Path, repository: type[Repository]) -> None:
    """An interrupted download of anybody's is noticed and repaired, in the cache too."""
    serve(repository)
    cached = tmp_path / "m2" / FIRST.path
    cached.parent.mkdir(parents=True)
    cached.write_bytes(JAR[:100])
    (place,) = install(tmp_path / "jars", [PROGRAM], Progress())
    assert (place / "first-1.0.jar").read_bytes() == cached.read_bytes() == JAR


def test_damaged_program_is_installed_again(tmp_path: Path, repository: type[Repository]) -> None:
    """A file that went missing or short is noticed before the start, and put back from the cache."""
    serve(repository)
    (place,) = install(tmp_path / "jars", [PROGRAM], Progress())
    (place / "first-1.0.jar").unlink()
    install(tmp_path / "jars", [PROGRAM], Progress())
    assert (place / "first-1.0.jar").read_bytes() == JAR
    (place / "second-1.0.jar").unlink()
    (place / "second-1.0.jar").write_bytes(b"anoth")
    (tmp_path / "jars" / ".program-1.0-left").mkdir()
    install(tmp_path / "jars", [PROGRAM], Progress())
    assert (place / "second-1.0.jar").read_bytes() == b"another"
    assert [entry.name for entry in (tmp_path / "jars").iterdir()] == ["program-1.0"]


def test_wrong_file_from_the_repository_is_refused(tmp_path: Path, repository: type[Repository]) -> None:
    """What is not the pinned file, byte for byte, is not run; nothing half-installed is left."""
    serve(repository, first=JAR[:-1] + b"!")
    with pytest.raises(HutongError, match=r"cannot download first-1\.0\.jar: what came is not the file .*run it again"):
        install(tmp_path / "jars", [PROGRAM], Progress())
    assert list((tmp_path / "jars").iterdir()) == []
    serve(repository)
    install(tmp_path / "jars", [PROGRAM], Progress())


def test_archive_is_unpacked_whole(tmp_path: Path, repository: type[Repository]) -> None:
    """An archive's files are there, and one that is deleted later brings all of them back."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name in ("run.jar", "lib/inner.jar"):
            entry = tarfile.TarInfo(name)
            entry.size = 3
            archive.addfile(entry, io.BytesIO(b"abc"))
    packed = artifact("org.example:packed:2.0:all:tar.gz", content.getvalue())
    program = Distribution(name="packed-2.0", artifacts=(packed,))
    repository.files[f"/{packed.path}"] = content.getvalue()
    (place,) = install(tmp_path / "jars", [program], Progress())
    (place / "lib" / "inner.jar").unlink()
    install(tmp_path / "jars", [program], Progress())
    assert (place / "lib" / "inner.jar").read_bytes() == b"abc"


def test_full_disk_is_one_clear_line(tmp_path: Path, repository: type[Repository], monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before a byte is fetched where it can be foreseen, and as clearly where it cannot."""
    import shutil

    serve(repository)
    usage = type("Usage", (), {"free": 1024})
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _path: usage)
        with pytest.raises(HutongError, match=r"disk full: installing program-1\.0 needs \d+ MiB .*HUTONG_HOME"):
            install(tmp_path / "jars", [PROGRAM], Progress())
    assert downloads(repository) == []

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hutong.embedded.jars._place", full)
    with pytest.raises(HutongError, match=r"disk full: no space left in .*run it again"):
        install(tmp_path / "jars", [PROGRAM], Progress())
