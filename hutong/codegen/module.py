"""A generated module: the records of some contracts or deliveries as classes, innermost first, their Avro schemas at the end.

Neighbours: ``types`` and ``names`` say how things are written, the command decides which roots go into which file.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hutong.codegen.literals import WIDTH, attribute_doc, class_doc, literal, width
from hutong.codegen.names import attribute_name, class_name, member_name
from hutong.codegen.types import Types
from hutong.contracts.avro import Parsed, Schema, is_recursive, kind, parse

__all__ = ["Root", "module_text"]

_NOTE = "Written by ``hutong codegen``; do not edit."
_FROM_MODEL = (
    *("AvroEnum", "AvroRecord", "ChangeEvent", "Delivery", "Digits", "Field", "Fixed"),
    *("Float", "Int", "LocalMoment", "Long", "Moment", "Rules"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A record to generate, with all that it holds.

    Attributes:
        title: what the module's docstring says it is.
        schema: the Avro schema, annotated.
        base: ``ChangeEvent`` or ``Delivery``.
        facts: class variables, in order.
    """

    title: str
    schema: Mapping[str, Any]
    base: str
    facts: Mapping[str, str | int]


@dataclass(slots=True, kw_only=True)
class _Names:
    """What the types of one root are called."""

    parsed: Parsed
    order: list[dict[str, Any]] = field(default_factory=list)
    classes: dict[str, str] = field(default_factory=dict)
    members: dict[str, dict[str, str]] = field(default_factory=dict)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)


def module_text(roots: Sequence[Root]) -> str:
    """The source of one module."""
    taken: dict[str, str] = {}
    blocks: list[str] = []
    ends: list[str] = []
    for root in roots:
        names = _named(root, taken)
        types = Types(names.parsed, names.classes, names.members, names.attributes)
        blocks += [block for schema in names.order if (block := _block(schema, names, types, root)) not in blocks]
        if is_recursive(names.parsed):
            ends += [f"{names.classes[one['name']]}.model_rebuild()" for one in names.order if kind(one) == "record"]
        name = names.classes[names.parsed.root["name"]]
        schema_text = literal(_without_docs(root.schema), 0, width(f"{name}.avro_schema = "), 0)
        ends.append(f"{name}.avro_schema = {schema_text}")
    body = "\n\n\n".join(blocks) + "\n\n\n" + "\n".join(dict.fromkeys(ends)) + "\n"
    head = _docstring([root.title for root in roots])
    return f"{head}\n\nfrom __future__ import annotations\n\n{_imports(body)}\n\n\n{body}"


def _docstring(titles: Sequence[str]) -> str:
    first = titles[0] if len(titles) == 1 else f"{titles[0]} and {len(titles) - 1} more"
    return f'"""{first}.\n\n{_NOTE}\n"""'


def _imports(body: str) -> str:
    lines = []
    if re.search(r"\bdt\.", body):
        lines.append("import datetime as dt")
    for module, name in (("decimal", "Decimal"), ("typing", "Annotated"), ("uuid", "UUID")):
        if re.search(rf"\b{name}[(\[]|\b{name}\b(?=[ \]|,=\n])", body):
            lines.append(f"from {module} import {name}")
    used = [name for name in _FROM_MODEL if re.search(rf"\b{name}\b", body)]
    line = f"from hutong.model import {', '.join(used)}"
    if width(line) > WIDTH:
        line = "from hutong.model import (\n" + "".join(f"    {name},\n" for name in used) + ")"
    return "\n".join(lines) + ("\n\n" if lines else "") + line


def _named(root: Root, taken: dict[str, str]) -> _Names:
    """Give every type of a root its names; a type that an earlier root has in the same form keeps its class."""
    names = _Names(parsed=parse(root.schema))
    own = class_name(names.parsed.root["name"], "", ())
    definitions = {name: json.dumps(schema, sort_keys=True, default=str) for name, schema in names.parsed.named.items()}
    names.order = list(_inside_out(names.parsed, names.parsed.root, set()))
    for schema in reversed(names.order):  # the root first: it keeps its own name
        name = schema["name"]
        known = next((cls for cls, definition in taken.items() if definition == definitions[name]), None)
        names.classes[name] = known or class_name(name, own, taken)
        taken[names.classes[name]] = definitions[name]
    for schema in names.order:
        given: dict[str, str] = {}
        if kind(schema) == "enum":
            for symbol in schema["symbols"]:
                given[symbol] = member_name(symbol, given.values())
            names.members[schema["name"]] = given
        elif kind(schema) == "record":
            for one in schema["fields"]:
                others = {other["name"] for other in schema["fields"]} - {one["name"]}
                given[one["name"]] = attribute_name(one["name"], {*others, *given.values(), *names.classes.values()})
            names.attributes[schema["name"]] = given
    return names


