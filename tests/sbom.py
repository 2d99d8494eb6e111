"""Writes what is locked as a bill of materials: CycloneDX 1.6 in JSON, Python packages, jars and crates with their SHA-256.

``make sbom``. The same locks give the same bytes. Images and npm packages of tests are not in it. Neighbour: ``audit`` asks what
is known against them. The format: https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from hutong.embedded.jars import distributions
from tests.locks import crates, requirements

__all__ = ["bill", "main"]


def components() -> Iterator[Component]:
    """All that the three locks name."""
    for name, one in requirements().items():
        yield _component(PackageURL("pypi", name=name, version=one.version), one.hashes)
    for program in distributions().values():
        for artifact in program.artifacts:
            group, name, number, classifier, kind = artifact.coordinate.split(":")
            qualifiers = {"classifier": classifier, "type": kind} if classifier else {"type": kind}
            yield _component(PackageURL("maven", group, name, number, qualifiers), [artifact.sha256])
    for name, number, sha256 in crates():
        yield _component(PackageURL("cargo", name=name, version=number), [sha256])


def bill() -> str:
    """The document. Its number follows from its content, and it bears no time: it is to be compared."""
    bom = Bom(components=components())
    bom.metadata.component = Component(name="hutong", version=version("hutong"), type=ComponentType.APPLICATION, bom_ref="hutong")
    bom.metadata.timestamp = None  # type: ignore[assignment]  # the format's own wish is that it may be absent
    bom.serial_number = uuid5(NAMESPACE_URL, "\n".join(sorted(str(one.purl) for one in bom.components)))
    bom.register_dependency(bom.metadata.component, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write it, and say what is in it."""
    parser = argparse.ArgumentParser(prog="python -m tests.sbom", description="Write a bill of materials (CycloneDX 1.6).")
    parser.add_argument("--out", type=Path, default=Path("build/sbom.cdx.json"), help="the file")
    file: Path = parser.parse_args(arguments).out
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(bill(), encoding="utf-8")
    sys.stdout.write(f"== {file}: {sum(1 for _ in components())} packages\n")
    return 0


def _component(purl: PackageURL, hashes: Sequence[str]) -> Component:
    return Component(
        name=f"{purl.namespace}:{purl.name}" if purl.namespace else purl.name,
        version=purl.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        # A package of several files has several; the format has one place, and takes any number.
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in hashes],
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
