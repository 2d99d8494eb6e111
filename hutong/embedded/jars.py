"""The Java programs of the bus on this disk: exactly the files that ``jars.lock`` names, whole, or fetched again.

``jars.lock`` (written by ``lock``) pins every file by size and SHA-256, so nothing is resolved at run time. `jgo` fetches what
is missing and keeps it in its Maven cache, which the homes of a machine share; ``HUTONG_HOME/jars`` holds hard links where
the file system allows it. Whatever is half there - a download, an unpacked archive - differs in size and is done again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hutong.embedded.disk import full_disk_said_plainly, require_room
from hutong.embedded.progress import Progress
from hutong.errors import HutongError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

__all__ = ["Artifact", "Distribution", "distributions", "install"]

LOCK = Path(__file__).with_name("jars.lock")

_COMPLETE = ".complete"
_UNPACKED_FACTOR = 1.2  # jars hardly shrink further inside an archive: 158 MB unpack to 168
_ATTEMPTS = 3
_SECONDS = 30  # without a byte before a download is given up


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One pinned file of a Maven repository.

    Args:
        coordinate: ``group:artifact:version:classifier:packaging``; the classifier may be empty.
        size: bytes.
        sha256: hexadecimal digest.
    """

    coordinate: str
    size: int
    sha256: str

    @property
    def path(self) -> Path:
        """Where it lies in a repository or a cache of the Maven layout."""
        group, name, version, classifier, packaging = self.coordinate.split(":")
        return Path(*group.split("."), name, version, f"{name}-{version}{classifier and '-' + classifier}.{packaging}")

    def is_whole(self, file: Path) -> bool:
        """Whether the file is this artifact, byte for byte."""
        try:
            if file.stat().st_size != self.size:
                return False
            with file.open("rb") as content:
                return hashlib.file_digest(content, "sha256").hexdigest() == self.sha256
        except OSError:
            return False


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """The files of one program.

    Args:
        name: program and version, e.g. ``kafka-4.3.1``; the directory's name.
        artifacts: its jars, or the one archive that holds them.
    """

    name: str
    artifacts: tuple[Artifact, ...]

    @property
    def seal(self) -> str:
        """Changes when any pinned file does."""
        return hashlib.sha256("".join(artifact.sha256 for artifact in self.artifacts).encode()).hexdigest()


def distributions(lock: Path = LOCK) -> dict[str, Distribution]:
    """What the lock names, by the program's name without its version."""
    found: dict[str, list[Artifact]] = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, coordinate, size, sha256 = line.split()
            found.setdefault(name, []).append(Artifact(coordinate=coordinate, size=int(size), sha256=sha256))
    return {name.rpartition("-")[0]: Distribution(name=name, artifacts=tuple(files)) for name, files in found.items()}


def install(jars: Path, wanted: Sequence[Distribution], progress: Progress) -> list[Path]:
    """Have programs on this disk, whole.

    Args:
        jars: directory of all programs.
        wanted: which.
        progress: told of every download.

    Returns:
        Each program's directory.

    Raises:
        HutongError: a file cannot be fetched, or the disk is full.
    """
    for distribution in wanted:
        target = jars / distribution.name
        if not _is_complete(target, distribution):
            with full_disk_said_plainly(jars):
                _install(target, distribution, progress)
    return [jars / distribution.name for distribution in wanted]


def _is_complete(target: Path, distribution: Distribution) -> bool:
    try:
        seal = (target / _COMPLETE).read_text(encoding="ascii")
    except OSError:
        return False
    return seal == _measure(target, distribution)


def _measure(target: Path, distribution: Distribution) -> str:
    """The seal, and the number and total size of the files: cheap enough to look at before every start."""
    sizes = [file.stat().st_size for file in target.rglob("*") if file.name != _COMPLETE and file.is_file()]
    return f"{distribution.seal} {len(sizes)} {sum(sizes)}"


