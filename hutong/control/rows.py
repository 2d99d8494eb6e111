"""Do two sets of row conditions let the same events pass, or one of them more? Pure.

Conditions all must hold, so more of them let fewer events pass. A CEL expression is only known to be like itself: two that differ
are "changed", even where one implies the other. Neighbour: ``effects``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from hutong.agreements.agreement import CelRow, FieldRow

__all__ = ["compare_rows", "row_text"]

Row = FieldRow | CelRow


def compare_rows(old: Sequence[Row], new: Sequence[Row]) -> Literal["wider", "narrower", "changed"] | None:
    """What becomes of the rows; None where the same pass."""
    narrows = all(any(_implies(n, o) for n in new) for o in old)
    widens = all(any(_implies(o, n) for o in old) for n in new)
    if narrows and widens:
        return None
    return "narrower" if narrows else "wider" if widens else "changed"


def _implies(one: Row, other: Row) -> bool:
    """Whether every event that passes ``one`` passes ``other``."""
    if isinstance(one, CelRow) or isinstance(other, CelRow):
        return one == other
    if one.field != other.field:
        return False
    if one.equals is not None:
        return _passes(one.equals, other)
    if one.one_of is not None:
        return all(_passes(value, other) for value in one.one_of)
    if one.prefix is not None:
        return other.prefix is not None and one.prefix.startswith(other.prefix)
    if other.at_least is None and other.at_most is None:
        return False
    low = other.at_least is None or (one.at_least is not None and _ordered(other.at_least, one.at_least))
    high = other.at_most is None or (one.at_most is not None and _ordered(one.at_most, other.at_most))
    return low and high


def _passes(value: Any, row: FieldRow) -> bool:
    if row.equals is not None:
        return _same(value, row.equals)
    if row.one_of is not None:
        return any(_same(value, one) for one in row.one_of)
    if row.prefix is not None:
        return isinstance(value, str) and value.startswith(row.prefix)
    return (row.at_least is None or _ordered(row.at_least, value)) and (row.at_most is None or _ordered(value, row.at_most))


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _ordered(low: Any, high: Any) -> bool:
    try:
        return bool(low <= high)
    except TypeError:
        return False


def row_text(row: Row) -> str:
    """A condition in words."""
    if isinstance(row, CelRow):
        return row.cel
    if row.equals is not None:
        return f"{row.field} is {row.equals}"
    if row.one_of is not None:
        return f"{row.field} is one of {', '.join(map(str, row.one_of))}"
    if row.prefix is not None:
        return f"{row.field} begins with {row.prefix}"
    bounds = [f"from {row.at_least}"] * (row.at_least is not None) + [f"up to {row.at_most}"] * (row.at_most is not None)
    return f"{row.field} {' '.join(bounds)}"