def _inside_out(parsed: Parsed, schema: Schema, seen: set[str]) -> Iterator[dict[str, Any]]:
    schema = parsed.resolve(schema)
    match kind(schema):
        case "union":
            for branch in schema:
                yield from _inside_out(parsed, branch, seen)
        case "array":
            yield from _inside_out(parsed, schema["items"], seen)
        case "map":
            yield from _inside_out(parsed, schema["values"], seen)
        case "record" if schema["name"] not in seen:
            seen.add(schema["name"])
            for one in schema["fields"]:
                yield from _inside_out(parsed, one["type"], seen)
            yield schema
        case "enum" if schema["name"] not in seen:
            seen.add(schema["name"])
            yield schema


def _block(schema: dict[str, Any], names: _Names, types: Types, root: Root) -> str:
    name = names.classes[schema["name"]]
    if kind(schema) == "enum":
        members = [f"    {member} = {literal(symbol)}" for symbol, member in names.members[schema["name"]].items()]
        doc = class_doc(f"The enum {name}", schema.get("doc", ""))
        return "\n".join([f"class {name}(AvroEnum):", *doc, "", *members])
    is_root = schema is names.parsed.root
    facts = {**(root.facts if is_root else {}), "avro_name": schema["name"]}
    lines = [
        f"class {name}({root.base if is_root else 'AvroRecord'}):",
        *class_doc(f"The record {name}", schema.get("doc", "")),
        "",
        *(f"    {key} = {literal(value)}" for key, value in facts.items()),
    ]
    for one in schema["fields"]:
        lines += ["", *_field(one, names.attributes[schema["name"]][one["name"]], types), *attribute_doc(one.get("doc", ""))]
    return "\n".join(lines)


def _field(one: dict[str, Any], attribute: str, types: Types) -> list[str]:
    kind_of, rules = types.annotation(one)
    given = _assignment(types.default(one), None if attribute == one["name"] else one["name"])
    annotation = f"Annotated[{kind_of}, {rules}]" if rules else kind_of
    line = f"    {attribute}: {annotation}{_equals(given)}"
    if width(line) <= WIDTH:
        return [line]
    end = _equals(given) if width(_equals(given)) + 6 <= WIDTH else _exploded(" = Field", given)
    if rules:
        rule = rules if width(rules) + 9 <= WIDTH else _exploded("Rules", _arguments(rules), 8)
        return [f"    {attribute}: Annotated[", f"        {kind_of},", f"        {rule},", f"    ]{end}"]
    if width(f"    {attribute}: {kind_of}") + 9 <= WIDTH:
        arguments = {"default": given[""]} if "" in given else given
        return [f"    {attribute}: {kind_of}{_exploded(' = Field', arguments)}"]
    branches = kind_of.split(" | ")
    return [f"    {attribute}: (", f"        {branches[0]}", *(f"        | {branch}" for branch in branches[1:]), f"    ){end}"]


def _assignment(default: str | None, alias: str | None) -> dict[str, str]:
    """The arguments of ``Field``; one without a name is a plain default."""
    given: dict[str, str] = {}
    if default is not None:
        if default in ("[]", "{}"):
            given["default_factory"] = "list" if default == "[]" else "dict"
        elif default[0] in "[{" or re.match(r"[A-Z]\w*\((?!\")", default):  # a value of its own for every event
            given["default_factory"] = f"lambda: {default}"
        else:
            given["default" if alias else ""] = default
    if alias:
        given |= {"validation_alias": literal(alias), "serialization_alias": literal(alias)}
    return given


def _equals(given: Mapping[str, str]) -> str:
    if not given:
        return ""
    if "" in given:
        return f" = {given['']}"
    return f" = Field({', '.join(f'{key}={value}' for key, value in given.items())})"


def _exploded(name: str, arguments: Mapping[str, str], indent: int = 4) -> str:
    pad = " " * indent
    joined = f"{pad}    {', '.join(f'{key}={value}' for key, value in arguments.items())}"
    if width(joined) <= WIDTH and "\n" not in joined:
        return f"{name}(\n{joined}\n{pad})"
    return f"{name}(\n" + "".join(f"{pad}    {key}={value},\n" for key, value in arguments.items()) + f"{pad})"


def _arguments(rules: str) -> dict[str, str]:
    """The arguments of a ``Rules(...)`` call that is too long for a line, each laid out by itself."""
    call = ast.parse(rules, mode="eval").body
    assert isinstance(call, ast.Call)  # noqa: S101 - types.annotation wrote it
    values = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
    return {name: literal(value, 12, 12 + len(name) + 1) for name, value in values.items()}


def _without_docs(schema: Any) -> Any:
    """The schema without prose: the classes have it, and readers of the bytes need none."""
    if isinstance(schema, list):
        return [_without_docs(branch) for branch in schema]
    if not isinstance(schema, Mapping):
        return schema
    inner = {"type", "items", "values", "fields"}
    return {key: _without_docs(value) if key in inner else value for key, value in schema.items() if key != "doc"}
