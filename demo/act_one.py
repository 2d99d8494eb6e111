"""Act one: the real register of administrative divisions, issue by issue, through the snapshot connector.

Three recipients rebuild their registers from what they were delivered; each must equal the source's last issue, as far as their
agreement goes. Neighbours: ``register`` has the issues, ``connectors.sources.snapshot`` finds the changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from connectors.sources.snapshot import Change, Snapshot, SnapshotSource
from demo.account import Held
from demo.register import Revision, provinces_of, rebuild, rebuild_provinces
from demo.sources import DIVISIONS
from hutong import Publisher

__all__ = ["compare", "publish"]

_KINDS = {"created": "CREATED", "changed": "RENAMED", "withdrawn": "WITHDRAWN"}


def publish(issues: Sequence[Revision], state: Path, tell: Callable[[int], None]) -> int:
    """Publish the register, one issue after the other.

    Args:
        issues: the issues, the oldest first.
        state: the connector's memory.
        tell: called with the events of each issue.

    Returns:
        How many events the brokers confirmed.
    """
    published = 0
    with Publisher(DIVISIONS.rpartition(".")[0]) as publisher:
        source = SnapshotSource(publisher, contract=DIVISIONS, key=["code"], event=_event, state=state)
        for issue in issues:
            rows = ({"code": code, "name": name} for code, name in issue.divisions.items())
            counts = source.take(Snapshot(id=issue.issue, rows=rows))
            published += counts.published
            tell(counts.published)
    return published


def _event(change: Change) -> dict[str, Any]:
    return {
        "code": change.key,
        "name": change.row["name"] if change.row else None,
        "change": _KINDS[change.kind],
        "revision": change.snapshot,
        "previous_name": change.before["name"] if change.before else None,
    }


def compare(issues: Sequence[Revision], held: Iterable[Held]) -> list[tuple[str, bool]]:
    """What each recipient rebuilt, in words, and whether it equals the source."""
    deliveries: dict[str, list[Any]] = {"divisions-all": [], "divisions-province": [], "divisions-generalised": []}
    for delivery in held:
        if delivery.agreement in deliveries:
            deliveries[delivery.agreement].append(json.loads(delivery.data))
    last = issues[-1]
    province = {code: name for code, name in last.divisions.items() if code.startswith("14")}
    whole, part = rebuild(deliveries["divisions-all"]), rebuild(deliveries["divisions-province"])
    counts = rebuild_provinces(deliveries["divisions-generalised"])
    return [
        (f"the whole register, {len(whole):,} divisions: the issue of {last.issue}", whole == last.divisions),
        (f"one province's register, {len(part):,} divisions: that province's part of it", part == province),
        (f"the register by provinces, {counts.total():,} divisions: its generalisation", counts == provinces_of(last.divisions)),
    ]
