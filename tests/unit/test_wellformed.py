"""Valid Avro, by the letter: every rule of the specification that a lenient parser passes over, with its place."""

from __future__ import annotations

from typing import Any

import pytest

from hutong.contracts.wellformed import faults
from tests.declaring import FI


def record(*fields: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": list(fields), **more}


def one(type_: Any, **more: Any) -> dict[str, Any]:
    return record({"name": "f", "type": type_, **more})


FIXED = {"type": "fixed", "name": "F", "size": 4}
ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}

BAD: list[tuple[Any, tuple[str | int, ...], str]] = [
    ("text", (), "not defined"),
    (17, (), "a schema is"),
    ({"type": "thing"}, ("type",), "primitive type, record"),
    ({"type": {"type": "string"}}, ("type",), "primitive type, record"),
    ({"type": "record", "fields": []}, ("name",), "needs a 'name'"),
    (record(name="no good"), ("name",), "needs a 'name'"),
    (record(name="string"), ("name",), "primitive type"),
    (record(namespace="a..b"), ("namespace",), "joined by dots"),
    ({"type": "record", "name": "R"}, (), "needs 'fields'"),
    (record(17), ("fields", 0), "field needs a 'name'"),
    (record({"name": "f"}), ("fields", 0), "needs a 'type'"),
    (record({"name": "f", "type": "int"}, {"name": "f", "type": "int"}), ("fields", 1), "two fields"),
    (record({"name": "f", "type": "int"}, {"name": "g", "aliases": ["f"], "type": "int"}), ("fields", 1), "two fields"),
    (one("int", aliases="x"), ("fields", 0, "aliases"), "list of names"),
    (one({**FIXED, "size": 0}), ("fields", 0, "type", "size"), "bytes from 1"),
    (one({"type": "array"}), ("fields", 0, "type"), "needs 'items'"),
    (one({"type": "map"}), ("fields", 0, "type"), "needs 'values'"),
    (one({**ENUM, "symbols": []}), ("fields", 0, "type", "symbols"), "needs 'symbols'"),
    (one({**ENUM, "symbols": ["a b"]}), ("fields", 0, "type", "symbols"), "needs 'symbols'"),
    (one({**ENUM, "symbols": ["A", "A"]}), ("fields", 0, "type", "symbols"), "twice"),
    (one({**ENUM, "default": "C"}), ("fields", 0, "type", "default"), "none of its symbols"),
    (one([]), ("fields", 0, "type"), "at least one branch"),
    (one(["null", ["int"]]), ("fields", 0, "type", 1), "directly inside"),
    (one(["int", {"type": "int", "logicalType": "date"}]), ("fields", 0, "type", 1), "two branches"),
    (one([record(name="a.X"), record(name="b.X")]), ("fields", 0, "type", 1), "two branches"),
    (record({"name": "a", "type": FIXED}, {"name": "b", "type": FIXED}), ("fields", 1, "type", "name"), "defined twice"),
    (one({"type": "string", "logicalType": "date"}), ("fields", 0, "type", "logicalType"), "goes with int"),
    (one({"type": "long", "logicalType": "timestamp"}), ("fields", 0, "type", "logicalType"), "no logical type"),
    (one({"type": "bytes", "logicalType": "decimal"}), ("fields", 0, "type", "logicalType"), "precision"),
    (one({"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}), ("fields", 0, "type", "logicalType"), "scale"),
    (one({**FIXED, "logicalType": "decimal", "precision": 10}), ("fields", 0, "type", "logicalType"), "do not fit"),
    (one({**FIXED, "logicalType": "uuid"}), ("fields", 0, "type", "logicalType"), "16 bytes"),
]


@pytest.mark.parametrize(("schema", "place", "words"), BAD)
def test_each_fault_is_found_at_its_place(schema: Any, place: tuple[str | int, ...], words: str) -> None:
    """One fault, its place in the JSON document, and words that say it."""
    found = faults(schema)
    assert [fault.place for fault in found] == [place], found
    assert words in found[0].problem


@pytest.mark.parametrize(
    ("type_", "default", "good"),
    [
        ("int", 2**31, False),
        ("int", -(2**31), True),
        ("long", True, False),
        ("double", 1, True),
        ("string", 1, False),
        ("bytes", "\u00ff", True),
        ("bytes", "\u0100", False),
        ("null", None, True),
        (["null", "string"], None, True),
        (["string", "null"], None, True),  # since 1.12, a default may fit any branch
        (["null", "int"], "x", False),
        (FIXED, "abcd", True),
        (FIXED, "abc", False),
        (ENUM, "B", True),
        (ENUM, "C", False),
        ({"type": "array", "items": "int"}, [1, 2], True),
        ({"type": "array", "items": "int"}, [1, "x"], False),
        ({"type": "array", "items": "int"}, {}, False),
        ({"type": "map", "values": "int"}, {"a": 1}, True),
        ({"type": "map", "values": "int"}, {"a": None}, False),
        (record({"name": "x", "type": "int"}, {"name": "y", "type": "int", "default": 1}, name="S"), {"x": 1}, True),
        (record({"name": "x", "type": "int"}, name="S"), {}, False),
        (record({"name": "x", "type": "int"}, name="S"), [], False),
        ({"type": "int", "logicalType": "date"}, 20_000, True),
        ({"type": "int", "logicalType": "date"}, 3_000_000, False),
        ({"type": "int", "logicalType": "time-millis"}, 86_400_000, False),
        ({"type": "long", "logicalType": "timestamp-micros"}, 253_402_300_800_000_000, False),
        ({"type": "string", "logicalType": "uuid"}, "0190163d-8694-739b-aea5-966c26f8ad91", True),
        ({"type": "string", "logicalType": "uuid"}, "none", False),
    ],
)
def test_defaults_must_fit_their_type(type_: Any, default: Any, good: bool) -> None:
    """A default is read where a field is missing: one that does not fit would break a reader years later."""
    found = faults(one(type_, default=default))
    assert not found if good else [fault.place for fault in found] == [("fields", 0, "default")]


def test_references_may_go_up_and_back() -> None:
    """Recursive types, full names and namespaces that are inherited are right."""
    inner = {
        "type": "record",
        "name": "Node",
        "fields": [{"name": "next", "type": ["null", "Node"]}, {"name": "up", "type": "a.b.R"}],
    }
    schema = record({"name": "node", "type": inner}, {"name": "again", "type": "a.b.Node"}, namespace="a.b")
    assert faults(schema) == []


def test_all_faults_come_at_once() -> None:
    """A schema with three faults is told of three."""
    schema = record({"name": "a", "type": "x"}, {"name": "b"}, {"name": "c", "type": {"type": "array"}})
    assert len(faults(schema)) == 3


def test_the_second_set_is_well_formed() -> None:
    """Every type and logical type of the second set passes."""
    import json

    for file in FI.rglob("*.avsc"):
        assert faults(json.loads(file.read_text(encoding="utf-8"))) == []
