"""The benchmark's router in Quix Streams, exactly once. Run as a program in a virtual environment with ``quixstreams``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]
from quixstreams.kafka import ConnectionConfig  # type: ignore[import-not-found]
from quixstreams.models import Serializer  # type: ignore[import-not-found]
from work import Route  # type: ignore[import-not-found]

Made = tuple[str, bytes, bytes]


class _Made(Serializer):  # type: ignore[misc]
    """The bytes are made already."""

    def __call__(self, value: Made, ctx: Any) -> bytes:  # noqa: ARG002 - as Quix calls it
        return value[1]


def main(plan: dict[str, Any]) -> None:
    """Route until SIGTERM."""
    route = Route(plan["agreements"])
    application = Application(
        ConnectionConfig(
            bootstrap_servers=plan["bootstrap"],
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username=plan["username"],
            sasl_password=plan["password"],
        ),
        consumer_group=plan["group"],
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        # As large as the router's transactions; Quix's own default is every 5 s.
        commit_every=10_000,
        commit_interval=1.0,
        auto_create_topics=False,
        use_changelog_topics=False,
        loglevel="WARNING",
        consumer_extra_config={"queued.min.messages": 20_000, "fetch.wait.max.ms": 50},
        producer_extra_config={
            "compression.type": "lz4",
            "linger.ms": 5,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 500_000,
            "retry.backoff.ms": 1,
            "retry.backoff.max.ms": 10,
        },
    )
    serializer = _Made()
    topics = {
        name: application.topic(name, value_serializer=serializer, key_serializer="bytes")
        for name in {one["topic"] for one in plan["agreements"]}
    }
    events = application.topic(plan["topic"], value_deserializer="bytes", key_deserializer="bytes")
    frame = application.dataframe(events)
    frame = frame.apply(route, expand=True)
    frame = frame.set_headers(lambda made, _key, _time, headers: [*headers, ("ce_agreement", made[2])])
    frame.to_topic(lambda made, _key, _time, _headers: topics[made[0]])
    application.run()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
