"""The rules of a contract's fields, as ``contract.yaml`` states them, checked against the types that they are for.

Neighbours: ``rules`` has the model, ``matching`` the fields, ``annotate`` writes the rules into the schemas.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hutong.contracts.avro import kind, logical
from hutong.contracts.backtracking import TooComplex, explodes
from hutong.contracts.codelists import CodeList
from hutong.contracts.contract import ContractDocument, Described, described
from hutong.contracts.definitions import Usage
from hutong.contracts.finding import Finding
from hutong.contracts.identifiers import checker
from hutong.contracts.matching import Version
from hutong.contracts.rules import LONGEST_TEXT, FieldRules
from hutong.errors import ConfigurationError

__all__ = ["key_findings", "key_of", "rule_findings", "rules_of"]

_LENGTHS = ("minLength", "maxLength")
_BOUNDS = ("minimum", "maximum")
_NO_KEY = frozenset({"float", "double", "bytes", "fixed", "boolean", "record", "array", "map", "union", "null"})


def rules_of(document: ContractDocument, code_lists: Mapping[str, CodeList]) -> dict[str, FieldRules]:
    """Path -> rules. The declarations must be right (no finding here or in ``matching``)."""
    return {one.path: _rules(one, code_lists) for one in described(document)}


def _rules(one: Described, code_lists: Mapping[str, CodeList]) -> FieldRules:
    options, description = one.description.options, one.description
    of_items = description.items.fact("codeList") if description.items else None
    code_list = description.fact("codeList") or of_items
    return FieldRules(
        classification=description.classification,
        identifier=description.fact("identifier"),
        unverified_by=description.fact("unverifiedBy"),
        code_list=code_list,
        codes=code_lists[code_list].symbols if code_list and description.logical_type == "string" else None,
        pattern=options.get("pattern"),
        min_length=options.get("minLength"),
        max_length=options.get("maxLength"),
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
    )


def key_of(document: ContractDocument) -> tuple[str, ...]:
    """Paths of the key fields, in their positions' order."""
    keys = [one for one in described(document) if one.description.primary_key]
    return tuple(one.path for one in sorted(keys, key=lambda one: one.description.primary_key_position or 1))


def rule_findings(document: ContractDocument, versions: list[Version]) -> Iterator[Finding]:
    """Every rule that its field's type cannot take, or that contradicts another."""
    by_definition: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    for one in described(document):
        uses = [(v, v.usages[one.path]) for v in versions if one.path in v.usages]
        if not uses:
            continue
        yield from _option_findings(one, uses[-1][1])
        yield from _identifier_findings(one, uses)
        facts = _facts(one)
        first, said = by_definition.setdefault(uses[-1][1].definition, (one.path, facts))
        if said != facts:
            problem = f"the type is also used at {first}, with other rules; state the same, or give it a type of its own"
            yield Finding(problem=problem, place=one.place, field=one.path)


def _facts(one: Described) -> dict[str, Any]:
    description = one.description
    return {
        "classification": description.classification,
        "options": description.options,
        **{name: description.fact(name) for name in ("identifier", "unverifiedBy", "codeList")},
    }


def _option_findings(one: Described, usage: Usage) -> Iterator[Finding]:
    place = (*one.place, "logicalTypeOptions")
    plain = {kind(branch) for branch in usage.branches if logical(branch) in (None, "decimal")}
    is_text, is_number = plain == {"string"}, plain <= {"int", "long", "float", "double", "bytes", "fixed"}
    is_number = is_number and all(kind(b) not in ("bytes", "fixed") or logical(b) == "decimal" for b in usage.branches)
    for name, value in one.description.options.items():
        if name == "pattern" and is_text:
            problem = _pattern_problem(value)
        elif name in _LENGTHS and is_text:
            problem = None if type(value) is int and 0 <= value <= LONGEST_TEXT else f"{name} is a number of characters from 0"
        elif name in _BOUNDS and is_number and plain:
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            problem = None if number else f"{name} is a number"
        elif name in ("pattern", *_LENGTHS, *_BOUNDS):
            problem = f"{name} cannot be checked on this Avro type; it goes with {'numbers' if name in _BOUNDS else 'strings'}"
        else:
            text = f"{name} is documentation here, the SDK does not check it"
            yield Finding(problem=text, place=(*place, name), field=one.path, warning=True)
            continue
        if problem:
            yield Finding(problem=problem, place=(*place, name), field=one.path)
    yield from _order_findings(one)


