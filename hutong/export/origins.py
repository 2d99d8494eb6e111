"""Where each field of a delivery comes from: an agreement's entries, followed down to the last nested field. Pure.

Paths are dotted and go through arrays, maps and unions, as everywhere in Hutong (``contracts.avro.field_paths``). Neighbours:
``openlineage`` writes this as column lineage, ``odcs_delivery`` as the transforms of properties.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hutong.agreements.agreement import (
    Agreement,
    CelRow,
    Constant,
    Copy,
    Derive,
    FieldGrant,
    Generalise,
    MapCodes,
    Mask,
    Pseudonymise,
)
from hutong.agreements.cel import references
from hutong.agreements.tree import Branch, Computed, Leaf, grants_tree
from hutong.contracts.avro import Parsed, Schema, field_paths, kind, logical
from hutong.contracts.schema import EventSchema
from hutong.control.rows import row_text

__all__ = ["Condition", "Origin", "conditions", "in_words", "origins", "type_words"]

Items = Iterable[Branch | Leaf | Computed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One field of a delivery.

    Attributes:
        path: the field.
        fields: the event's fields that it is made from; none for a constant.
        grant: the agreement's entry that grants it.
    """

    path: str
    fields: tuple[str, ...]
    grant: FieldGrant

    @property
    def is_copy(self) -> bool:
        """Whether the value is the event's own."""
        return isinstance(self.grant, Copy)

    @property
    def hides(self) -> bool:
        """Whether the recipient learns less than the event's field says."""
        return isinstance(self.grant, (Mask, Pseudonymise, Generalise))


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One row condition of an agreement.

    Attributes:
        fields: the event's fields that decide.
        text: the condition in words.
    """

    fields: tuple[str, ...]
    text: str


def origins(agreement: Agreement, reader: EventSchema, delivery: Parsed) -> list[Origin]:
    """Every field of an agreement's deliveries, in the order of their schema.

    Args:
        agreement: the agreement.
        reader: the contract version that it grants.
        delivery: its derived schema.
    """
    walk = _Walk(reader, delivery)
    found = {one.path: one for one in walk.record(grants_tree(agreement.fields).items, reader.parsed.root, delivery.root, "", "")}
    return [found[path] for path in walk.paths if path in found]


def conditions(agreement: Agreement, reader: EventSchema) -> list[Condition]:
    """What decides which events pass."""
    known = frozenset(field["name"] for field in reader.parsed.root["fields"])
    found = []
    for row in agreement.rows:
        fields = sorted(references(row.cel, known)) if isinstance(row, CelRow) else [row.field]
        found.append(Condition(fields=tuple(fields), text=row_text(row)))
    return found


class _Walk:
    """Goes down the grants, the event's schema and the delivery's schema together."""

    def __init__(self, reader: EventSchema, delivery: Parsed) -> None:
        self.reader, self.delivery = reader.parsed, delivery
        self.paths = [path for path, _ in field_paths(delivery)]
        self.known = {path for path, _ in field_paths(reader.parsed)}
        self.top = frozenset(field["name"] for field in reader.parsed.root["fields"])

    def record(self, items: Items, source: Any, target: Any, inside: str, outside: str) -> Iterator[Origin]:
        """A record of granted fields; the delivery has one field per item, in the items' order."""
        types = {field["name"]: field["type"] for field in source["fields"]}
        for item, made in zip(items, target["fields"], strict=True):
            path = outside + made["name"]
            match item:
                case Computed(grant=Derive(cel=text)):
                    yield Origin(path=path, fields=tuple(sorted(references(text, self.top))), grant=item.grant)
                case Computed():
                    yield Origin(path=path, fields=(), grant=item.grant)
                case Leaf():
                    yield from self.whole(item, inside + item.segment, path)
                case Branch():
                    below = types[item.segment], made["type"], f"{inside}{item.segment}.", f"{path}."
                    yield from self.branch(item, *below)

    def branch(self, node: Branch, source: Schema, target: Schema, inside: str, outside: str) -> Iterator[Origin]:
        """Parts of what a field leads to: one record, or some of the records of a union."""
        sources, targets = list(_records(self.reader, source)), list(_records(self.delivery, target))
        if len(sources) == 1:
            yield from self.record(node.items, sources[0], targets[0], inside, outside)
            return
        by_name = {_short(one): one for one in sources}
        for item, made in zip(node.items, targets, strict=True):
            segment = "" if isinstance(item, Computed) else item.segment
            place = outside + (f"{_short(made)}." if len(targets) > 1 else "")
            if isinstance(item, Branch):
                yield from self.record(item.items, by_name[segment], made, f"{inside}{segment}.", place)
            elif isinstance(item, Leaf):
                for path in self.paths:
                    if path.startswith(place):
                        fields = (self.nearest(f"{inside}{segment}.{path[len(place) :]}"),)
                        yield Origin(path=path, fields=fields, grant=item.grant)

    def whole(self, leaf: Leaf, field: str, path: str) -> Iterator[Origin]:
        """A field with all that is inside it."""
        for one in self.paths:
            if one == path or one.startswith(f"{path}."):
                yield Origin(path=one, fields=(self.nearest(field + one[len(path) :]),), grant=leaf.grant)

    def nearest(self, path: str) -> str:
        """The field of the event, or the one around it where a type that contains itself is cut off one level earlier."""
        while path not in self.known and "." in path:
            path = path.rpartition(".")[0]
        return path


