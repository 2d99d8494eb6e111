"""What is installed is what was tested: everything at one exact version, with its hash, and installed no other way."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hutong.embedded.jars import distributions
from tests import audit, sbom
from tests.locks import crates, crates_module, requirements

ROOT = Path(__file__).parents[2]


def toml(file: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / file).read_text(encoding="utf-8"))


def declared() -> Iterator[Requirement]:
    """Every dependency that a file of the project asks for, but the project itself."""
    project, native = toml("pyproject.toml"), toml("native/pyproject.toml")
    lists = [project["build-system"]["requires"], native["build-system"]["requires"], project["project"]["dependencies"]]
    lists += [*project["project"]["optional-dependencies"].values(), *project["dependency-groups"].values()]
    for text in [*(text for one in lists for text in one), "uv"]:
        if (found := Requirement(text)).name != "hutong":
            yield found


def commands(file: str, begin: str = r"[\t@ ]*") -> list[str]:
    """The commands of a Makefile or Dockerfile, each on one line, as it stands between ``&&``, ``;`` and ``|``."""
    text = "\n".join(
        line for line in (ROOT / file).read_text(encoding="utf-8").splitlines() if not line.lstrip("\t@ ").startswith("#")
    )
    joined = re.sub(r"\\\n\s*", " ", text)
    return [re.sub(begin, "", part, count=1).strip() for line in joined.splitlines() for part in re.split(r"&&|;|\|\|", line)]


def test_every_dependency_is_locked_with_hashes() -> None:
    """What pyproject.toml asks for, and what builds it, is in the lock, at a version that it allows."""
    locked = requirements()
    for one in declared():
        found = locked.get(canonicalize_name(one.name))
        assert found is not None, f"{one.name} is not in requirements.lock: make lock"
        assert one.specifier.contains(found.version, prereleases=True), f"{one}: {found.version} is locked"
        assert found.hashes


def test_a_lock_with_anything_but_pins_is_refused() -> None:
    """An address, an index, an open version, a version without a hash."""
    pin, checksum = "a==1 \\\n", f"    --hash=sha256:{'0' * 64}\n"
    assert requirements(pin + checksum)["a"].version == "1"
    for line in ("--index-url https://x.example\n", "a @ https://x.example/a.whl \\\n", "a>=1 \\\n", "-e .\n", "a==1\n", "\n"):
        with pytest.raises(ValueError, match="no pin"):
            requirements(line + checksum)


def test_everything_is_installed_with_hashes() -> None:
    """In the Makefile and in the image; what has no hash is this project alone, built with tools that have."""
    installs = [one for file in ("Makefile", "Dockerfile") for one in commands(file) if re.search(r"\bpip install\b", one)]
    assert len(installs) >= 6
    for one in installs:
        of_itself = all(word in one for word in ("--no-deps", "--no-index", "--no-build-isolation"))
        constrained = all(f"{word} requirements.lock" in one for word in ("--constraint", "--build-constraint"))
        assert of_itself or "--require-hashes" in one or ("uv pip install" in one and constrained), one


@pytest.mark.parametrize(("checksum", "installs"), [("right", True), ("0" * 64, False)])
def test_the_installer_holds_packages_against_constraints(tmp_path: Path, checksum: str, installs: bool) -> None:
    """What the image relies on: uv refuses a package whose hash differs from the one in its constraints."""
    wheel = tmp_path / "sample_package-1.0-py3-none-any.whl"
    info = "sample_package-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("sample_package.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: sample-package\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest() if checksum == "right" else checksum
    lock = tmp_path / "lock"
    lock.write_text(f"sample-package==1.0 \\\n    --hash=sha256:{digest}\n")
    command = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--no-index", "--find-links", str(tmp_path)]
    command += ["--target", str(tmp_path / "installed"), "--no-cache", "--constraint", str(lock), "sample-package"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0) == installs, done.stderr
    assert (tmp_path / "installed/sample_package.py").exists() == installs


def test_crates_are_those_of_the_lock() -> None:
    """Each crate has an exact version in Cargo.toml and a sum in crates.lock; what cargo resolved here is the same."""
    manifest = toml("native/Cargo.toml")
    pinned = manifest["dependencies"] | manifest["target"]["cfg(any())"]["dependencies"]
    versions = {name: one if isinstance(one, str) else one["version"] for name, one in pinned.items()}
    assert versions == {name: f"={version}" for name, version, _ in crates()}
    assert all(re.fullmatch(r"[0-9a-f]{64}", checksum) for _, _, checksum in crates())
    resolved = ROOT / "native/Cargo.lock"
    if resolved.exists():  # where there is cargo
        module = crates_module()
        assert module.differences(frozenset(crates()), module.resolved(resolved.read_text(encoding="utf-8"))) == []


def test_a_strange_crate_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another sum, another version, one too many, one that comes from elsewhere than the index."""
    module, package = crates_module(), '[[package]]\nname = "{}"\nversion = "{}"\n'
    (tmp_path / "crates.lock").write_text("a 1.0.0 aa\nb 1.0.0 bb\n")
    right = package.format("a", "1.0.0") + 'checksum = "aa"\n' + package.format("b", "1.0.0") + 'checksum = "bb"\n'
    (tmp_path / "Cargo.lock").write_text(right + package.format("hutong-native", "0.1.0"))
    assert module.main([], tmp_path) == 0
    for wrong in (
        right.replace("bb", "cc"),
        right.replace("1.0.0", "1.0.1"),
        right + package.format("c", "1.0.0"),
        right.partition('[[package]]\nname = "b"')[0],
    ):
        (tmp_path / "Cargo.lock").write_text(wrong)
        assert module.main([], tmp_path) == 1
        assert "locked" in capsys.readouterr().err


