"""Logs of services: one JSON object a line on stderr, facts beside the message, never an event's data.

Neighbours: services call ``configure`` first thing in ``__main__``; everybody logs with ``extra={"facts": {...}}``, and where an
event is meant, with ``event_facts``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hutong.event import Headers, harmless_id, header, is_traceparent

__all__ = ["configure", "event_facts"]

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_VARIABLE = "HUTONG_LOG_LEVEL"


class _JsonLines(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "service": self._service,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[0]:
            # The kind and place of an unforeseen error, not its text: that may quote the value that caused it.
            line["exception"] = record.exc_info[0].__name__
            trace = record.exc_info[2]
            while trace is not None:
                line["at"] = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
                trace = trace.tb_next
        return json.dumps(line, ensure_ascii=False)


def configure(service: str, environment: Mapping[str, str] | None = None) -> None:
    """Send this process's logs to stderr as JSON lines, from the level on that ``HUTONG_LOG_LEVEL`` names."""
    asked = ((os.environ if environment is None else environment).get(_VARIABLE) or "INFO").upper()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines(service))
    logging.basicConfig(level=asked if asked in _LEVELS else "INFO", handlers=[handler], force=True)
    if asked not in _LEVELS:
        logging.getLogger("hutong").warning("%s is one of %s; INFO is used", _VARIABLE, ", ".join(_LEVELS))


def event_facts(headers: Headers, place: tuple[str, int, int]) -> dict[str, str]:
    """Which event a line is about.

    Args:
        headers: of its record; whatever stands there.
        place: topic, partition and offset.

    Returns:
        Where it lies; its id, where that can tell nothing about anybody; its trace.
    """
    facts = {"place": "{}/{}/{}".format(*place)}
    event_id = harmless_id((header(headers, "ce_id") or b"").decode("ascii", "replace"))
    trace = (header(headers, "traceparent") or b"").decode("ascii", "replace")
    if event_id:
        facts["event_id"] = event_id
    if is_traceparent(trace):
        facts["traceparent"] = trace
    return facts
