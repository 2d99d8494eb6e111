"""The benchmark's router in Faust, at least once. Run as a program in a virtual environment with ``faust-streaming``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import faust
from work import Route  # type: ignore[import-not-found]


def build(plan: dict[str, Any]) -> Any:
    """The application."""
    route = Route(plan["agreements"])
    application = faust.App(
        plan["group"],
        broker=f"aiokafka://{plan['bootstrap']}",
        broker_credentials=faust.SASLCredentials(username=plan["username"], password=plan["password"], mechanism="SCRAM-SHA-512"),
        store="memory://",
        datadir=plan["folder"],
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_commit_every=10_000,
        broker_commit_interval=0.5,
        broker_max_poll_records=10_000,
        stream_buffer_maxsize=20_000,
        producer_compression_type="lz4",
        producer_linger_ms=20,
        producer_max_batch_size=262_144,
    )
    names = {one["topic"] for one in plan["agreements"]}
    topics = {name: application.topic(name, key_serializer="raw", value_serializer="raw") for name in names}
    events = application.topic(plan["topic"], key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    async def forward(stream: Any) -> None:
        async for event in stream.events():
            headers = list(event.headers.items())
            for topic, value, agreement in route(event.value):
                await topics[topic].send(key=event.key, value=value, headers=[*headers, ("ce_agreement", agreement)])

    application.agent(events)(forward)
    return application


if __name__ == "__main__":
    worker = faust.Worker(build(json.loads(Path(sys.argv[1]).read_text())), loglevel="warn")
    worker.execute_from_commandline()
