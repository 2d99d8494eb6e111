"""Does a value keep its contract? Compiled once per schema into nested functions, so that a check costs a walk over the value.

A check returns the value in the form the Avro writer takes without guessing (union branches of records named, defaults filled in)
or raises ``ContractViolation`` with the exact path. Neighbours: ``rules`` has the facts, ``schema`` calls this before encoding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hutong.contracts.avro import MAX_DEPTH, Parsed, Schema, is_null, is_recursive, kind
from hutong.contracts.default_values import default_value
from hutong.contracts.identifiers import LONGEST, checker
from hutong.contracts.rules import ATTRIBUTE, FieldRules
from hutong.contracts.values import Broken, Check, leaf_check, text, type_name

__all__ = ["compile_check", "compile_field", "compile_rules"]

_MISSING = object()
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")  # of a field; what cannot be one may be somebody's number or name
_LEAVES = frozenset({str, int, float, bool, bytes, type(None)})  # most of what there is, and quicker to tell from a mapping
_MOST_PARTS = 1_000_000  # each takes a byte at least, and an event has no more

_Test = tuple[Callable[[Any], bool], str, str]
"""Whether a value keeps a rule, the rule's name, and what is wrong with one that does not."""


def compile_check(parsed: Parsed) -> Check:
    """The check of a whole schema.

    The returned function raises ``Broken``; whoever knows the contract's name turns that into ``ContractViolation``.
    """
    check = _Compiler(parsed).compile(parsed.root)
    if not is_recursive(parsed):
        return check

    def bounded(value: Any) -> Any:
        _refuse_deeper_than(value, MAX_DEPTH)
        return check(value)

    return bounded


def compile_rules(rules: FieldRules) -> Check:
    """The check of one field's rules alone, for a value that has its type already; null passes."""
    tests = tuple(_rule_tests(rules))
    if len(tests) != 1:
        return lambda value: _tested(value, tests)
    holds, rule, problem = tests[0]

    def checked(value: Any) -> Any:  # models ask this many times for each event
        if value is None or holds(value):
            return value
        raise Broken(rule, problem)

    return checked


def compile_field(schema: Schema, rules: FieldRules) -> Check:
    """The check of one field whose type holds no other, with its rules."""
    check = leaf_check(schema)
    return _with_rules(check, rules) if rules.checks_values else check


def _refuse_deeper_than(value: Any, limit: int) -> None:
    """Only a recursive schema lets a value nest without end; the walk itself must not recurse then.

    A list may hold itself, or one list twice on every level: what is the same is looked at once a level, and counted as often as
    it would be written.
    """
    level = {id(value): (value, 1)}
    parts = 0
    for _ in range(limit):
        below: dict[int, tuple[Any, int]] = {}
        for outer, times in level.values():
            for item in outer.values() if isinstance(outer, Mapping) else outer:
                if type(item) not in _LEAVES and isinstance(item, (Mapping, list, tuple)):
                    below[id(item)] = (item, below.get(id(item), (item, 0))[1] + times)
        if not below:
            return
        parts += sum(times for _, times in below.values())
        if parts > _MOST_PARTS:
            raise Broken("size", f"has more than {_MOST_PARTS:,} records, lists and maps in it")
        level = below
    raise Broken("depth", f"nested more than {limit} levels deep")


class _Compiler:
    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        self.records: dict[str, Check] = {}

    def compile(self, schema: Schema) -> Check:
        schema = self.parsed.resolve(schema)
        match kind(schema):
            case "record":
                return self.record(schema)
            case "union":
                return self.union(schema)
            case "array":
                return _array(self.compile(schema["items"]))
            case "map":
                return _map(self.compile(schema["values"]))
            case _:
                return leaf_check(schema)

    def record(self, schema: dict[str, Any]) -> Check:
        name = schema["name"]
        if name in self.records:  # recursive: look the function up when the value is there
            return lambda value: self.records[name](value)
        self.records[name] = lambda value: value  # replaced below; marks the name as being compiled
        fields = [(field["name"], self.field(field), self.default(field), f".{field['name']}") for field in schema["fields"]]
        known = frozenset(field[0] for field in fields)
        exemptions = _exemptions(schema)

        def check(value: Any) -> Any:
            if not isinstance(value, Mapping):
                raise Broken("type", f"expected a record of {name.rpartition('.')[2]}, got {type_name(value)}")
            if not known.issuperset(value):
                unknown = next(str(key) for key in value if key not in known)
                raise Broken(
                    "unknown_field",
                    f"the contract has no such field in this version; known are {', '.join(sorted(known))}",
                ).below(f".{unknown if _NAME.fullmatch(unknown) else '?'}")
            out = {}
            for key, test, default, segment in fields:
                item = value.get(key, default)
                if item is _MISSING:
                    raise Broken("missing", "the field is required and has no default").below(segment)
                if key not in value:
                    out[key] = item  # the schema's own default, valid by the schema's own check
                    continue
                try:
                    out[key] = test(item)
                except Broken as broken:
                    if broken.rule == "identifier" and value.get(exemptions.get(key, "")) is True:
                        out[key] = item
                        continue
                    raise broken.below(segment) from None
            return out

        self.records[name] = check
        return check

    def default(self, field: dict[str, Any]) -> Any:
        return default_value(field["default"], field["type"], self.parsed) if "default" in field else _MISSING

    def field(self, field: dict[str, Any]) -> Check:
        check = self.compile(field["type"])
        attribute = field.get(ATTRIBUTE)
        rules = FieldRules.model_validate(attribute) if attribute else None
        return _with_rules(check, rules) if rules and rules.checks_values else check

    def union(self, schema: list[Schema]) -> Check:
        resolved = [self.parsed.resolve(branch) for branch in schema]
        checks = [(branch, self.compile(branch)) for branch in resolved if not is_null(branch)]
        optional = len(checks) < len(resolved)
        if len(checks) == 1:
            only = checks[0][1]
            return (lambda value: None if value is None else only(value)) if optional else only
        return _general_union(checks, optional=optional)


