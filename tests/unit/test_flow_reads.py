"""An expression that is given what it reads gives what it gives on everything: the samples' expressions, and odd ones."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hutong.agreements.cel import compile_expression
from hutong.flows.expressions import _FUNCTIONS
from hutong.flows.reads import part_of, reads
from tests.flow_samples import DOCUMENT

FLOWS = Path(__file__).resolve().parents[2] / "schemas" / "flows"
NAMES = frozenset({"case", "data", "answers", "figures", "item", "people", "question", "report", "results", "members"})
ODD = [
    "data.list.map(r, r.a).size() == data.list.size()",
    "data.list.filter(r, r.a > 1)",
    "data.list.filter(r, r.a > 1).map(s, s.b)",
    "data.list.filter(r, r.a > 1)[0].b",
    "data.list.exists(r, r == data.a)",
    "data.list.all(r, has(r.a) && r.a != null)",
    "data.list.exists_one(r, r.a.b == 1)",
    "data.list.map(r, r['a'])",
    "data.list.map(r, {'a': r.a, 'c': r.b.c})",
    "data.list.map(r, r.a + data.list.size())",
    "data . list . map ( r , r . a )",
    "(data.list + data.more).map(r, r.a)",
    "data.map(k, data[k]).size()",
    "data.list.map(r, r.list.size())",
    "data.list.map(data, data.a)",
    "data.list.map(r, '(' + r.a + 'r.b')",
    "data.list.map(r, 1)",
    "data.list.map(r, r.a > 1, r.b)",
    "data.a == data.list",
    "item.list.map(r, r.a) == data.list.map(r, r.b)",
    "size(data.list.filter(r, r.a in data.more)) > 0",
]
KEYS = re.compile(r"[A-Za-z_]\w*")
LEAVES: list[Any] = [None, True, 0, 1, 2, 1.5, "", "x", "2026-01-05", []]


def expressions() -> list[str]:
    """Every CEL text of the flows, and the odd ones."""
    found: list[str] = []

    def look(part: Any, name: str = "") -> None:
        if isinstance(part, dict):
            for key, below in part.items():
                look(below, str(key))
        elif isinstance(part, list | tuple):
            for one in part:
                look(one, name)
        elif isinstance(part, str) and name in ("cel", "when", "given"):
            found.append(part)

    for path in sorted(FLOWS.glob("*.yaml")):
        look(yaml.safe_load(path.read_text("utf-8")))
    look(DOCUMENT)
    return [one for one in dict.fromkeys(found + ODD) if variables(one) <= NAMES and variables(one)]


def variables(text: str) -> set[str]:
    import cel

    program = cel.compile(text)
    bound = set(re.findall(r"\(\s*([A-Za-z_]\w*)\s*,", text))
    return set(program.variables()) - (bound - NAMES)


def some(chance: random.Random, keys: list[str], depth: int) -> Any:
    """A value with the names that an expression uses, often where it looks for them."""
    kind = chance.random()
    if depth == 0 or kind < 0.25:
        return chance.choice(LEAVES)
    if kind < 0.55:
        return [some(chance, keys, depth - 1) for _ in range(chance.randrange(4))]
    return {key: some(chance, keys, depth - 1) for key in keys if chance.random() < 0.8} | {"z": 1}


def outcome(evaluate: Any, context: dict[str, Any]) -> Any:
    try:
        return in_order(evaluate(context))
    except ValueError:
        return "cannot"


def in_order(value: Any) -> str:
    """As text; CEL goes through a mapping in any order, and so may a list come out that it makes of one."""
    if isinstance(value, dict):
        return str(sorted((key, in_order(one)) for key, one in value.items()))
    return str(sorted(map(in_order, value))) if isinstance(value, list) else repr(value)


@pytest.mark.parametrize("text", expressions())
def test_what_an_expression_does_not_read_makes_no_difference(text: str) -> None:
    """Also where something is missing, null, or of another kind."""
    chance = random.Random(text)
    evaluate, wanted = compile_expression(text, NAMES, _FUNCTIONS, converted=True), reads(text, NAMES)
    keys = sorted(set(KEYS.findall(text)) - {"map", "filter", "exists", "all", "size", "null", "true", "false", "in"})
    seen = set()
    for _ in range(150):
        whole = {name: some(chance, keys, 4) for name in sorted(NAMES)}
        part = {name: part_of(whole[name], below) for name, below in wanted.items()}
        seen.add(outcome(evaluate, whole))
        assert outcome(evaluate, {**whole, **part}) == outcome(evaluate, whole)
    if text not in ODD:
        assert wanted.keys() == variables(text)


def test_it_is_given_little() -> None:
    """Of each item of a list what the loop reads; all of it where an item may come out as it is."""
    data = {"list": [{"a": 1, "b": 2}, {"b": 3}], "more": [1], "a": 1}
    some = {
        "data.list.map(r, r.a)": {"list": [{"a": 1}, {}]},
        "data.list.filter(r, r.a == 1).map(s, s.b)": {"list": data["list"]},
        "data.list.filter(r, r.a == 1)": {"list": data["list"]},
        "data.list.exists(r, r == 1)": {"list": data["list"]},
        "data.a + data.more[0]": {"a": 1, "more": [1]},
        "data.list.map(r, r.a).size() + data.list.size()": {"list": data["list"]},
        "data == item": data,
    }
    for text, part in some.items():
        assert part_of(data, reads(text, NAMES)["data"]) == part, text
