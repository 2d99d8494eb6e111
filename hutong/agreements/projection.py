"""From an event's data to a delivery's data: one walk over schema and grants gives the derived schema and the function.

A projected record gets a name of its own in the agreement's namespace; a type that is granted whole keeps its name. Structure is
kept: what was inside an array stays inside an array. Neighbours: ``tree`` orders the grants, ``transforms`` does single values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hutong.agreements.agreement import Agreement, Constant, Copy, Derive
from hutong.agreements.cel import compile_expression
from hutong.agreements.grant import CodeLists
from hutong.agreements.transforms import compile_transform
from hutong.agreements.tree import Branch, Computed, Leaf, grants_tree
from hutong.contracts.avro import Parsed, Schema, is_null, kind
from hutong.contracts.rules import ATTRIBUTE
from hutong.errors import DeclarationError, TransformFailed

__all__ = ["Project", "Projection", "compile_projection", "in_words", "record_name"]

Project = Callable[[Any], Any]

_DERIVED = {"string": str, "boolean": bool, "long": int, "double": float}


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """An agreement's fields against one contract version.

    Attributes:
        schema: the derived Avro schema, without the ``hutong`` attribute of its root.
        apply: event data -> delivery data; raises ``TransformFailed``.
        problems: what is wrong with single entries; a projection with problems must not be applied.
    """

    schema: dict[str, Any]
    apply: Callable[[Mapping[str, Any]], dict[str, Any]]
    problems: list[DeclarationError]


def record_name(agreement_id: str) -> str:
    """The name of an agreement's delivery record: ``death-to-pension`` -> ``DeathToPension``."""
    name = "".join(part.capitalize() for part in agreement_id.split("-"))
    return name if name[:1].isalpha() else f"A{name}"


def compile_projection(agreement: Agreement, parsed: Parsed, code_lists: CodeLists, secret: bytes) -> Projection:
    """Compile the field entries; problems are collected, so that a steward sees all of them at once."""
    compiler = _Compiler(agreement, parsed, code_lists, secret)
    schema, apply = compiler.record(parsed.root, grants_tree(agreement.fields), record_name(agreement.id))
    return Projection(schema=schema, apply=apply, problems=compiler.problems)


