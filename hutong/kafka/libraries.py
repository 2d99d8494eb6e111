"""Versions of the Kafka client's own parts, for whoever has to tell what is installed.

Neighbour: ``hutong.doctor`` asks.
"""

from __future__ import annotations

import re
from importlib import metadata

import confluent_kafka

__all__ = ["librdkafka_versions"]


def librdkafka_versions() -> tuple[str, str]:
    """The librdkafka that confluent-kafka's Python part was released with, and the one that is loaded."""
    return _short(metadata.version("confluent-kafka")), _short(confluent_kafka.libversion()[0])


def _short(version: str) -> str:
    found = re.match(r"\d+(?:\.\d+){0,2}", version)
    return found[0] if found else version
