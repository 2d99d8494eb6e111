"""What a snapshot source remembers: the snapshots it has taken and the rows of the last one, in one file, never half-written.

Neighbours: ``snapshot`` reads it at start and replaces it after each snapshot.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from hutong.errors import ConfigurationError

__all__ = ["State", "read_state", "text_of", "write_state"]

_FORMAT = 1
_TAGS: dict[type, str] = {
    datetime: "$datetime",
    date: "$date",
    time: "$time",
    Decimal: "$decimal",
    UUID: "$uuid",
    bytes: "$bytes",
}
_READERS: dict[str, Any] = {
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$decimal": Decimal,
    "$uuid": UUID,
    "$bytes": bytes.fromhex,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What was taken.

    Attributes:
        taken: ids of the snapshots, oldest first.
        columns: column names of the last one.
        rows: its rows by key.
    """

    taken: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_state(path: Path) -> State:
    """The state, empty where there is no file yet.

    Raises:
        ConfigurationError: there is a file, and it is not a state.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"), object_hook=_untagged)
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, ArithmeticError, AttributeError, TypeError, RecursionError) as error:
        raise ConfigurationError(
            f"cannot read the snapshot state {path} ({type(error).__name__}); restore it from a copy"
        ) from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT or not _is_whole(document):
        raise ConfigurationError(f"{path} is not a snapshot state of this version; name another file")
    return State(taken=document["taken"], columns=document["columns"], rows=document["rows"])


def _is_whole(document: Mapping[str, Any]) -> bool:
    lists, rows = (document.get("taken"), document.get("columns")), document.get("rows")
    texts = all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists)
    return texts and isinstance(rows, dict) and all(isinstance(row, dict) for row in rows.values())


def write_state(path: Path, state: State) -> None:
    """Replace the state in one step: a crash leaves the old one or the new one."""
    document = {"format": _FORMAT, "taken": state.taken, "columns": state.columns, "rows": state.rows}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600: rows are personal data
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text_of(document))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def text_of(value: Any) -> str:
    """A row or a state as JSON, the same text for the same values."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_tagged)


def _tagged(value: Any) -> dict[str, str]:
    tag = next((tag for kind, tag in _TAGS.items() if isinstance(value, kind)), None)
    if tag is None:
        raise ConfigurationError(f"a snapshot's row holds a {type(value).__name__}, which cannot be remembered; convert it first")
    text = value.hex() if isinstance(value, bytes) else value.isoformat() if hasattr(value, "isoformat") else str(value)
    return {tag: text}


def _untagged(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        ((key, text),) = value.items()
        if key in _READERS:
            return _READERS[key](text)
    return value
