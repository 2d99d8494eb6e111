"""docs/metrics.md tells every metric that the code has, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from tests.metrics_page import LABELS, all_families

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"\| `(hutong_\w+)` \| (\w+) \| ([a-z, ]*?) ?\| (.+) \|")


def told() -> dict[str, tuple[str, tuple[str, ...]]]:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    found = [ROW.fullmatch(row) for row in rows]
    assert None not in found, rows[found.index(None)]
    names = [match[1] for match in found if match]
    assert len(set(names)) == len(names)
    return {match[1]: (match[2], tuple(filter(None, match[3].split(", ")))) for match in found if match}


def test_the_page_and_the_code_have_the_same_metrics() -> None:
    """In both directions, with type and labels."""
    page, code = told(), all_families()
    assert {name: page.get(name) for name in code} == code
    assert page.keys() - code.keys() == set()


def test_labels_come_from_a_fixed_list() -> None:
    """So that none holds an id, a key or a value of an event."""
    for name, (_, labels) in all_families().items():
        assert set(labels) <= LABELS, name


def test_names_are_as_prometheus_asks() -> None:
    """Lower case, base units, a counter's name without what its type says already."""
    for name, (kind, _) in all_families().items():
        assert re.fullmatch(r"hutong_[a-z]+(_[a-z]+)+", name)
        assert name.endswith("_total") == (kind == "counter")
        assert not re.search(r"_(ms|minutes|milliseconds|kb|mb|percent|count|sum|bucket)(_|$)", name)
