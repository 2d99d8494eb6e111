"""Logs of services: one JSON object a line on stderr, facts beside the message, never an event's data.

Also what nobody has caught ends there, without its text: Python's own report would show it. Neighbours: services call
``configure`` first thing in ``__main__``; everybody logs with ``extra={"facts": {...}}``, and where an event is meant, with
``event_facts``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from hutong.event import Headers, harmless_id, header, is_traceparent

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = ["configure", "event_facts"]

_LOG = logging.getLogger("hutong")

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
    """Send this process's logs to stderr as JSON lines, uncaught errors too, from the level that ``HUTONG_LOG_LEVEL`` names."""
    asked = ((os.environ if environment is None else environment).get(_VARIABLE) or "INFO").upper()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines(service))
    logging.basicConfig(level=asked if asked in _LEVELS else "INFO", handlers=[handler], force=True)
    if asked not in _LEVELS:
        _LOG.warning("%s is one of %s; INFO is used", _VARIABLE, ", ".join(_LEVELS))
    sys.excepthook, threading.excepthook, sys.unraisablehook = _ended, _thread_ended, _passed_over


def _ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _LOG.critical("ended by an unforeseen error", exc_info=(kind, error, trace))


def _thread_ended(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None and arguments.exc_type is not SystemExit:
        name = arguments.thread.name if arguments.thread else ""
        told = (arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
        _LOG.error("a thread ended by an unforeseen error", exc_info=told, extra={"facts": {"thread": name}})


def _passed_over(arguments: UnraisableHookArgs) -> None:
    if arguments.exc_value is not None:
        told = (arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
        _LOG.error("an unforeseen error where none can be raised", exc_info=told)


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
