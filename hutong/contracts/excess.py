"""What is valid Avro and still more than any event needs: small files that stand for endless fields, unions without end.

A record that has the next one twice, and so on for thirty records, has a thousand million fields. Everything that reads schemas
here walks them, so the first look must not. Neighbours: ``wellformed`` has the specification's letter, the catalogue asks both.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from hutong.contracts.avro import Parsed, Schema
from hutong.contracts.definitions import usages
from hutong.contracts.finding import Finding

__all__ = ["MOST_FIELDS", "excess"]

MOST_FIELDS = 2_000
"""Paths to fields that an event may have. The largest real record that this was made for has some hundred."""

_MOST_BRANCHES = 100


def excess(raw: Schema, parsed: Parsed) -> Iterator[Finding]:
    """What a well-formed schema has too much of.

    Args:
        raw: as it was written.
        parsed: the same with full names.
    """
    yield from _unions(raw, ())
    if sum(1 for _ in islice(usages(parsed), MOST_FIELDS + 1)) > MOST_FIELDS:
        yield Finding(problem=f"an event of this schema has more than {MOST_FIELDS:,} fields; make several contracts of it")


def _unions(schema: Any, place: tuple[str | int, ...]) -> Iterator[Finding]:
    if isinstance(schema, list):
        if len(schema) > _MOST_BRANCHES:
            problem = f"the union has {len(schema):,} branches, more than {_MOST_BRANCHES}; make one record of them"
            yield Finding(problem=problem, place=place)
        for number, branch in enumerate(schema):
            yield from _unions(branch, (*place, number))
    elif isinstance(schema, dict):
        for key in ("items", "values", "type"):
            yield from _unions(schema.get(key), (*place, key))
        fields = schema.get("fields")
        for number, field in enumerate(fields if isinstance(fields, list) else ()):
            yield from _unions(field, (*place, "fields", number))