class _Compiler:
    def __init__(self, agreement: Agreement, parsed: Parsed, code_lists: CodeLists, secret: bytes) -> None:
        self.agreement, self.parsed, self.code_lists, self.secret = agreement, parsed, code_lists, secret
        self.namespace = f"{agreement.recipient}.deliveries"
        self.problems: list[DeclarationError] = []
        self.entered = [str(parsed.root["name"])]  # the records around the current one
        self.spelled: set[str] = set()  # named types already written out; Avro refers to them by name after that

    def problem(self, text: str, position: int, part: str = "field") -> None:
        error = DeclarationError(text, field=f"fields[{position}].{part}")
        if all(str(known) != str(error) for known in self.problems):
            self.problems.append(error)

    def record(self, schema: Schema, node: Branch, name: str) -> tuple[dict[str, Any], Project]:
        """A record of the granted fields, named for its place."""
        source = {field["name"]: field for field in schema["fields"]}
        fields: list[dict[str, Any]] = []
        steps: list[tuple[str, str | None, Project | None]] = []
        taken: set[str] = set()
        for item in node.items:
            made = self.computed(item) if isinstance(item, Computed) else self.field(item, source, name)
            if made is None:
                continue
            field, segment, apply = made
            if field["name"] in taken:
                self.problem(f"two entries give the delivery the same field {field['name']}; rename one with `as`", item.position)
            taken.add(field["name"])
            fields.append(field)
            steps.append((field["name"], segment, apply))
        out = {"type": "record", "name": name, "namespace": self.namespace, "doc": schema.get("doc", ""), "fields": fields}
        return out, _project_record(steps)

    def field(self, item: Branch | Leaf, source: dict[str, Any], name: str) -> tuple[dict[str, Any], str, Project | None] | None:
        field = source.get(item.segment)
        if field is None:
            known = ", ".join(sorted(source))
            self.problem(f"the contract has no field {item.segment} there; it has {known}", item.position)
            return None
        if isinstance(item, Branch):
            type_, apply = self.part(field["type"], item, f"{name}_{item.segment}")
            return {"name": item.segment, "doc": field.get("doc", ""), "type": type_}, item.segment, apply
        if isinstance(item.grant, Copy):
            out = {"name": item.grant.out_name, "doc": field.get("doc", ""), "type": self.spell(field["type"])}
            if "default" in field:
                out["default"] = field["default"]
            if ATTRIBUTE in field:
                out[ATTRIBUTE] = field[ATTRIBUTE]
            return out, item.segment, None
        type_, change = self.lift(field["type"], item)
        doc = f"{field.get('doc', '')} [{item.grant.transform}]".strip()
        return {"name": item.grant.out_name, "doc": doc, "type": type_}, item.segment, self.explained(change, item.grant.field)

    def computed(self, item: Computed) -> tuple[dict[str, Any], None, Project] | None:
        """A constant or derived field; its function takes the whole event."""
        match item.grant:
            case Constant(value=value):
                type_ = {bool: "boolean", int: "long", float: "double", str: "string"}[type(value)]
                return {"name": item.grant.out_name, "doc": "[constant]", "type": type_}, None, lambda _: value
            case Derive(cel=text, type=type_):
                known = frozenset(field["name"] for field in self.parsed.root["fields"])
                try:
                    expression = compile_expression(text, known)
                except DeclarationError as error:
                    self.problem(error.problem, item.position, "cel")
                    return None
                derive = self.explained(_typed(expression, type_), item.grant.out_name)
                return {"name": item.grant.out_name, "doc": "[derived]", "type": type_}, None, derive

    def part(self, schema: Schema, node: Branch, name: str) -> tuple[Schema, Project]:
        """Parts of whatever a branch leads into: a record, or records inside a list, a map, a union."""
        schema = self.parsed.resolve(schema)
        match kind(schema):
            case "record" if schema["name"] in self.entered:
                self.problem(f"{schema['name']} contains itself; grant it whole, or its plain fields only", node.position)
                return "null", lambda _: None
            case "record":
                self.entered.append(schema["name"])
                try:
                    return self.record(schema, node, name)
                finally:
                    self.entered.pop()
            case "array":
                items, apply = self.part(schema["items"], node, name)
                return {"type": "array", "items": items}, lambda value: [apply(item) for item in value]
            case "map":
                values, apply = self.part(schema["values"], node, name)
                return {"type": "map", "values": values}, lambda value: {key: apply(item) for key, item in value.items()}
            case "union":
                return self.union_part(schema, node, name)
            case other:
                self.problem(f"{node.segment} is a {other} and has no fields below it", node.position)
                return "null", lambda _: None

    def union_part(self, schema: list[Schema], node: Branch, name: str) -> tuple[Schema, Project]:
        """The granted branches of a union; any other branch becomes null, so a recipient sees no value that is not granted."""
        inner = [branch for branch in map(self.parsed.resolve, schema) if kind(branch) in {"record", "array", "map"}]
        records = [branch for branch in inner if kind(branch) == "record"]
        if len(inner) == 1:
            type_, apply = self.part(inner[0], node, name)
            if len(schema) == 2 and any(map(is_null, schema)):
                return ["null", type_], lambda value: None if value is None else apply(value)
            container = {"array": list, "map": dict, "record": dict}[kind(inner[0])]
            return ["null", type_], lambda value: apply(value) if isinstance(value, container) else None
        if not records or len(records) != len(inner):
            self.problem(f"{node.segment} is a union of lists, which can only be granted whole", node.position)
            return "null", lambda _: None
        return self.record_branches(records, node, name)

    def record_branches(self, records: list[dict[str, Any]], node: Branch, name: str) -> tuple[Schema, Project]:
        short = {record["name"].rpartition(".")[2]: record for record in records}
        types: list[Schema] = []
        applies: dict[str, tuple[str, Project]] = {}
        for item in node.items:
            segment = item.segment if isinstance(item, Branch) else getattr(item, "segment", "")
            record = short.get(segment)
            if record is None:
                self.problem(f"{node.segment} is a union of {', '.join(short)}; name one of them first", item.position)
            elif isinstance(item, Branch):
                type_, apply = self.part(record, item, f"{name}_{segment}")
                types.append(type_)
                applies[record["name"]] = (f"{self.namespace}.{name}_{segment}", apply)
            elif isinstance(item, Leaf) and isinstance(item.grant, Copy) and item.grant.rename is None:
                types.append(self.spell(record))
                applies[record["name"]] = (record["name"], lambda value: value)
            else:
                self.problem("a whole record can only be granted as it is", item.position)

        def apply_branch(value: Any) -> Any:
            found = applies.get(value[0]) if isinstance(value, tuple) else None
            return None if found is None else (found[0], found[1](value[1]))

        return ["null", *types], apply_branch

    def lift(self, schema: Schema, leaf: Leaf) -> tuple[Schema, Project]:
        """A scalar transform carried over nulls, arrays and maps."""
        schema = self.parsed.resolve(schema)
        match kind(schema):
            case "array":
                items, apply = self.lift(schema["items"], leaf)
                return {"type": "array", "items": items}, lambda value: [apply(item) for item in value]
            case "map":
                values, apply = self.lift(schema["values"], leaf)
                return {"type": "map", "values": values}, lambda value: {key: apply(item) for key, item in value.items()}
            case "union":
                rest = [branch for branch in schema if not is_null(branch)]
                if len(rest) == 1 and len(rest) < len(schema):
                    type_, apply = self.lift(rest[0], leaf)
                    return ["null", type_], lambda value: None if value is None else apply(value)
                self.problem(
                    f"the transform {leaf.grant.transform} takes one type; {leaf.segment} is a union of several", leaf.position
                )
            case _:
                try:
                    transform = compile_transform(leaf.grant, schema, self.code_lists, self.secret)
                except DeclarationError as error:
                    self.problem(error.problem, leaf.position, "transform")
                else:
                    if transform is not None:
                        return transform.out, transform.apply
        return "null", lambda _: None

    def explained(self, apply: Project, path: str) -> Project:
        """The same function, with its failure told as the agreement's."""
        agreement = self.agreement.id

        def explained(value: Any) -> Any:
            try:
                return apply(value)
            except Exception as error:  # noqa: BLE001 - a value that a transform cannot take concerns this agreement alone
                raise TransformFailed(agreement, path, in_words(error)) from None

        return explained

    def spell(self, schema: Schema) -> Schema:
        """A type as it is: written out the first time, by its full name after that."""
        if isinstance(schema, str):
            if schema in self.parsed.named and schema not in self.spelled:
                return self.spell(self.parsed.named[schema])
            return schema
        if isinstance(schema, list):
            return [self.spell(branch) for branch in schema]
        if "name" in schema:
            if schema["name"] in self.spelled:
                return schema["name"]
            self.spelled.add(schema["name"])
        out = {key: value for key, value in schema.items() if not key.startswith("__fastavro")}
        match kind(schema):
            case "record":
                out["fields"] = [{**field, "type": self.spell(field["type"])} for field in schema["fields"]]
            case "array":
                out["items"] = self.spell(schema["items"])
            case "map":
                out["values"] = self.spell(schema["values"])
        return out


def in_words(error: Exception) -> str:
    """Why a value could not be taken; only our own errors speak, since a library's may quote the value."""
    return str(error) if type(error) is ValueError else f"the value cannot be taken ({type(error).__name__})"


def _project_record(steps: list[tuple[str, str | None, Project | None]]) -> Project:
    if all(apply is None for _, _, apply in steps):
        pairs = [(out, segment) for out, segment, _ in steps if segment is not None]
        return lambda data: {out: data[segment] for out, segment in pairs}

    def project(data: Any) -> dict[str, Any]:
        out = {}
        for name, segment, apply in steps:
            value = data if segment is None else data[segment]
            out[name] = value if apply is None else apply(value)
        return out

    return project


def _typed(expression: Callable[[Any], Any], type_: str) -> Project:
    wanted = _DERIVED[type_]

    def derive(data: Any) -> Any:
        value = expression(data)
        if wanted is float and type(value) is int:
            return float(value)
        if type(value) is not wanted:
            raise ValueError(f"the CEL expression gave a {type(value).__name__}, not a {type_}")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError("the CEL expression gave a number that does not fit a long")
        return value

    return derive
