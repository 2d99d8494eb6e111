"""A value of the event's version as one of the granted version: Avro's resolution, as far as it can be told before any event.

Neighbours: ``emit`` adds what the grants change; ``hutong.contracts.shape`` knows where nothing has to be done.
"""

from __future__ import annotations

import io
from typing import Any

import fastavro

from hutong.contracts.avro import Parsed, Schema, kind, logical
from hutong.contracts.default_values import default_value
from hutong.contracts.shape import holds, same_bytes
from hutong.transcode.leaves import long_bytes
from hutong.transcode.native.beyond import Beyond
from hutong.transcode.native.types import Types

__all__ = ["COPY", "Copies", "Emit", "Parts", "alike", "always_resolves"]

Emit = tuple[Any, ...]

COPY: Emit = ("copy",)


def always_resolves(types: Types, granted: Parsed) -> bool:
    """Whether the reference can read every event as the granted version, and gives missing fields the defaults given here.

    Where one field cannot be read (a symbol that the granted version lacks, say), Avro resolution fails the event as a whole,
    also for agreements that do not grant the field.
    """
    if holds(types.parsed, granted):
        return True
    try:
        Copies(granted, types).copy(types.parsed.root, granted.root, plain=True)
    except Beyond:
        return False
    return True


class Copies:
    """Instructions that copy values.

    Args:
        granted: the granted version.
        types: the event's.
    """

    def __init__(self, granted: Parsed, types: Types) -> None:
        self.granted, self.types, self.event = granted, types, types.parsed
        self.entered: list[str] = []

    def copy(self, theirs: Schema, ours: Schema, *, plain: bool = False) -> Emit:
        """A value of the event's type as one of the granted type.

        Args:
            theirs: the event's type.
            ours: the granted type.
            plain: whether nothing but records leads here, from the root on.
        """
        if same_bytes(self.event, theirs, self.granted, ours):
            return COPY
        theirs, ours = self.event.resolve(theirs), self.granted.resolve(ours)
        match kind(ours), kind(theirs):
            case "record", "record" if theirs["name"] == ours["name"] not in self.entered:
                return self.whole_record(theirs, ours, plain=plain)
            case "array", "array":
                return ("array", self.types.number(theirs["items"]), self.copy(theirs["items"], ours["items"]))
            case "map", "map":
                return ("map", self.types.number(theirs["values"]), self.copy(theirs["values"], ours["values"]))
            case "union", "union":
                branches = [self.fitting(branch, ours) for branch in theirs]
                return ("union", [(long_bytes(at), self.copy(b, ours[at])) for b, at in zip(theirs, branches, strict=True)])
            case "union", _:
                at = self.fitting(theirs, ours)
                return ("wrap", long_bytes(at), self.copy(theirs, ours[at]))
        raise Beyond

    def fitting(self, branch: Schema, union: list[Schema]) -> int:
        """The only branch of the granted union that this one can become."""
        branch = self.event.resolve(branch)
        found = [at for at, other in enumerate(union) if alike(branch, self.granted.resolve(other))]
        if len(found) != 1:
            raise Beyond
        return found[0]

    def whole_record(self, theirs: dict[str, Any], ours: dict[str, Any], *, plain: bool) -> Emit:
        known = {field["name"]: field["type"] for field in theirs["fields"]}
        parts = Parts(self.types, known, None)
        self.entered.append(ours["name"])
        for field in ours["fields"]:
            if "aliases" in field:
                raise Beyond
            if field["name"] in known:
                parts.field(field["name"], self.copy(known[field["name"]], field["type"], plain=plain))
            else:
                parts.constant(self.default(field, plain=plain))
        self.entered.pop()
        return parts.instruction()

    def default(self, field: dict[str, Any], *, plain: bool) -> bytes:
        """What the granted version says of a field that the event's version does not have."""
        if "default" not in field:
            raise Beyond
        written = self.write(field["type"], default_value(field["default"], field["type"], self.granted))
        # The reference has values where records alone lead to the field; elsewhere fastavro takes the default as JSON has it.
        if not plain and self.write(field["type"], field["default"]) != written:
            raise Beyond
        return written

    def write(self, type_: Schema, value: Any) -> bytes:
        out = io.BytesIO()
        try:
            schema: Any = fastavro.parse_schema(self.granted.resolve(type_), named_schemas=dict(self.granted.named), _force=True)
            fastavro.schemaless_writer(out, schema, value)
        except Exception:  # noqa: BLE001 - fastavro raises many kinds for a default that is no value, or a type that it knows by name
            raise Beyond from None
        return out.getvalue()


class Parts:
    """The parts of a record in the delivery's order; neighbours in the event that stay neighbours are one slice."""

    def __init__(self, types: Types, fields: dict[str, Schema], path: str | None) -> None:
        self.fields, self.order = fields, list(fields)
        self.path = path if path is not None and types.is_placed(path) else None
        self.types = types
        self.items: list[tuple[Any, ...]] = []
        self.last: str | None = None

    def below(self, segment: str) -> str | None:
        return None if self.path is None else f"{self.path}.{segment}".lstrip(".")

    def position(self, segment: str) -> int:
        below = self.below(segment)
        return self.order.index(segment) if below is None else self.types.places[below]

    def constant(self, value: bytes) -> None:
        self.items.append(("constant", value))
        self.last = None

    def field(self, segment: str, emit: Emit) -> None:
        position = self.position(segment)
        if emit != COPY:
            self.items.append(("field", position, emit))
            self.last = None
            return
        follows = self.last is not None and self.order.index(segment) == self.order.index(self.last) + 1
        first = self.items.pop()[1] if follows else position
        self.items.append(("slice", first, position))
        self.last = segment

    def instruction(self) -> Emit:
        if self.path is not None:
            return ("placed", self.items)
        return ("record", [self.types.number(type_) for type_ in self.fields.values()], self.items)


def alike(theirs: Schema, ours: Schema) -> bool:
    """Whether a value of one type is plainly one of the other."""
    if kind(theirs) != kind(ours) or logical(theirs) != logical(ours):
        return False
    named = kind(ours) in {"record", "enum", "fixed"}
    return not named or bool(theirs["name"] == ours["name"])
