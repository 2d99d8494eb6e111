"""Kafka clients that the Rust extension reaches into: records in and out without a Python object for each.

The extension is a plugin of librdkafka (``plugin.library.paths``), so a client that names it in its configuration makes itself
known to it; everything else about the client stays Python's. Where the extension was not built, or librdkafka is not a library of
its own (Windows), all here says None, and records go through Python. Neighbours: ``transaction`` makes the clients.
"""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any

import confluent_kafka

from hutong.transcode.choice import is_native
from hutong.transcode.native.transcoder import extension

__all__ = ["inbox_of", "plugin", "sender_of"]

_LOG = logging.getLogger("hutong")


def plugin() -> dict[str, Any]:
    """What a client's configuration needs, so that ``inbox_of`` or ``sender_of`` can take it."""
    path = _plugin_path() if is_native() else None
    if extension is None or path is None:
        return {}
    extension.expect_client()
    return {"plugin.library.paths": path}


def inbox_of(consumer: confluent_kafka.Consumer) -> Any | None:
    """The extension's side of a consumer that this thread has just made with ``plugin()``."""
    return extension.Inbox(consumer) if extension and is_native() and _plugin_path() else None


def sender_of(producer: confluent_kafka.Producer) -> Any | None:
    """The extension's side of a producer that this thread has just made with ``plugin()``."""
    return extension.Sender(producer) if extension and is_native() and _plugin_path() else None


@cache
def _plugin_path() -> str | None:
    """The extension's own file, once it has found the library that the client uses."""
    libraries = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    for library in libraries.glob("librdkafka*"):
        try:
            return str(extension.load_librdkafka(str(library))) if extension else None
        except RuntimeError as problem:
            _LOG.warning("records go through Python: %s", problem)
    return None
