"""Declarations for a demo: a copy in which a working day of a flow is a fraction of a second, and all else is as declared.

The flows come into the copy last, when their act begins: what was published before they are applied opens no case. Neighbours:
``stage`` applies the copy; nothing but the copy knows of it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

__all__ = ["DAY_MS", "add_flows", "without_flows"]

DAY_MS: Mapping[str, int] = {"low-income-verification": 500, "death": 750}
"""Flow -> how long its working days are, in milliseconds: its cases end 15 s after they began at the latest."""

_FLOWS = "flows"
_WORKING_DAYS = re.compile(r"\{working_days: (\d+)\}")


def without_flows(schemas: Path, copy: Path) -> Path:
    """Write the copy, all but the flows.

    Args:
        schemas: the declarations.
        copy: where to; what is there is replaced.
    """
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(schemas, copy, ignore=lambda folder, _: [_FLOWS] if Path(folder) == schemas else [])
    return copy


def add_flows(schemas: Path, copy: Path) -> None:
    """Write the flows into the copy."""
    shutil.copytree(schemas / _FLOWS, copy / _FLOWS)
    for flow, day_ms in DAY_MS.items():
        path = copy / _FLOWS / f"{flow}.yaml"
        path.write_text(_in_seconds(path.read_text("utf-8"), day_ms), "utf-8")


def _in_seconds(text: str, day_ms: int) -> str:
    """Whole seconds, halves rounded up, so that what came after something else still does."""
    return _WORKING_DAYS.sub(lambda found: f"{{seconds: {max(1, (int(found[1]) * day_ms + 500) // 1000)}}}", text)
