"""Transforms of single values as the extension runs them: tables and bounds are worked out here, once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hutong.agreements.agreement import Copy, Generalise, MapCodes, Mask, Pseudonymise
from hutong.agreements.plan import Plan
from hutong.agreements.transforms import bands, code_table
from hutong.contracts.avro import Schema, kind, logical
from hutong.transcode.leaves import writer
from hutong.transcode.native.beyond import Beyond
from hutong.transcode.native.texts import pseudonym_text

__all__ = ["lower_change"]

_UNITS = {
    "date": "days",
    "timestamp-millis": "milliseconds",
    "local-timestamp-millis": "milliseconds",
    "timestamp-micros": "microseconds",
    "local-timestamp-micros": "microseconds",
}
_MOST = 2**127

_text = writer("string")


def lower_change(grant: Copy | Mask | Pseudonymise | Generalise | MapCodes, schema: Schema, plan: Plan) -> tuple[Any, ...]:
    """A transform of a scalar type.

    Raises:
        Beyond: the type has a form that the extension does not read.
    """
    match grant:
        case Copy():
            return ("copy",)
        case Mask():
            return ("change", ("mask", grant.keep_first, grant.keep_last))
        case Pseudonymise():
            return ("change", ("pseudonym", plan.secret, pseudonym_text(schema)))
        case MapCodes():
            table = code_table(grant, schema, plan.grant.code_lists)
            if kind(schema) == "enum":
                return ("change", ("map_symbol", [_text(table[symbol]) for symbol in schema["symbols"]]))
            return ("change", ("map_text", {key.encode(): _text(value) for key, value in table.items()}))
        case Generalise(to=str(to)):
            unit = _UNITS.get(logical(schema) or "")
            if unit is None:
                raise Beyond
            return ("change", (to, unit))
        case Generalise(keep_first=int(first)):
            return ("change", ("keep", first, grant.pad))
        case _:
            exact, labels = bands(grant.bands or ())
            return ("change", ("band", *_bounds(exact, schema), [_text(label) for label in labels]))


def _bounds(exact: Sequence[Decimal], schema: Schema) -> tuple[str, list[Any]]:
    """The bounds in the form of the field's type: the smallest value of the type that reaches each."""
    match logical(schema), kind(schema):
        case None, ("int" | "long"):
            return "number", [_whole(bound) for bound in exact]
        case None, ("float" | "double" as name):
            return name, [_real(bound) for bound in exact]
        case "decimal", ("bytes" | "fixed" as name):
            return f"decimal_{name}", [_whole(bound.scaleb(int(schema.get("scale", 0)))) for bound in exact]
    raise Beyond


def _whole(bound: Decimal) -> str:
    if abs(bound) >= _MOST:
        raise Beyond
    return str(math.ceil(bound))


def _real(bound: Decimal) -> float:
    nearest = float(bound)
    return nearest if Decimal(nearest) >= bound else math.nextafter(nearest, math.inf)
