"""Slips of the pen: how an entry looks when the clerk typed something wrong that the contract does not allow.

Neighbours: ``life`` decides which entries are spoilt, the departments' software must refuse each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from demo.changes import Change, Party

__all__ = ["DEFECTS", "spoil"]

_NOWHERE = "999999"


def spoil(change: Change, defect: str) -> Change:
    """The same entry with a slip of this kind, in what it says of its first person or place."""
    changed: dict[str, Any] = {"defect": defect}
    names = [field.name for field in fields(change)]
    if defect == "unknown_region":
        changed |= {name: _NOWHERE for name in names if name in {"region", "to_region"}}
    for name in names:
        value = getattr(change, name)
        if isinstance(value, Party):
            changed[name] = _PARTY[defect](value)
            break
        if isinstance(value, tuple) and value and isinstance(value[0], Party):
            changed[name] = (_PARTY[defect](value[0]), *value[1:])
            break
    return replace(change, **changed)


def _wrong_number(party: Party) -> Party:
    number = party.identity_number
    last = "0" if number[-1] != "0" else "1"
    return replace(party, identity_number=number[:-1] + last, unverified=False)


_PARTY: dict[str, Callable[[Party], Party]] = {
    "invalid_identity_number": _wrong_number,
    "unknown_code": lambda party: replace(party, sex="MAN"),
    "missing_name": lambda party: replace(party, name=""),
    "unknown_region": lambda party: replace(party, region=_NOWHERE),
}

DEFECTS = tuple(_PARTY)
"""The kinds of slips."""