def _install(target: Path, distribution: Distribution, progress: Progress) -> None:
    size = sum(artifact.size for artifact in distribution.artifacts)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    for left in target.parent.glob(
        f".{distribution.name}-*"
    ):  # an earlier call was killed; `bus` holds the lock, so nobody uses it
        shutil.rmtree(left, ignore_errors=True)
    require_room(target.parent, int(size * (1 + _UNPACKED_FACTOR)), f"installing {distribution.name}")
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{distribution.name}-"))
    try:
        files = _fetch(distribution, staging / "download", progress)
        content = staging / "content"
        content.mkdir()
        for artifact, file in zip(distribution.artifacts, files, strict=True):
            if artifact.coordinate.endswith(":tar.gz"):
                progress.say(f"unpacking {distribution.name}")
                _unpack(file, content)
            else:
                _place(file, content / artifact.path.name)
        (content / _COMPLETE).write_text(_measure(content, distribution), encoding="ascii")
        content.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _unpack(file: Path, target: Path) -> None:
    with tarfile.open(file) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(target, filter="data")
        else:  # Python 3.11.2, which Debian 12 has: without filters, and the archive is the pinned one, byte for byte
            archive.extractall(target)  # noqa: S202


def _fetch(distribution: Distribution, staging: Path, progress: Progress) -> list[Path]:
    """Every file of it, whole: from the Maven cache, else from the repository (and then into the cache)."""
    try:
        from jgo.config import GlobalSettings
    except ImportError:
        raise HutongError("the embedded bus needs jgo: pip install 'hutong[embedded]'") from None
    settings = GlobalSettings.load()
    cached = {artifact: Path(settings.repo_cache) / artifact.path for artifact in distribution.artifacts}
    files = {artifact: file for artifact, file in cached.items() if artifact.is_whole(file)}
    missing = [artifact for artifact in distribution.artifacts if artifact not in files]
    if missing:
        with progress.amount(f"downloading {distribution.name}", sum(artifact.size for artifact in missing)) as done:
            context = _context(staging, settings.repositories, done)
            for artifact in missing:
                files[artifact] = _download(artifact, context)
                with suppress(OSError):  # a cache that cannot be written costs the next home a download, nothing more
                    _place(files[artifact], cached[artifact])
    return [files[artifact] for artifact in distribution.artifacts]


def _context(staging: Path, repositories: dict[str, str], done: Callable[[int], None]) -> MavenContext:
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def each_file(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield done

    # jgo writes a download to its final name as it comes in; in a directory of ours nobody takes half a file for a whole one.
    resolver = PythonResolver(progress_callback=each_file)
    context = MavenContext(resolver=resolver, repo_cache=staging, timeout=_SECONDS)
    context.remote_repos = {**repositories, **context.remote_repos}  # the user's own repositories come first
    return context


def _download(artifact: Artifact, context: MavenContext) -> Path:
    group, name, version, classifier, packaging = artifact.coordinate.split(":")
    source = context.project(group, name).at_version(version).artifact(classifier, packaging)
    problem: Exception | str = ""
    for _attempt in range(_ATTEMPTS):
        (context.repo_cache / artifact.path).unlink(missing_ok=True)
        try:
            file = source.resolve()
        except (RuntimeError, OSError) as exc:  # what jgo raises: "not found", and the errors of requests, which are OSErrors
            if getattr(exc, "errno", None):
                raise  # the disk's, not the network's
            problem = exc
            continue
        if artifact.is_whole(file):
            return file
        problem = "what came is not the file that jars.lock names"
    raise HutongError(
        f"cannot download {artifact.path.name}: {str(problem).splitlines()[0] if str(problem) else type(problem).__name__}; "
        "check the network (or the repositories in jgo's settings) and run it again: what is here already is kept"
    )


def _place(source: Path, target: Path) -> None:
    """The same content under another name, in one step: linked where possible, else copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as room:
        new = Path(room) / target.name
        try:
            os.link(source, new)
        except OSError:
            shutil.copyfile(source, new)
        new.replace(target)