def test_crates_are_compared_before_they_are_built() -> None:
    """Where the extension is built, cargo fetches, the sums are compared, and the build may not resolve anew."""
    for file in ("Makefile", "Dockerfile"):
        steps = [one for one in commands(file) if re.search(r"cargo fetch|native/crates\.py|maturin (build|develop)", one)]
        assert len(steps) == 3, file
        assert [("fetch" in one, "crates.py" in one, "maturin" in one).index(True) for one in steps] == [0, 1, 2], file
        assert "--locked" in steps[2], file


def test_every_jar_has_a_size_and_a_hash() -> None:
    """At a released version; what is downloaded is held against both (``test_embedded_jars``)."""
    artifacts = [artifact for program in distributions().values() for artifact in program.artifacts]
    assert len(artifacts) > 30
    for artifact in artifacts:
        assert re.fullmatch(r"[0-9a-f]{64}", artifact.sha256)
        assert artifact.size > 0
        assert "SNAPSHOT" not in artifact.coordinate


def test_packages_of_npm_have_exact_versions() -> None:
    """Tests take them as peers; nothing that is installed needs any."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    packages = re.findall(r'"(@[a-z-]+/[a-z-]+@[^"]*)"', text)
    assert packages
    assert all(re.fullmatch(r"@[a-z-]+/[a-z-]+@\d+\.\d+\.\d+", one) for one in packages), packages


@contextmanager
def advisories(known: dict[str, list[str]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A service with OSV's interface: name -> ids; and all that it was asked."""
    asked: list[dict[str, Any]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/querybatch"
            queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            asked.extend(queries)
            found = [known.get(query["package"]["name"], []) for query in queries]
            body = json.dumps({"results": [{"vulns": [{"id": id_} for id_ in ids]} if ids else {} for ids in found]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_audit_asks_about_every_locked_package(capsys: pytest.CaptureFixture[str]) -> None:
    """Python packages, jars and crates; what is known is told with its id, and ends with 1."""
    with advisories({"fastavro": ["MADE-UP-1"]}) as (service, asked):
        assert audit.main(["--service", service]) == 1
    assert f"PyPI fastavro {requirements()['fastavro'].version}: MADE-UP-1" in capsys.readouterr().out
    told = {(one["package"]["ecosystem"], one["package"]["name"], one["version"]) for one in asked}
    assert {name for ecosystem, name, _ in told if ecosystem == "PyPI"} == requirements().keys()
    assert {(name, version) for ecosystem, name, version in told if ecosystem == audit.CRATES} == {one[:2] for one in crates()}
    assert len([one for one in told if one[0] == "Maven"]) == sum(len(one.artifacts) for one in distributions().values())
    with advisories({}) as (service, _):
        assert audit.main(["--service", service]) == 0


def test_an_audit_that_reached_nobody_is_no_good_news(capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with 2, not with 0."""
    assert audit.main(["--service", "http://127.0.0.1:1"]) == 2
    assert "could not be asked" in capsys.readouterr().err


def test_the_bill_of_materials_names_every_locked_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its address as a package and a SHA-256; valid for the format's own schema, and the same each time."""
    file = tmp_path / "there" / "sbom.cdx.json"
    assert sbom.main(["--out", str(file)]) == 0
    text = file.read_text(encoding="utf-8")
    assert text == sbom.bill()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    listed = json.loads(text)["components"]
    purls = {one["purl"] for one in listed}
    assert {f"pkg:pypi/{name}@{one.version}" for name, one in requirements().items()} <= purls
    assert {f"pkg:cargo/{name}@{number}" for name, number, _ in crates()} <= purls
    assert len(purls) == len(listed) == len(set(audit.everything()))
    assert all(one["hashes"] for one in listed)
    assert f"{len(listed)} packages" in capsys.readouterr().out
