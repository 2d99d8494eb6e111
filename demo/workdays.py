"""Declarations for a demo: a copy in which a working day of a flow is a fraction of a second, and all else is as declared.

Neighbours: ``stage`` applies the copy; nothing but the copy knows of it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

__all__ = ["DAY_MS", "hurried"]

DAY_MS: Mapping[str, int] = {"low-income-verification": 500, "death": 750}
"""Flow -> how long its working days are, in milliseconds: its cases end 15 s after they began at the latest."""

_WORKING_DAYS = re.compile(r"\{working_days: (\d+)\}")


def hurried(schemas: Path, copy: Path) -> Path:
    """Write the copy.

    Args:
        schemas: the declarations.
        copy: where to; what is there is replaced.
    """
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(schemas, copy)
    for flow, day_ms in DAY_MS.items():
        path = copy / "flows" / f"{flow}.yaml"
        path.write_text(_in_seconds(path.read_text("utf-8"), day_ms), "utf-8")
    return copy


def _in_seconds(text: str, day_ms: int) -> str:
    """Whole seconds, halves rounded up, so that what came after something else still does."""
    return _WORKING_DAYS.sub(lambda found: f"{{seconds: {max(1, (int(found[1]) * day_ms + 500) // 1000)}}}", text)
