"""Row conditions over the bytes of one field: equality by bytes, prefixes, ranges.

Equal values have equal bytes only where a type has one form for each value; the others (floats, decimals, UUIDs) are beyond.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import fastavro

from hutong.agreements.agreement import FieldRow, Row
from hutong.agreements.rows import bounds, equal_values, row_type
from hutong.contracts.avro import Parsed, Schema, kind, logical
from hutong.transcode.checks import varint
from hutong.transcode.native.beyond import Beyond
from hutong.transcode.native.texts import looked_at
from hutong.transcode.native.types import Types

__all__ = ["lower_row"]

_NUMBERS = {(None, "int"), (None, "long"), ("date", "int"), ("timestamp-millis", "long"), ("timestamp-micros", "long")}
_MOST = 2**127
_DIGITS = 100  # more, before or behind the point, than any bound needs; a million of them would fill the memory
_EXACT = _NUMBERS | {(None, "string"), (None, "boolean"), (None, "enum")}


def lower_row(row: Row, types: Types, granted: Parsed) -> tuple[Any, ...]:
    """A condition as (field, what, values).

    Raises:
        Beyond: the condition is in CEL, or over a type of several forms.
    """
    if not isinstance(row, FieldRow):
        raise Beyond
    looked, schema = looked_at(types, row.field)
    wanted = row_type(granted, row.field)
    if _meaning(schema) != _meaning(wanted):
        raise Beyond
    sort = (logical(schema), kind(schema))
    if row.prefix is not None:
        return (looked, "prefix", row.prefix.encode())
    if row.equals is not None or row.one_of is not None:
        if sort not in _EXACT or (kind(schema) == "enum" and schema["symbols"] != wanted["symbols"]):
            raise Beyond
        return (looked, "one_of", sorted(_exact(value, schema) for value in equal_values(row, wanted)))
    return (looked, *_range(row, wanted, sort))


def _range(row: FieldRow, schema: Schema, sort: tuple[str | None, str]) -> tuple[Any, ...]:
    low, high = bounds(row, schema)
    if sort in _NUMBERS:
        return ("numbers", *(None if end is None else varint(_exact(end, schema), 0)[0] for end in (low, high)))
    if sort == (None, "string"):
        return ("texts", *(None if end is None else end.encode() for end in (low, high)))
    if sort in {(None, "float"), (None, "double")} and not any(end is not None and math.isnan(end) for end in (low, high)):
        return (f"{sort[1]}s", low, high)
    if logical(schema) == "decimal":
        scale = int(schema.get("scale", 0))
        ends = (_unscaled(low, scale, math.ceil), _unscaled(high, scale, math.floor))
        return ("decimals", *ends, kind(schema) == "fixed")
    raise Beyond


def _meaning(schema: Schema) -> tuple[Any, ...]:
    return kind(schema), logical(schema), schema.get("scale", 0) if isinstance(schema, dict) else 0


def _unscaled(end: Decimal | None, scale: int, nearest: Callable[[Fraction], int]) -> str | None:
    """The outermost number of the field's scale that is inside."""
    if end is None:
        return None
    if not end.is_finite() or max(abs(end.adjusted()), abs(int(end.as_tuple().exponent))) > _DIGITS:
        raise Beyond
    number = nearest(Fraction(end) * 10**scale)  # a Decimal's own arithmetic would round to 28 digits
    if abs(number) >= _MOST:
        raise Beyond
    return str(number)


def _exact(value: Any, schema: Schema) -> bytes:
    """The value's bytes, where they hold all of it."""
    out = io.BytesIO()
    parsed: Any = fastavro.parse_schema(schema)
    try:
        fastavro.schemaless_writer(out, parsed, value)
    except Exception:  # noqa: BLE001 - a literal outside the type's range matches nothing; the reference knows how
        raise Beyond from None
    out.seek(0)
    if fastavro.schemaless_reader(out, parsed, None) != value:
        raise Beyond
    return out.getvalue()
