"""Schema resolution: single rules with their paths, and random evolutions against fastavro as the oracle."""

from __future__ import annotations

import copy
import io
import random
from typing import Any

import fastavro
import pytest

from hutong.contracts.avro import parse
from hutong.contracts.compatibility import evolution_problems, incompatibilities
from hutong.errors import DeclarationError

DATE = {"type": "int", "logicalType": "date"}


def record(*fields: Any, name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [dict(f) for f in fields], **more}


def one(type_: Any, **more: Any) -> dict[str, Any]:
    return record({"name": "f", "type": type_, **more})


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def found(reader: Any, writer: Any) -> list[tuple[str, str]]:
    return [(p.path, p.kind) for p in incompatibilities(parse(reader), parse(writer))]


NODE = record({"name": "v", "type": "int"}, {"name": "next", "type": ["null", "Node"]}, name="Node")
WIDE_NODE = record({"name": "v", "type": "long"}, {"name": "next", "type": ["null", "Node"]}, name="Node")
TEXT_NODE = record({"name": "v", "type": "string"}, {"name": "next", "type": ["null", "Node"]}, name="Node")
A = record({"name": "x", "type": "int"}, name="A")
B = record({"name": "y", "type": "int"}, name="B")
B_TEXT = record({"name": "y", "type": "string"}, name="B")


