"""What ``sdk`` measures beside Hutong: confluent-kafka's Avro classes, in a process and a virtual environment of their own.

They need what ``confluent-kafka[avro,schemaregistry]`` brings, and nothing else here does. Neighbours: ``contenders.apart`` makes
the environment, ``contenders/apps/avro_app.py`` is the program.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.contenders import apart
from bench.sample import CONTRACT
from hutong.home import Home, write_private
from hutong.kafka.settings import Settings

__all__ = ["CHANNEL", "DEPARTMENT", "RECIPIENT", "Peer", "Took", "problem"]

DEPARTMENT = "mca.funeral"
RECIPIENT, CHANNEL = "mohrss.insurance", "deaths"

_NAME, _REQUIREMENTS = "avro", ("confluent-kafka[avro,schemaregistry]==2.16.0",)


class Took(NamedTuple):
    """What one round took.

    Attributes:
        seconds: by the clock.
        cpu_seconds: of the measured process.
    """

    seconds: float
    cpu_seconds: float


def problem() -> str | None:
    """Have the environment; why not, in words."""
    return apart.ready(_NAME, _REQUIREMENTS)


class Peer:
    """Starts the program for each round.

    Args:
        home: of the bus.
        made: the events, which it gets as a file.
        count: how many are published or received in a round.
    """

    def __init__(self, home: Home, made: Sequence[dict[str, Any]], count: int) -> None:
        self._home, self._count = home, count
        self._events = home.root / "bench-events.pickle"
        self._events.write_bytes(pickle.dumps(list(made)))

    def publish(self, *, latest: bool) -> Took:
        """Through ``AvroSerializer``: with the schema given, or with the registry's latest version."""
        return self._run(DEPARTMENT, f"pub.{CONTRACT}", what="publish_latest" if latest else "publish_given")

    def receive(self, group: str) -> Took:
        """Through ``AvroDeserializer``."""
        return self._run(RECIPIENT, f"sub.{RECIPIENT}.{CHANNEL}", what="receive", group=group)

    def _run(self, principal: str, topic: str, **plan: str) -> Took:
        settings = Settings.resolve(principal, {"HUTONG_HOME": str(self._home.root)})
        whole = {
            "client": settings.client(),
            "registry": settings.registry_url,
            "topic": topic,
            "contract": CONTRACT,
            "department": DEPARTMENT,
            "source": f"urn:hutong:{DEPARTMENT}",
            "key": "certificate_number",
            "events": str(self._events),
            "count": self._count,
            **plan,
        }
        file: Path = self._home.root / "bench-peer.json"
        write_private(file, json.dumps(whole))
        found = json.loads(apart.output(_NAME, "avro_app.py", file))
        if found["count"] != self._count:
            raise SystemExit(f"the peer counts {found['count']} events where {self._count} are right")
        return Took(found["seconds"], found["cpu_seconds"])
