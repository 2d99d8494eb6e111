"""Figures of a run: percentiles, rates, and samples of what an agreement makes of an event, fit to be shown.

Neighbours: ``account`` has the counts, ``report`` prints all of it. What is shown of a person is masked, also where the
recipient may have it in full: who reads the report is no recipient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demo.rights import Right

__all__ = ["Rate", "masked", "percentile", "rate_of", "sample_lines"]

_PERSONAL = frozenset({"identity_number", "account_number", "address", "person"})
_PSEUDONYM = 64
_LINES = 2
_LONG = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Events a second: over the whole time, and in the busiest second."""

    events: int
    seconds: float
    mean: float
    peak: int


def percentile(values: Sequence[int], share: float) -> int | None:
    """The smallest value that this share of the values does not exceed; None where there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def rate_of(moments_ms: Iterable[int]) -> Rate:
    """The rate of something that happened at these moments."""
    moments = list(moments_ms)
    if not moments:
        return Rate(events=0, seconds=0.0, mean=0.0, peak=0)
    seconds = max(0.001, (max(moments) - min(moments)) / 1000)
    busiest = Counter(moment // 1000 for moment in moments).most_common(1)[0][1]
    return Rate(events=len(moments), seconds=seconds, mean=len(moments) / seconds, peak=busiest)


def masked(path: str, value: Any) -> str:
    """A value fit to be shown: of what says who somebody is, only the ends."""
    text, leaf = str(value), path.rpartition(".")[2]
    personal = leaf in _PERSONAL or (leaf == "name" and "." in path)  # a name at the top is a place's
    if not personal or not isinstance(value, str) or "*" in text:
        return text if len(text) <= _LONG else f"{text[:10]}...{text[-4:]}"
    if len(text) == _PSEUDONYM:
        return f"{text[:8]}..."  # says nothing, and is long
    shown = max(1, len(text) // 5)
    return text[:shown] + "*" * (len(text) - shown - (shown if len(text) > 4 else 0)) + (text[-shown:] if len(text) > 4 else "")


def sample_lines(right: Right, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The most telling fields of an event, before and after, and how many fields of it are left."""
    changed = [field for field in right.fields if "field" in field and "transform" in field]
    telling = changed[:_LINES] or [field for field in right.fields if "field" in field][:1]
    lines = []
    for field in telling:
        path = str(field["field"])
        renamed = ".".join([*path.split(".")[:-1], field.get("as", path.rpartition(".")[2])])
        lines.append(f"{path} {masked(path, _at(before, path))} -> {renamed} {masked(renamed, _at(after, renamed))}")
    lines.append(f"{_leaves(before)} fields -> {_leaves(after)}")
    return lines


def _at(data: Any, path: str) -> Any:
    for segment in path.split("."):
        if isinstance(data, list):
            data = data[0] if data else None
        data = data.get(segment) if isinstance(data, Mapping) else None
    return data


def _leaves(data: Any) -> int:
    if isinstance(data, Mapping):
        return sum(_leaves(value) for value in data.values())
    if isinstance(data, list):
        return _leaves(data[0]) if data else 1
    return 1