@pytest.mark.parametrize(
    ("reader", "writer", "expected"),
    [
        (one("long"), one("int"), []),
        (one("double"), one("float"), []),
        (one("bytes"), one("string"), []),
        (one("string"), one("bytes"), []),
        (one("int"), one("long"), [("f", "type")]),
        (one("boolean"), one("int"), [("f", "type")]),
        (record(), one("int"), []),
        (one("int"), record(), [("f", "missing_default")]),
        (one("int", default=1), record(), []),
        (record({"name": "g", "type": "int", "aliases": ["f"]}), one("int"), []),
        (
            record({"name": "g", "type": "int", "aliases": ["f"]}),
            record({"name": "f", "type": "int"}, {"name": "g", "type": "int"}),
            [("g", "alias")],
        ),
        (one(enum("A", "B")), one(enum("A")), []),
        (one(enum("A")), one(enum("A", "B")), [("f", "symbols")]),
        (one(enum("A", default="A")), one(enum("A", "B")), []),
        (one({"type": "fixed", "name": "F", "size": 4}), one({"type": "fixed", "name": "F", "size": 5}), [("f", "size")]),
        (one({"type": "fixed", "name": "G", "size": 4, "aliases": ["F"]}), one({"type": "fixed", "name": "F", "size": 4}), []),
        (one({"type": "fixed", "name": "G", "size": 4}), one({"type": "fixed", "name": "F", "size": 4}), [("f", "name")]),
        (one(["null", "int"]), one("int"), []),
        (one("int"), one(["null", "int"]), [("f", "type")]),
        (one(["null", "string"]), one("int"), [("f", "branch")]),
        (one(["null", "long"]), one(["null", "int"]), []),
        (one(["null", "int"]), one(["null", "int", "string"]), [("f", "branch")]),
        (one(["null", A, B_TEXT]), one([A, B]), [("f.B.y", "type")]),
        (one({"type": "array", "items": "long"}), one({"type": "array", "items": "int"}), []),
        (one({"type": "array", "items": "int"}), one({"type": "array", "items": "string"}), [("f", "type")]),
        (
            one({"type": "map", "values": A}),
            one({"type": "map", "values": record({"name": "x", "type": "string"}, name="A")}),
            [("f.x", "type")],
        ),
        (WIDE_NODE, NODE, []),
        (NODE, WIDE_NODE, [("v", "type")]),
        (TEXT_NODE, NODE, [("v", "type")]),
        (one(DATE), one("int"), [("f", "meaning")]),
        (one("string"), one({"type": "string", "logicalType": "uuid"}), []),
        (one({"type": "int", "logicalType": "uuid"}), one("int"), []),
        (
            one({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
            one({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}),
            [("f", "meaning")],
        ),
        ({**record(name="a.X")}, {**record(name="b.X")}, []),
        (record(name="Y"), record(name="X"), [("", "name")]),
        (record(name="Y", aliases=["X"]), record(name="X"), []),
    ],
)
def test_each_rule_of_resolution(reader: Any, writer: Any, expected: list[tuple[str, str]]) -> None:
    """Every rule of the specification, with the path where it fails."""
    assert found(reader, writer) == expected


def test_every_problem_is_found_at_once() -> None:
    """A reader with three faults is told of all three, and each reason is in words."""
    writer = record({"name": "a", "type": "string"}, {"name": "b", "type": enum("A", "B")})
    reader = record({"name": "a", "type": "int"}, {"name": "b", "type": enum("A")}, {"name": "c", "type": "int"})
    problems = incompatibilities(parse(reader), parse(writer))
    assert [p.path for p in problems] == ["a", "b", "c"]
    assert "lacks B" in problems[1].reason


def test_modes_are_transitive() -> None:
    """v3 may read v2 and still break v1; FULL finds what either direction breaks."""
    v1, v2, v3 = (parse(s) for s in (one("int"), one("int", default=0), record({"name": "g", "type": "int", "default": 0})))
    versions = [(1, v1), (2, v2), (3, v3)]
    assert list(evolution_problems(versions, "BACKWARD")) == []
    assert [(e.reader, e.writer) for e in evolution_problems(versions, "FORWARD")] == [(1, 3)]
    assert [(e.reader, e.writer, e.problem.path) for e in evolution_problems(versions, "FULL")] == [(1, 3, "f")]


# --- random evolutions -------------------------------------------------------------------------------------------------------


class Evolver:
    """Random writer schemas, and random changes to them; seeded, so that a failure can be repeated."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.count = 0
        self.defined: list[str] = []

    def name(self) -> str:
        self.count += 1
        return f"N{self.count}"

    def type(self, depth: int) -> Any:
        choices = (
            ["primitive"] * 4 + ["logical", "enum", "fixed"] + (["record", "array", "map", "union", "ref"] * 2 if depth else [])
        )
        match self.rng.choice(choices):
            case "primitive":
                return self.rng.choice(["boolean", "int", "long", "float", "double", "bytes", "string"])
            case "logical":
                return dict(self.rng.choice([DATE, {"type": "long", "logicalType": "timestamp-millis"}]))
            case "enum":
                return {"type": "enum", "name": self.name(), "symbols": ["A", "B", "C"][: self.rng.randint(1, 3)]}
            case "fixed":
                return {"type": "fixed", "name": self.name(), "size": self.rng.randint(1, 3)}
            case "record":
                return self.record(depth - 1)
            case "array":
                return {"type": "array", "items": self.type(depth - 1)}
            case "map":
                return {"type": "map", "values": self.type(depth - 1)}
            case "union":
                return ["null", self.not_union(depth - 1), *([self.record(depth - 1)] if self.rng.random() < 0.4 else [])]
            case _:
                return ["null", self.rng.choice(self.defined)] if self.defined else "string"

    def not_union(self, depth: int) -> Any:
        while isinstance(drawn := self.type(depth), list):
            pass
        return drawn

    def record(self, depth: int) -> dict[str, Any]:
        name = self.name()
        self.defined.append(name)
        fields = [{"name": f"f{i}", "type": self.type(depth)} for i in range(self.rng.randint(1, 4))]
        return {"type": "record", "name": name, "fields": fields}

    def evolve(self, schema: Any) -> Any:
        if isinstance(schema, list):
            out = [branch if isinstance(branch, str) else self.evolve(branch) for branch in schema]
            return self.rng.choice([out, out, out, out[1:], list(reversed(out))]) or out
        changed = self.rng.random() < 0.15
        if isinstance(schema, str):
            if not changed or schema == "null":
                return schema
            wider = {"int": ["long", "double"], "long": ["float"], "float": ["double"], "string": ["bytes"], "bytes": ["string"]}
            return self.rng.choice([*wider.get(schema, [schema]), "int", ["null", schema]])
        schema = dict(schema)
        match schema["type"]:
            case "enum" if changed:
                schema["symbols"] = self.rng.choice([["A"], ["A", "B", "C", "D"]])
                schema |= self.rng.choice([{}, {"default": "A"}])
            case "fixed" if changed:
                schema["size"] += 1
            case "array":
                schema["items"] = self.evolve(schema["items"])
            case "map":
                schema["values"] = self.evolve(schema["values"])
            case "record":
                self.evolve_record(schema)
        return schema

    def evolve_record(self, schema: dict[str, Any]) -> None:
        fields = [{**f, "type": self.evolve(f["type"])} for f in schema["fields"] if self.rng.random() > 0.07]
        for f in fields:
            if self.rng.random() < 0.07:
                f |= {"name": f"renamed_{f['name']}", "aliases": [f["name"]]}
        if self.rng.random() < 0.1:
            fields.append({"name": "added", "type": "int", **self.rng.choice([{}, {"default": 1}])})
        self.rng.shuffle(fields)
        schema["fields"] = fields


def values(schema: Any, named: dict[str, Any], depth: int) -> list[Any]:
    """Values that together take every branch and every symbol, as far down as ``depth``."""
    if isinstance(schema, list):
        out = []
        for branch in schema:
            full = named.get(branch, branch) if isinstance(branch, str) else branch
            if isinstance(full, dict) and full["type"] == "record":
                out += [(full["name"], v) for v in values(full, named, depth - 1)] if depth else []
            else:
                out += values(branch, named, depth)
        return out
    if isinstance(schema, str) and schema in named:
        return values(named[schema], named, depth)
    match schema if isinstance(schema, str) else schema["type"]:
        case "null":
            return [None]
        case "boolean":
            return [True]
        case "int" | "long":
            return [7]
        case "float" | "double":
            return [0.5]
        case "bytes":
            return [b"ascii"]  # bytes that are no UTF-8 cannot become a string, whatever the schemas say
        case "string":
            return ["text"]
        case "enum":
            return list(schema["symbols"])
        case "fixed":
            return [b"x" * schema["size"]]
        case "array":
            return [values(schema["items"], named, depth)]
        case "map":
            return [{str(i): v for i, v in enumerate(values(schema["values"], named, depth))}]
        case _:
            return _records(schema, named, depth)


def _records(schema: dict[str, Any], named: dict[str, Any], depth: int) -> list[Any]:
    columns = {f["name"]: values(f["type"], named, depth) for f in schema["fields"]}
    if not all(columns.values()):
        return []
    return [{name: c[i % len(c)] for name, c in columns.items()} for i in range(max(map(len, columns.values())))]


def plain(schema: Any) -> Any:
    """Without logical types: fastavro takes the writer's and ignores the reader's, so it cannot judge them."""
    if isinstance(schema, list):
        return [plain(branch) for branch in schema]
    if isinstance(schema, dict):
        return {k: plain(v) if k in {"type", "items", "values", "fields"} else v for k, v in schema.items() if k != "logicalType"}
    return schema


def resolves(reader: Any, writer: Any) -> bool:
    """Whether fastavro reads every covering value; raises what fastavro itself cannot do."""
    named: dict[str, Any] = {}
    parsed_writer, parsed_reader = fastavro.parse_schema(plain(writer), named), fastavro.parse_schema(plain(reader))
    for value in values(parsed_writer, named, 3):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed_writer, value)
        try:
            fastavro.schemaless_reader(io.BytesIO(out.getvalue()), parsed_writer, parsed_reader)
        except fastavro.read.SchemaResolutionError:
            return False
    return True


@pytest.mark.parametrize("block", range(10))
def test_verdicts_agree_with_fastavro(block: int) -> None:
    """Of random evolutions, "yes" means that fastavro reads every value, and "no" that it fails on one."""
    verdicts = {True: 0, False: 0}
    for seed in range(block * 200, block * 200 + 200):
        evolver = Evolver(seed)
        writer = evolver.record(3)
        reader = evolver.evolve(copy.deepcopy(writer))
        try:
            problems = incompatibilities(parse(plain(reader)), parse(plain(writer)))
        except DeclarationError:
            continue  # the change took away a definition that is referred to
        assert resolves(reader, writer) == (not problems), (seed, reader, writer, problems)
        verdicts[not problems] += 1
    assert min(verdicts.values()) > 20