def _pattern_problem(value: Any) -> str | None:
    try:
        re.compile(value)
        if explodes(value):
            return "the pattern repeats what fits a text in many ways; give it one way, as in [a-z]+(-[a-z]+)*"
    except TooComplex:
        return "the pattern is too long to be judged; check a part of the text, or declare a code list"
    except (re.error, TypeError, RecursionError, OverflowError) as error:
        return f"the pattern is no regular expression: {error}"
    return None


def _order_findings(one: Described) -> Iterator[Finding]:
    options = one.description.options
    for low, high in (_LENGTHS, _BOUNDS):
        try:
            if low in options and high in options and options[low] > options[high]:
                yield Finding(problem=f"{low} is over {high}", place=(*one.place, "logicalTypeOptions", low), field=one.path)
        except TypeError:
            continue  # reported as no number already


def _identifier_findings(one: Described, uses: list[tuple[Version, Usage]]) -> Iterator[Finding]:
    identifier, sibling = one.description.fact("identifier"), one.description.fact("unverifiedBy")
    place = (*one.place, "customProperties")
    if identifier is not None:
        try:
            checker(str(identifier))
        except ConfigurationError as error:
            yield Finding(problem=str(error), place=place, field=one.path)
        if {kind(branch) for branch in uses[-1][1].branches} != {"string"}:
            yield Finding(problem="an identifier goes with a string", place=place, field=one.path)
    if sibling is None:
        return
    if identifier is None:
        yield Finding(problem="unverifiedBy goes with an identifier", place=place, field=one.path)
    path = ".".join([*one.path.split(".")[:-1], str(sibling)])
    for version, _ in uses:
        other = version.usages.get(path)
        if other is None or other.nullable or [kind(branch) for branch in other.branches] != ["boolean"]:
            problem = f"unverifiedBy names {sibling!r}, which is no boolean field beside it in v{version.number}"
            yield Finding(problem=problem, place=place, field=one.path)
            return


def key_findings(document: ContractDocument, versions: list[Version]) -> Iterator[Finding]:
    """Every reason why the key fields make no Kafka key."""
    keys = [one for one in described(document) if one.description.primary_key]
    if not keys:
        problem = "no property has primaryKey: true; the key decides which events stay in order"
        yield Finding(problem=problem, place=("schema", 0, "properties"))
    positions = sorted(one.description.primary_key_position or 1 for one in keys)
    if keys and positions != list(range(1, len(keys) + 1)):
        problem = "the primaryKeyPosition of the key fields must be 1, 2, ... each once"
        yield Finding(problem=problem, place=(*keys[-1].place, "primaryKeyPosition"), field=keys[-1].path)
    for one in keys:
        if reason := _key_problem(one.path, versions):
            yield Finding(problem=reason, place=(*one.place, "primaryKey"), field=one.path)


def _key_problem(path: str, versions: list[Version]) -> str | None:
    kinds = set()
    for version in versions:
        usage = version.usages.get(path)
        if usage is None:
            return f"a key field must be in every version, and v{version.number} does not have it"
        outer = {how for how in usage.inside if how != "record"}
        if outer or usage.nullable or len(usage.branches) != 1:
            why = f"it is inside {' and '.join(sorted(outer))}" if outer else "it may be null or of several types"
            return f"a key field must have one value in every event, and in v{version.number} {why}"
        if (name := kind(usage.branches[0])) in _NO_KEY and logical(usage.branches[0]) != "uuid":
            return f"a {logical(usage.branches[0]) or name} makes no key: equal values may be written in different ways"
        kinds.add(name)
    if len(kinds - {"int", "long"}) + bool(kinds & {"int", "long"}) > 1:
        return f"a key field must keep its type, and it is {' and '.join(sorted(kinds))} in different versions"
    return None
