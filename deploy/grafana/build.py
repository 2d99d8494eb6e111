"""Writes the dashboards: ``python -m deploy.grafana.build``. Neighbours: a module for each; Grafana reads ``dashboards/``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.grafana import department, flow, recipient, router

__all__ = ["DASHBOARDS", "FOLDER", "text"]

FOLDER = Path(__file__).parent / "dashboards"
DASHBOARDS: Mapping[str, dict[str, Any]] = {
    "flow": flow.DASHBOARD,
    "department": department.DASHBOARD,
    "recipient": recipient.DASHBOARD,
    "router": router.DASHBOARD,
}


def text(name: str) -> str:
    """A dashboard as its file holds it."""
    return json.dumps(DASHBOARDS[name], ensure_ascii=False, indent=1) + "\n"


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