def _general_union(checks: list[tuple[Schema, Check]], *, optional: bool) -> Check:
    labels = [_branch_name(branch) for branch, _ in checks]
    short = {label.rpartition(".")[2]: i for i, label in enumerate(labels)}
    by_label = {label: i for i, label in enumerate(labels)} | short
    expected = ", ".join(label.rpartition(".")[2] for label in labels)

    def check(value: Any) -> Any:
        if value is None and optional:
            return None
        if isinstance(value, tuple) and len(value) == 2 and value[0] in by_label:
            i = by_label[value[0]]
            return _tagged(checks[i][0], labels[i], checks[i][1](value[1]))
        deepest: Broken | None = None
        for (branch, test), label in zip(checks, labels, strict=True):
            try:
                return _tagged(branch, label, test(value))
            except Broken as broken:
                if deepest is None or len(broken.segments) > len(deepest.segments):
                    deepest = broken
        if deepest is not None and deepest.segments:
            raise deepest
        raise Broken("type", f"expected one of {expected}{', or null' if optional else ''}, got {type_name(value)}")

    return check


def _tagged(branch: Schema, label: str, value: Any) -> Any:
    return (label, value) if kind(branch) == "record" else value


def _branch_name(branch: Schema) -> str:
    return str(branch["name"]) if isinstance(branch, dict) and "name" in branch else kind(branch)


def _exemptions(schema: dict[str, Any]) -> dict[str, str]:
    found = {}
    for field in schema["fields"]:
        sibling = (field.get(ATTRIBUTE) or {}).get("unverifiedBy")
        if sibling:
            found[field["name"]] = sibling
    return found


def _with_rules(check: Check, rules: FieldRules) -> Check:
    tests = tuple(_rule_tests(rules))
    return lambda value: _tested(check(value), tests)


def _tested(value: Any, tests: tuple[_Test, ...]) -> Any:
    if value is not None:
        for holds, rule, problem in tests:
            if not holds(value):
                raise Broken(rule, problem)
    return value


def _rule_tests(rules: FieldRules) -> Iterator[_Test]:
    if rules.minimum is not None or rules.maximum is not None:
        low, high = rules.minimum, rules.maximum
        yield (
            lambda value: (low is None or value >= low) and (high is None or value <= high),
            "range",
            f"must be between {low if low is not None else 'any'} and {high if high is not None else 'any'}",
        )
    if rules.min_length is not None or rules.max_length is not None:
        shortest, longest = rules.min_length or 0, rules.max_length if rules.max_length is not None else 2**31
        yield lambda value: shortest <= len(value) <= longest, "length", f"must have {shortest} to {longest} characters"
    if rules.pattern is not None:
        pattern = re.compile(rules.pattern)
        yield lambda value: pattern.fullmatch(value) is not None, "pattern", f"must match the pattern {rules.pattern}"
    if rules.codes is not None:
        codes = frozenset(rules.codes)
        yield codes.__contains__, "code_list", f"must be a code of the list {rules.code_list}"
    if rules.identifier is not None:
        is_number = checker(rules.identifier)
        yield (
            lambda value: len(value) <= LONGEST and is_number(value),
            "identifier",
            f"is not a valid {rules.identifier} number",
        )


def _array(item: Check) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise Broken("type", f"expected an array, got {type_name(value)}")
        out = []
        for i, one in enumerate(value):
            try:
                out.append(item(one))
            except Broken as broken:
                raise broken.below(f"[{i}]") from None
        return out

    return check


def _map(item: Check) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Broken("type", f"expected a map, got {type_name(value)}")
        out = {}
        for i, (key, one) in enumerate(value.items()):
            try:
                out[text(key)] = item(one)
            except Broken as broken:
                raise broken.below(f"[entry {i}]") from None  # a key may be personal data
        return out

    return check
