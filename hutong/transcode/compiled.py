"""Event bytes to recipients' bytes without a Python object for a field that is only copied.

The guard tells where each field stands; a delivery is put together from slices of the event's bytes and of what the transforms
made. Each agreement is compiled to one Python expression. What needs more than slices (parts of lists, maps or unions of several
records, derived fields, CEL rows, an older event in a newer shape) is left to the reference transcoder, whose bytes this one's
equal. Neighbours: ``reference`` is the oracle and the fallback; ``choice`` picks this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from hutong.agreements.agreement import CelRow, Constant, Copy, Derive, FieldRow
from hutong.agreements.plan import Plan
from hutong.agreements.projection import in_words
from hutong.agreements.rows import RowIndex, indexed_position
from hutong.agreements.transforms import compile_transform
from hutong.agreements.tree import Branch, Computed, Leaf, grants_tree
from hutong.contracts.avro import Parsed, Schema, is_null, kind
from hutong.contracts.framing import FRAME_BYTES
from hutong.contracts.schema import EventSchema, key_text
from hutong.contracts.shape import holds, same_bytes
from hutong.errors import MalformedEvent, TransformFailed
from hutong.transcode.guard import compile_guard
from hutong.transcode.leaves import Read, null_byte, reader, writer
from hutong.transcode.reference import Entry, ReferenceTranscoder, Transcoded, VersionPlans, run_plans

__all__ = ["CompiledTranscoder", "Transcoder"]

Body = Callable[[bytes, tuple[int, ...]], bytes]
"""(event's bytes, places) -> the delivery's Avro value."""


class _Beyond(Exception):
    """The plan needs more than slices."""


class Transcoder(Protocol):
    """What routing needs of either transcoder."""

    def transcode(self, key: bytes, value: bytes, moments: tuple[int, int]) -> Transcoded:
        """All deliveries of one event."""


class _Made(NamedTuple):
    """A compiled plan: what the index returns, the condition it stands under, and the fields that its rows and key look at."""

    entry: Entry
    row: FieldRow | None
    looked_at: tuple[str, ...]


class CompiledTranscoder:
    """Runs plans over the values of one writer schema.

    Attributes:
        plans: how many plans are compiled; the others go through the reference.
    """

    def __init__(self, event: EventSchema, versions: Sequence[VersionPlans], before: CompiledTranscoder | None = None) -> None:
        known = before if before is not None and before._event is event else None
        self._event: EventSchema = event
        # Marks only grow: a number stays its field's, so a plan that was compiled with fewer of them is still right.
        self._marks: _Marks = known._marks if known else _Marks(event.parsed)
        self._key = [(self._marks.place(path), reader(event.parsed, self._marks.type_of(path))) for path in event.key]
        self._index: RowIndex[Entry] = RowIndex()
        self._rows: dict[str, tuple[int, Read]] = {}
        self._made: dict[Plan, _Made | None] = {}
        self.plans = 0
        left: list[VersionPlans] = []
        for version in versions:
            rest = VersionPlans(reader=version.reader)
            suits = holds(event.parsed, version.reader.parsed)
            for plan in version.plans:
                if known and plan in known._made:
                    made = known._made[plan]
                else:
                    made = self._compile(plan, version.reader) if suits else None
                self._made[plan] = made
                if made is None:
                    rest.add(plan)
                else:
                    self._add(made, version.reader)
            if rest.plans:
                left.append(rest)
        self._key_names = ", ".join(event.key)
        self._guard = compile_guard(event.parsed, self._marks.paths)
        self._rest = ReferenceTranscoder(event, left) if left else None

    def transcode(self, key: bytes, value: bytes, moments: tuple[int, int]) -> Transcoded:
        """All deliveries of one event; as ``ReferenceTranscoder.transcode``."""
        places = self._guard(value, FRAME_BYTES)
        parts = [None if places[at] < 0 else read(value, places[at], places[at + 1]) for at, read in self._key]
        if None in parts or key_text(parts).encode() != key:
            raise MalformedEvent("wrong_key", f"the Kafka key is not the value of {self._key_names}")
        data = self._looked_at(value, places)
        result = Transcoded([], []) if self._rest is None else self._rest.transcode_guarded(key, value, moments)
        run_plans(self._index.candidates(data), (value, places), key, data, moments, result)
        return result

    def _looked_at(self, value: bytes, places: tuple[int, ...]) -> dict[str, Any]:
        """The event's data as far as row conditions and keys look at it."""
        data: dict[str, Any] = {}
        for path, (at, read) in self._rows.items():
            start = places[at]
            found = None if start < 0 else read(value, start, places[at + 1])
            *above, last = path.split(".") if "." in path else (path,)
            inner = data
            for segment in above:
                inner = inner.setdefault(segment, {})
            inner[last] = found
        return data

    def _compile(self, plan: Plan, granted: EventSchema) -> _Made | None:
        """None where the plan needs more than slices."""
        rows, event = plan.grant.agreement.rows, self._event
        if any(isinstance(row, CelRow) for row in rows):
            return None
        try:
            make = _Compiler(plan, granted.parsed, event.parsed, self._marks).compile()
            looked_at = [row.field for row in rows if isinstance(row, FieldRow)] + [*(event.key if len(event.key) > 1 else ())]
            for path in looked_at:
                self._marks.place(path)
        except _Beyond:
            return None
        position = indexed_position(rows)
        row = rows[position] if position is not None else None
        entry = (plan, plan.residual(position), make)
        return _Made(entry, row if isinstance(row, FieldRow) else None, tuple(looked_at))

    def _add(self, made: _Made, granted: EventSchema) -> None:
        for path in made.looked_at:
            if path not in self._rows:
                self._rows[path] = (self._marks.place(path), reader(self._event.parsed, self._marks.type_of(path)))
        self._index.add(made.entry, made.row, granted.parsed)
        self.plans += 1


class _Marks:
    """The fields whose places are wanted, and their numbers."""

    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        self.paths: list[str] = []

    def place(self, path: str) -> int:
        """Where in the guard's result the start of this field stands; its end is behind it."""
        self.type_of(path)
        if path not in self.paths:
            self.paths.append(path)
        return 2 * self.paths.index(path)

    def type_of(self, path: str) -> Schema:
        """The field's type in the event; the way there leads through records and nullable records only."""
        schema: Schema = self.parsed.root
        for segment in path.split("."):
            schema = _record(self.parsed, schema)
            schema = next(field["type"] for field in schema["fields"] if field["name"] == segment)
        return schema


def _record(parsed: Parsed, schema: Schema) -> Schema:
    schema = parsed.resolve(schema)
    if isinstance(schema, list) and null_byte(schema) is not None:
        schema = parsed.resolve(next(branch for branch in schema if not is_null(branch)))
    if kind(schema) != "record":
        raise _Beyond
    return schema


class _Compiler:
    """Writes the expression that makes one plan's delivery: ``b`` the event's bytes, ``m`` the places, ``c`` constants."""

    def __init__(self, plan: Plan, granted: Parsed, event: Parsed, marks: _Marks) -> None:
        self.plan, self.granted, self.event, self.marks = plan, granted, event, marks
        self.constants: list[Any] = []

    def compile(self) -> Body:
        root = grants_tree(self.plan.grant.agreement.fields)
        source = f"lambda b, m: {self.join(self.record(root, self.granted.root, ''))}"
        made: Body = eval(compile(source, "<plan>", "eval"), {"c": tuple(self.constants)})  # noqa: S307 - numbers only
        return made

    def join(self, pieces: list[str]) -> str:
        return pieces[0] if len(pieces) == 1 else f"b''.join(({', '.join(pieces)}))"

    def constant(self, value: Any) -> str:
        self.constants.append(value)
        return f"c[{len(self.constants) - 1}]"

    def record(self, node: Branch, schema: Schema, path: str) -> list[str]:
        """The pieces of a record; neighbours in the event that stay neighbours are one slice."""
        fields = {field["name"]: field["type"] for field in schema["fields"]}
        order = [field["name"] for field in _record(self.event, self.type_at(path))["fields"]]
        pieces: list[str] = []
        run: list[str] = []
        for item in node.items:
            if isinstance(item, Leaf) and isinstance(item.grant, Copy):
                place = path + item.segment
                if not same_bytes(self.event, self.marks.type_of(place), self.granted, fields[item.segment]):
                    raise _Beyond
                if run and order.index(item.segment) != order.index(run[-1]) + 1:
                    pieces.append(self.slice(path, run))
                    run = []
                run.append(item.segment)
                continue
            if run:
                pieces.append(self.slice(path, run))
                run = []
            pieces.append(self.piece(item, fields, path))
        if run:
            pieces.append(self.slice(path, run))
        return pieces

    def type_at(self, path: str) -> Schema:
        return self.marks.type_of(path.removesuffix(".")) if path else self.event.root

    def slice(self, path: str, run: list[str]) -> str:
        first, last = self.marks.place(path + run[0]), self.marks.place(path + run[-1])
        return f"b[m[{first}]:m[{last + 1}]]"

    def piece(self, item: Branch | Leaf | Computed, fields: dict[str, Schema], path: str) -> str:
        match item:
            case Computed(grant=Constant(value=value)):
                type_ = {bool: "boolean", int: "long", float: "double", str: "string"}[type(value)]
                return self.constant(writer(type_)(value))
            case Computed(grant=Derive()):
                raise _Beyond
            case Branch():
                return self.branch(item, fields[item.segment], path + item.segment)
            case Leaf():
                at = self.marks.place(path + item.segment)
                return f"{self.constant(self.transform(item, fields[item.segment]))}(b, m[{at}], m[{at + 1}])"
        raise _Beyond

    def branch(self, node: Branch, schema: Schema, place: str) -> str:
        schema = self.granted.resolve(schema)
        union = self.event.resolve(self.marks.type_of(place))
        record = _record(self.granted, schema)
        inner = self.record(node, record, f"{place}.")
        if not isinstance(schema, list):
            return self.join(inner) if inner else "b''"
        null = null_byte(union)
        return f"(b'\\0' if b[m[{self.marks.place(place)}]] == {null} else {self.join([repr(bytes([2])), *inner])})"

    def transform(self, leaf: Leaf, schema: Schema) -> Read:
        """(bytes, start, end) -> the bytes of the transformed field."""
        schema = self.granted.resolve(schema)
        optional = isinstance(schema, list)
        if optional and null_byte(schema) is None:
            raise _Beyond
        inner = self.granted.resolve(next(branch for branch in schema if not is_null(branch))) if optional else schema
        if kind(inner) in {"record", "array", "map", "union"}:
            raise _Beyond
        transform = compile_transform(leaf.grant, inner, self.plan.grant.code_lists, self.plan.secret)
        if transform is None:
            raise _Beyond
        read, apply, write = reader(self.granted, inner), transform.apply, writer(transform.out)
        agreement, path = self.plan.agreement, leaf.grant.field

        def change(data: bytes, start: int, end: int) -> bytes:
            try:
                return write(apply(read(data, start, end)))
            except Exception as error:  # noqa: BLE001 - as in the reference
                raise TransformFailed(agreement, path, in_words(error)) from None

        if not optional:
            return change
        event_union = self.event.resolve(self.marks.type_of(leaf.grant.field))
        null = null_byte(event_union)
        return lambda b, s, e: b"\0" if b[s] == null else b"\2" + change(b, s + 1, e)
