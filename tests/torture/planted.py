"""The negative control of the search for personal data: a value put into a place of every kind, to be found by the same look.

Neighbours: ``personal`` plants it before it looks; ``places`` has the kinds.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from confluent_kafka import Producer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hutong.errors import ContractViolation
from hutong.event import Attributes, new_event_id, source_of
from hutong.home import Home
from hutong.kafka.compacted import write
from hutong.kafka.settings import Settings
from hutong.kafka.topics import REPLAYS_TOPIC
from hutong.runtime.addresses import announce
from tests.serving import Served
from tests.torture.places import Place
from tests.torture.story import DEPARTMENT, PERSON

__all__ = ["new_value", "planted", "planted_at_home", "planted_error", "post_span"]

_WAITS = "import sys; sys.stdin.read()"


def new_value() -> str:
    """A value that nobody else has."""
    return f"planted-{secrets.token_hex(8)}"


@contextmanager
def planted(value: str, home: Home, settings: Settings, spans: str) -> Iterator[None]:
    """A value in places of every kind but errors, for a while.

    Args:
        value: the value.
        home: the bus's.
        settings: of somebody who may write everywhere.
        spans: where spans are sent to.
    """
    entry = f"access/{value}"
    with planted_at_home(value, home):
        write(settings, REPLAYS_TOPIC, {entry: json.dumps({"format": 1, "who": value}).encode()})
        try:
            _quarantine(value, settings)
            post_span(value, spans)
            yield
        finally:
            write(settings, REPLAYS_TOPIC, {entry: None})


@contextmanager
def planted_at_home(value: str, home: Home) -> Iterator[None]:
    """A value in the places that need no broker: a log, a state file, a page, a process's arguments and environment."""
    files = [home.log / "planted.log", home.run / "planted.txt"]
    environment = os.environ | {"HUTONG_HOME": str(home.root), "PLANTED": value}
    with Served() as served:
        served.pages["/metrics"] = f'hutong_planted_total{{who="{value}"}} 1\n'.encode()
        process = subprocess.Popen([sys.executable, "-c", _WAITS, value], stdin=subprocess.PIPE, env=environment)
        try:
            for file in files:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"something about {value}\n", encoding="utf-8")
            with announce(home, service="planted", instance="one", host="127.0.0.1", port=served.port):
                yield
        finally:
            process.communicate()
            for file in files:
                file.unlink(missing_ok=True)


def planted_error(value: str) -> Place:
    """A value in an error's message."""
    return Place(kind="error", name="planted", data=str(ContractViolation(PERSON, "name", "pattern", value)).encode())


def _quarantine(value: str, settings: Settings) -> None:
    """In a reason, which commands print."""
    attributes = Attributes(id=new_event_id(), source=source_of(DEPARTMENT), type=PERSON, time=datetime.now(UTC))
    facts = {"reason": "internal_error", "problem": f"field name: {value}", "source": f"pub.{PERSON}/0/0"}
    headers = [*attributes.to_headers(), *((f"hutong_{name}", fact.encode()) for name, fact in facts.items())]
    producer = Producer(settings.client())
    producer.produce(f"quarantine.{PERSON}", b"no event", b"no key", headers=headers)  # type: ignore[arg-type]
    assert producer.flush(30) == 0


def post_span(value: str, spans: str) -> None:
    """A value in a span, sent to a collector."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name=f"route {value}")
    post = urllib.request.Request(f"{spans}/v1/traces", data=request.SerializeToString(), method="POST")  # noqa: S310
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(post, timeout=10):
        pass
