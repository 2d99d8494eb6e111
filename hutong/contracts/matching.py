"""Do the Avro schemas of a contract and its ``contract.yaml`` say the same? Every difference, each with its place.

Neighbours: ``contract`` has the models, ``rulebook`` turns what matches into rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

from hutong.contracts.avro import Parsed, Schema, kind, logical
from hutong.contracts.codelists import CodeList
from hutong.contracts.contract import ContractDocument, Described, described
from hutong.contracts.definitions import Definition, Usage, definitions, usages
from hutong.contracts.finding import Finding
from hutong.contracts.rules import Classification

__all__ = ["Version", "field_findings", "read_version"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version's schema, taken apart.

    Attributes:
        number: from 1.
        raw: the JSON as it was written.
        parsed: the same with full names.
        definitions: where each field is defined.
        usages: path -> field, in the order of the schema.
    """

    number: int
    raw: Schema
    parsed: Parsed
    definitions: Mapping[tuple[str, str], Definition]
    usages: Mapping[str, Usage]

    def finding(self, usage: Usage, problem: str) -> Finding:
        """A problem with a field of this version."""
        place = self.definitions[usage.definition].place
        return Finding(problem=problem, place=place, field=usage.path, version=self.number)


def read_version(number: int, raw: Schema, parsed: Parsed) -> Version:
    """Take a well-formed schema apart."""
    paths = {usage.path: usage for usage in usages(parsed)}
    return Version(number=number, raw=raw, parsed=parsed, definitions=definitions(raw), usages=paths)


def field_findings(document: ContractDocument, versions: list[Version], code_lists: Mapping[str, CodeList]) -> Iterator[Finding]:
    """Every difference between the described properties and the fields of all versions.

    A property is compared with the newest version that has the field: older ones may have had another type, as far as
    compatibility lets them.
    """
    yield from _docs(versions)
    properties: dict[str, Described] = {}
    for one in described(document):
        if one.path in properties:
            yield Finding(problem="the property is described twice; remove one", place=one.place, field=one.path)
        properties.setdefault(one.path, one)
    newest: dict[str, tuple[Version, Usage]] = {}
    for version in versions:
        newest.update({path: (version, usage) for path, usage in version.usages.items()})
    for path, (version, usage) in newest.items():
        if path not in properties:
            hint = "contract.yaml describes no such property; add it with its classification"
            yield version.finding(usage, hint)
    for path, one in properties.items():
        if path in newest:
            yield from _differences(one, *newest[path], code_lists)
        elif any(field.startswith(f"{path}.") for field in newest):
            yield from _branch_findings(one, properties)
        else:
            problem = "no version of the Avro schema has this field; correct its name or remove the property"
            yield Finding(problem=problem, place=(*one.place, "name"), field=path)


def _branch_findings(one: Described, properties: Mapping[str, Described]) -> Iterator[Finding]:
    """A branch of a union of records: no field itself, so nothing of it reaches the schema but through its fields."""
    if one.description.logical_type != "object":
        problem = "a branch of a union of records is described as an object"
        yield Finding(problem=problem, place=(*one.place, "logicalType"), field=one.path)
    ranks = get_args(Classification)
    inner = [other.description for path, other in properties.items() if path.startswith(f"{one.path}.")]
    if ranks.index(one.description.classification) > max((ranks.index(d.classification) for d in inner), default=0):
        problem = "a branch of a union is as sensitive as its fields; classify those"
        yield Finding(problem=problem, place=(*one.place, "classification"), field=one.path)


def _docs(versions: list[Version]) -> Iterator[Finding]:
    for version in versions:
        if not str(version.raw.get("doc") or "").strip():
            yield Finding(problem="the record needs a 'doc' that says what happened", version=version.number)
        for definition in version.definitions.values():
            if not str(definition.field.get("doc") or "").strip():
                name = definition.field["name"]
                path = next((u.path for u in version.usages.values() if u.definition == (definition.record, name)), name)
                yield Finding(problem="the field needs a 'doc'", place=definition.place, field=path, version=version.number)


