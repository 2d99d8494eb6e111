"""Writes ``jars.lock``: resolves the programs of the bus with `jgo` and pins every file. Run it to change a version.

``python -m hutong.embedded.lock`` needs the network; nothing else imports this.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from hutong.embedded.jars import LOCK

__all__ = ["main"]

_HEADER = """\
# The Java programs of the embedded bus: program, coordinate (group:artifact:version:classifier:packaging), bytes, SHA-256.
# Written by `python -m hutong.embedded.lock`.
"""

# Each root is resolved by itself: together, jgo takes one root's managed versions for all (an old kafka-clients came in so).
_RESOLVED = {"kafka-4.3.1": ["org.apache.kafka:kafka_2.13:4.3.1"]}
_SINGLE = {
    "kafka-4.3.1": ["org.apache.logging.log4j:log4j-slf4j-impl:2.25.4::jar"],  # without it Kafka logs nothing
    "apicurio-registry-3.3.3": ["io.apicurio:apicurio-registry-app:3.3.3:all:tar.gz"],
}


def main() -> None:
    """Resolve, download and pin."""
    import jgo
    from jgo.maven import MavenContext

    context = MavenContext()
    lines: list[str] = []
    for program, singles in _SINGLE.items():
        coordinates = set(singles)
        for root in _RESOLVED.get(program, []):
            coordinates |= {
                f"{found.groupId}:{found.artifactId}:{found.version}:{found.classifier}:{found.packaging}"
                for found in jgo.resolve(root)
            }
        for coordinate in sorted(coordinates):
            group, name, version, classifier, packaging = coordinate.split(":")
            file: Path = context.project(group, name).at_version(version).artifact(classifier, packaging).resolve()
            with file.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            lines.append(f"{program} {coordinate} {file.stat().st_size} {digest}\n")
    LOCK.write_text(_HEADER + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
