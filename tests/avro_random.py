"""Random Avro schemas and values that fit them, for property tests; the generator knows nothing of Hutong's own code."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOGICAL: dict[str, dict[str, Any]] = {
    "date": {"type": "int", "logicalType": "date"},
    "time": {"type": "int", "logicalType": "time-millis"},
    "fine time": {"type": "long", "logicalType": "time-micros"},
    "millis": {"type": "long", "logicalType": "timestamp-millis"},
    "micros": {"type": "long", "logicalType": "timestamp-micros"},
    "local millis": {"type": "long", "logicalType": "local-timestamp-millis"},
    "local micros": {"type": "long", "logicalType": "local-timestamp-micros"},
    "uuid": {"type": "string", "logicalType": "uuid"},
    "decimal": {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2},
}
"""Types that bytes alone do not tell, but for a decimal of fixed size, which has a name."""


@st.composite
def record_schemas(draw: st.DrawFn, *, depth: int = 3) -> dict[str, Any]:
    """A record schema with up to six fields, nested records, arrays, maps, unions, enums, fixed, logical and recursive types."""
    counter = iter(range(10_000))
    return _record(draw, depth, counter, [])


def _record(draw: st.DrawFn, depth: int, counter: Any, above: list[str]) -> dict[str, Any]:
    name = f"t.R{next(counter)}"
    count = draw(st.integers(1, 6 if not above else 4))
    fields = [
        {"name": f"f{i}", "doc": "d", "type": _type(draw, depth - 1, counter, [*above, name], in_union=False)}
        for i in range(count)
    ]
    return {"type": "record", "name": name, "doc": "d", "fields": fields}


def _type(draw: st.DrawFn, depth: int, counter: Any, above: list[str], *, in_union: bool) -> Any:
    simple = [
        "null",
        "boolean",
        "int",
        "long",
        "float",
        "double",
        "bytes",
        "string",
        "enum",
        "fixed",
        "fixed decimal",
        *LOGICAL,
    ]
    nested = [] if depth <= 0 else ["record", "array", "map", *([] if in_union else ["union", "optional", "recursive"])]
    match draw(st.sampled_from(simple + nested * 2)):
        case "enum":
            return {"type": "enum", "name": f"t.E{next(counter)}", "symbols": ["A", "B", "C"]}
        case "fixed":
            return {"type": "fixed", "name": f"t.F{next(counter)}", "size": draw(st.integers(0, 5))}
        case "fixed decimal":
            return {
                "type": "fixed",
                "name": f"t.F{next(counter)}",
                "size": 5,
                "logicalType": "decimal",
                "precision": 9,
                "scale": 3,
            }
        case name if name in LOGICAL:
            return dict(LOGICAL[name])
        case "record":
            return _record(draw, depth, counter, above)
        case "array":
            return {"type": "array", "items": _type(draw, depth - 1, counter, above, in_union=False)}
        case "map":
            return {"type": "map", "values": _type(draw, depth - 1, counter, above, in_union=False)}
        case "optional":
            inner = _type(draw, depth - 1, counter, above, in_union=True)
            return inner if inner == "null" else ["null", inner]
        case "union":
            return ["null", "string", *[_record(draw, depth - 1, counter, above) for _ in range(draw(st.integers(1, 2)))]]
        case "recursive":
            return ["null", above[-1]]
        case plain:
            return plain


def values(schema: Any, named: dict[str, Any] | None = None, *, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a schema, as fastavro reads them (records of a union of several records as (name, record))."""
    named = {} if named is None else named
    if isinstance(schema, list):
        records = [branch for branch in schema if isinstance(branch, dict) and branch.get("type") == "record"]
        options = [branch for branch in schema if depth < 4 or branch == "null"] or schema
        return st.one_of([_branch(branch, named, depth, tagged=len(records) > 1) for branch in options])
    if isinstance(schema, str) and schema in named:
        return st.deferred(lambda: values(named[schema], named, depth=depth + 1))
    kind = schema if isinstance(schema, str) else schema.get("logicalType") or schema["type"]
    match kind:
        case "record":
            named[schema["name"]] = schema
            return st.fixed_dictionaries({f["name"]: values(f["type"], named, depth=depth + 1) for f in schema["fields"]})
        case "array":
            return st.lists(values(schema["items"], named, depth=depth + 1), max_size=3)
        case "map":
            return st.dictionaries(_TEXT, values(schema["values"], named, depth=depth + 1), max_size=3)
        case "enum":
            return st.sampled_from(schema["symbols"])
        case "fixed":
            return st.binary(min_size=schema["size"], max_size=schema["size"])
        case "decimal":
            largest = 10 ** schema["precision"] - 1
            # As text: arithmetic would round to the 28 digits of Python's decimal context.
            return st.integers(-largest, largest).map(lambda unscaled: Decimal(f"{unscaled}E-{schema.get('scale', 0)}"))
        case _:
            return _PLAIN[kind]


def _branch(branch: Any, named: dict[str, Any], depth: int, *, tagged: bool) -> st.SearchStrategy[Any]:
    made = values(branch, named, depth=depth + 1)
    if tagged and isinstance(branch, dict) and branch.get("type") == "record":
        return made.map(lambda value: (branch["name"], value))
    return made


_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False).filter(math.isfinite),
    "bytes": st.binary(max_size=12),
    "string": _TEXT,
    "date": st.dates(date(1, 1, 1), date(9999, 12, 31)),
    "time-millis": st.integers(0, 86_399_999).map(lambda ms: (_EPOCH + timedelta(milliseconds=ms)).time()),
    "time-micros": st.integers(0, 86_399_999_999).map(lambda us: (_EPOCH + timedelta(microseconds=us)).time()),
    "timestamp-millis": st.integers(-62_135_596_800_000, 253_402_300_799_999).map(lambda ms: _EPOCH + timedelta(milliseconds=ms)),
    "timestamp-micros": st.datetimes(timezones=st.just(UTC)),
    "local-timestamp-millis": st.integers(-(10**12), 10**12).map(lambda ms: datetime(1970, 1, 1) + timedelta(milliseconds=ms)),
    "local-timestamp-micros": st.datetimes(),
    "uuid": st.uuids(),
}


@st.composite
def schemas_with_values(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A record schema and one value of it."""
    schema = draw(record_schemas())
    return schema, draw(values(schema))
