"""What of an event becomes a delivery, as instructions for the extension: copy, change, or go inside.

Three things meet here: the event's type, the granted version's type (which may be newer) and the grants' tree; the result gives
the bytes that ``projection`` and fastavro give. Neighbours: ``types`` has the places, ``copies`` does what is granted as it is,
``changes`` does scalars.
"""

from __future__ import annotations

from typing import Any

from hutong.agreements.agreement import Constant, Copy
from hutong.agreements.plan import Plan
from hutong.agreements.tree import Branch, Computed, Leaf, grants_tree
from hutong.contracts.avro import Parsed, Schema, is_null, kind
from hutong.transcode.leaves import long_bytes, writer
from hutong.transcode.native.beyond import Beyond
from hutong.transcode.native.changes import lower_change
from hutong.transcode.native.copies import Copies, Emit, Parts, alike
from hutong.transcode.native.types import Types

__all__ = ["lower_plan"]

_NULL, _VALUE = long_bytes(0), long_bytes(1)  # the branches of a nullable field in a delivery
_SCALAR = ("logicalType", "precision", "scale", "size", "symbols")


def lower_plan(plan: Plan, granted: Parsed, types: Types) -> Emit:
    """The instructions that make a plan's deliveries from events of one writer schema, which always resolve.

    Raises:
        Beyond: the plan needs more than the extension does.
    """
    tree = grants_tree(plan.grant.agreement.fields)
    return _Lowering(plan, granted, types).part(types.parsed.root, granted.root, tree, "")


class _Lowering(Copies):
    def __init__(self, plan: Plan, granted: Parsed, types: Types) -> None:
        super().__init__(granted, types)
        self.plan = plan

    def part(self, theirs: Schema, ours: Schema, node: Branch, path: str | None) -> Emit:
        """Parts of a value; ``path`` leads to it where its fields may have places."""
        theirs, ours = self.event.resolve(theirs), self.granted.resolve(ours)
        match kind(ours), kind(theirs):
            case "record", "record":
                return self.record(theirs, ours, node, path)
            case "array", "array":
                inner = self.part(theirs["items"], ours["items"], node, None)
                return ("array", self.types.number(theirs["items"]), inner)
            case "map", "map":
                inner = self.part(theirs["values"], ours["values"], node, None)
                return ("map", self.types.number(theirs["values"]), inner)
            case "union", _:
                return self.union(theirs, ours, node, path)
        raise Beyond

    def record(self, theirs: dict[str, Any], ours: dict[str, Any], node: Branch, path: str | None) -> Emit:
        known = {field["name"]: field["type"] for field in theirs["fields"]}
        wanted = {field["name"]: field for field in ours["fields"]}
        parts = Parts(self.types, known, path)
        for item in node.items:
            if isinstance(item, Computed):
                parts.constant(self.computed(item))
                continue
            field = wanted[item.segment]
            if item.segment not in known:
                parts.constant(self.granted_default(field, item))
                continue
            parts.field(item.segment, self.field(item, known[item.segment], field["type"], parts.below(item.segment)))
        return parts.instruction()

    def field(self, item: Branch | Leaf, theirs: Schema, ours: Schema, path: str | None) -> Emit:
        if isinstance(item, Branch):
            return self.part(theirs, ours, item, path)
        return self.copy(theirs, ours, plain=True) if isinstance(item.grant, Copy) else self.lift(theirs, ours, item)

    def granted_default(self, field: dict[str, Any], item: Branch | Leaf) -> bytes:
        if not (isinstance(item, Leaf) and isinstance(item.grant, Copy)):
            raise Beyond
        return self.default(field, plain=True)

    def computed(self, item: Computed) -> bytes:
        if not isinstance(item.grant, Constant):
            raise Beyond
        value = item.grant.value
        return writer({bool: "boolean", int: "long", float: "double", str: "string"}[type(value)])(value)

    def lift(self, theirs: Schema, ours: Schema, leaf: Leaf) -> Emit:
        """A transform of single values carried over nulls, lists and maps."""
        theirs, ours = self.event.resolve(theirs), self.granted.resolve(ours)
        match kind(ours), kind(theirs):
            case "array", "array":
                return ("array", self.types.number(theirs["items"]), self.lift(theirs["items"], ours["items"], leaf))
            case "map", "map":
                return ("map", self.types.number(theirs["values"]), self.lift(theirs["values"], ours["values"], leaf))
            case "union", "union":
                inner = _only(ours)
                return ("union", [(_NULL, None) if is_null(b) else (_VALUE, self.lift(b, inner, leaf)) for b in theirs])
            case "union", _:
                return ("wrap", _VALUE, self.lift(theirs, _only(ours), leaf))
            case one, other if one == other and _facts(ours) == _facts(theirs):
                return lower_change(leaf.grant, theirs, self.plan)
        raise Beyond

    def union(self, theirs: Schema, ours: list[Schema], node: Branch, path: str | None) -> Emit:
        inside = [b for b in map(self.granted.resolve, ours) if kind(b) in {"record", "array", "map"}]
        if len(inside) != 1:
            return self.records(theirs, inside, node)
        if not isinstance(theirs, list):
            return ("wrap", _VALUE, self.part(theirs, inside[0], node, path))
        return ("union", [self.branch(branch, inside[0], node, path) for branch in theirs])

    def branch(self, theirs: Schema, ours: Schema, node: Branch, path: str | None) -> tuple[bytes, Emit | None]:
        if not alike(self.event.resolve(theirs), ours):
            return (_NULL, None)
        return (_VALUE, self.part(theirs, ours, node, path))

    def records(self, theirs: Schema, ours: list[dict[str, Any]], node: Branch) -> Emit:
        """A union of several records: each that is granted has a branch of its own, in the order of the grants."""
        if not isinstance(theirs, list):
            raise Beyond
        names = {record["name"].rpartition(".")[2]: record for record in ours}
        made: dict[str, tuple[bytes, Any]] = {}
        for number, item in enumerate(node.items, 1):
            if isinstance(item, Computed):
                raise Beyond
            made[names[item.segment]["name"]] = (long_bytes(number), item)
        branches: list[tuple[bytes, Emit | None]] = []
        for branch in map(self.event.resolve, theirs):
            front, item = made.get(branch["name"] if kind(branch) == "record" else "", (_NULL, None))
            record = None if item is None else names[item.segment]
            branches.append((front, None if item is None else self.field(item, branch, record, None)))
        return ("union", branches)


def _only(union: list[Schema]) -> Schema:
    rest = [branch for branch in union if not is_null(branch)]
    if len(rest) != 1:
        raise Beyond
    return rest[0]


def _facts(schema: Schema) -> list[Any]:
    return [schema.get(part) if isinstance(schema, dict) else None for part in _SCALAR]