def _records(parsed: Parsed, schema: Schema) -> Iterator[Any]:
    """The records that a type leads to through arrays, maps and unions."""
    schema = parsed.resolve(schema)
    match kind(schema):
        case "record":
            yield schema
        case "array":
            yield from _records(parsed, schema["items"])
        case "map":
            yield from _records(parsed, schema["values"])
        case "union":
            for branch in schema:
                yield from _records(parsed, branch)


def _short(record: Any) -> str:
    return str(record["name"]).rpartition(".")[2]


def in_words(grant: FieldGrant) -> str:
    """What an entry does to the value."""
    match grant:
        case Copy():
            return "as it is"
        case Mask(keep_first=first, keep_last=last):
            return f"masked but for the first {first} and the last {last} characters"
        case Pseudonymise():
            return "pseudonym: HMAC-SHA256 under the agreement's own key"
        case Generalise(to=to) if to is not None:
            return f"generalised to the {to}"
        case Generalise(keep_first=first, pad=pad) if first is not None:
            return f"generalised to the first {first} characters" + (f", the rest is {pad}" if pad else "")
        case Generalise(bands=bands):
            return f"generalised to bands with the bounds {', '.join(f'{bound:g}' for bound in bands or ())}"
        case MapCodes(code_list=code_list, source=source, to=to):
            return f"translated by the code list {code_list} from {source} to {to}"
        case Constant(value=value):
            return f"always {value}"
        case Derive(cel=text):
            return f"computed: {text}"


def type_words(parsed: Parsed, schema: Schema) -> str:
    """An Avro type in words, as ``physicalType`` has it in ``contract.yaml``; that it may be null is said elsewhere."""
    schema = parsed.resolve(schema)
    match kind(schema):
        case "union":
            return " | ".join(type_words(parsed, branch) for branch in schema if branch != "null")
        case "array":
            return f"array of {type_words(parsed, schema['items'])}"
        case "map":
            return f"map of {type_words(parsed, schema['values'])}"
        case "record" | "enum" | "fixed" as name:
            return _with_meaning(f"{name} {_short(schema)}", schema)
        case name:
            return _with_meaning(name, schema)


def _with_meaning(name: str, schema: Schema) -> str:
    meaning = logical(schema)
    if meaning == "decimal":
        meaning = f"decimal {schema['precision']},{schema.get('scale', 0)}"
    return f"{name} ({meaning})" if meaning else name
