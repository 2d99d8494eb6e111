"""The rules for the Prometheus operator: ``python -m deploy.prometheus.operator | kubectl apply -f -``.

The files of ``rules/`` are the source; a ``PrometheusRule`` holds the same groups.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

__all__ = ["document"]

RULES = Path(__file__).parent / "rules"


def document() -> dict[str, Any]:
    """One ``PrometheusRule`` with all groups."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(RULES.glob("*.yml"))]
    metadata = {"name": "hutong", "namespace": "hutong", "labels": {"app.kubernetes.io/part-of": "hutong"}}
    spec = {"groups": [group for file in files for group in file["groups"]]}
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": metadata, "spec": spec}


if __name__ == "__main__":
    yaml.safe_dump(document(), sys.stdout, sort_keys=False, allow_unicode=True, width=130)