def _differences(one: Described, version: Version, usage: Usage, code_lists: Mapping[str, CodeList]) -> Iterator[Finding]:
    described_as = one.description.logical_type
    expected = {logical_type(branch) for branch in usage.branches} or {"string"}
    if described_as not in expected and not (len(expected) > 1 and described_as == "object"):
        problem = f"logicalType is {described_as}, but the Avro type in v{version.number} is a {' or '.join(sorted(expected))}"
        yield Finding(problem=problem, place=(*one.place, "logicalType"), field=one.path)
    if one.description.required is usage.nullable:
        allows = "allows null" if usage.nullable else "does not allow null"
        problem = f"required is {str(one.description.required).lower()}, but the Avro type in v{version.number} {allows}"
        yield Finding(problem=problem, place=(*one.place, "required"), field=one.path)
    if described_as == "array":
        yield from _item_differences(one, version, usage)
    code_list = _code_list(one)
    if code_list is not None:
        yield from _code_list_findings(one, version, usage, str(code_list), code_lists)


def _item_differences(one: Described, version: Version, usage: Usage) -> Iterator[Finding]:
    arrays = [branch for branch in usage.branches if kind(branch) == "array"]
    if one.description.items is None or not arrays:
        yield Finding(problem="an array needs 'items' with their logicalType", place=one.place, field=one.path)
        return
    item = version.parsed.resolve(arrays[0]["items"])
    members = item if isinstance(item, list) else [item]
    expected = {logical_type(version.parsed.resolve(member)) for member in members if member != "null"}
    said = one.description.items.logical_type
    if said not in expected and not (len(expected) > 1 and said == "object"):
        problem = f"the items' logicalType is {said}, but in v{version.number} they are {' or '.join(sorted(expected))}"
        yield Finding(problem=problem, place=(*one.place, "items", "logicalType"), field=one.path)


def _code_list(one: Described) -> object:
    of_items = one.description.items.fact("codeList") if one.description.items else None
    return one.description.fact("codeList") or of_items


def _code_list_findings(
    one: Described, version: Version, usage: Usage, name: str, lists: Mapping[str, CodeList]
) -> Iterator[Finding]:
    place = (*one.place, "customProperties")
    if name not in lists:
        yield Finding(problem=f"there is no code list {name!r} under codelists/", place=place, field=one.path)
        return
    enums = [leaf for leaf in leaves(version.parsed, usage.branches) if kind(leaf) == "enum"]
    symbols = list(lists[name].symbols)
    for enum in enums:
        if list(enum["symbols"]) != symbols:
            ours, theirs = set(enum["symbols"]), set(symbols)
            missing, extra = [s for s in symbols if s not in ours], [s for s in enum["symbols"] if s not in theirs]
            parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has {', '.join(extra)} besides"] * bool(extra)
            difference = " and ".join(parts) or "has them in another order"
            yield version.finding(usage, f"the enum's symbols are not those of the code list {name}: it {difference}")
    if not enums and {kind(branch) for branch in usage.branches} != {"string"}:
        problem = "a codeList goes with an enum, or a string field; an array of strings must become one of enums or records"
        yield Finding(problem=problem, place=place, field=one.path)


def leaves(parsed: Parsed, branches: tuple[Schema, ...]) -> Iterator[Schema]:
    """The types at the ends of arrays, maps and unions."""
    for branch in map(parsed.resolve, branches):
        match kind(branch):
            case "array":
                yield from leaves(parsed, (branch["items"],))
            case "map":
                yield from leaves(parsed, (branch["values"],))
            case "union":
                yield from leaves(parsed, tuple(branch))
            case _:
                yield branch


def logical_type(schema: Schema) -> str:
    """The standard's logical type of an Avro type."""
    name = kind(schema)
    match logical(schema) or "":
        case "date":
            return "date"
        case "time-millis" | "time-micros":
            return "time"
        case "decimal" | "big-decimal":
            return "number"
        case special if "timestamp" in special:
            return "timestamp"
    return _LOGICAL_TYPES.get(name, "string")


_LOGICAL_TYPES = {
    "boolean": "boolean",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "record": "object",
    "map": "object",
    "array": "array",
}
