"""The guard accepts exactly what Avro calls one value of the schema, and never hangs, crashes or grows on bytes."""

from __future__ import annotations

import io
import time
import tracemalloc
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.contracts.avro import MAX_DEPTH, parse
from hutong.errors import MalformedEvent
from hutong.transcode.guard import compile_guard
from tests.avro_random import schemas_with_values


def encode(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def record(type_: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": "a", "type": type_}]}


def varint(number: int) -> bytes:
    number = (number << 1) ^ (number >> 63)
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


@given(schemas_with_values())
def test_every_encoded_value_passes(case: tuple[dict[str, Any], Any]) -> None:
    """What an Avro writer makes is accepted."""
    schema, value = case
    compile_guard(parse(schema))(b"frame" + encode(schema, value), 5)


@given(schemas_with_values(), st.data())
def test_truncated_and_overlong_values_are_refused(case: tuple[dict[str, Any], Any], data: st.DataObject) -> None:
    """No strict prefix of a value is a value, and nothing may follow it."""
    schema, value = case
    guard, body = compile_guard(parse(schema)), encode(schema, value)
    with pytest.raises(MalformedEvent):
        guard(body + b"\0", 0)
    if body:
        with pytest.raises(MalformedEvent):
            guard(body[: data.draw(st.integers(0, len(body) - 1))], 0)


@given(schemas_with_values(), st.data())
def test_what_passes_can_be_decoded(case: tuple[dict[str, Any], Any], data: st.DataObject) -> None:
    """Bytes that pass, however they came about, are read to their last byte by a decoder that trusts them."""
    schema, value = case
    body = bytearray(encode(schema, value))
    for _ in range(data.draw(st.integers(1, 4))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        compile_guard(parse(schema))(bytes(body), 0)
    except MalformedEvent:
        return
    stream = io.BytesIO(bytes(body))
    try:
        fastavro.schemaless_reader(stream, fastavro.parse_schema(schema), None)
    except (UnicodeDecodeError, ValueError, OverflowError):
        return  # content that a field's logical type cannot take; the transcoder refuses it after the guard
    assert stream.tell() == len(body)


LINKED = {"type": "record", "name": "L", "fields": [{"name": "n", "type": ["null", "L"]}]}
TRAPS = {
    "negative string length": (record("string"), b"\x01abc"),
    "string of 2^62 bytes": (record("string"), varint(2**62) + b"abc"),
    "bytes of 2^62": (record("bytes"), varint(2**62)),
    "enum index -1": (record({"type": "enum", "name": "E", "symbols": ["A"]}), b"\x01"),
    "enum index past the end": (record({"type": "enum", "name": "E", "symbols": ["A"]}), b"\x02"),
    "union index -1": (record(["null", "string"]), b"\x01"),
    "union index past the end": (record(["null", "string"]), b"\x04"),
    "boolean 7": (record("boolean"), b"\x07"),
    "int of 64 bits": (record("int"), varint(2**40)),
    "varint of 11 bytes": (record("long"), b"\xff" * 10 + b"\x01"),
    "varint over 64 bits": (record("long"), b"\xff" * 9 + b"\x7f"),
    "array of 2^62 nulls": (record({"type": "array", "items": "null"}), varint(2**62) + b"\0"),
    "array of 2^62 strings": (record({"type": "array", "items": "string"}), varint(2**62)),
    "map of 2^62 nulls": (record({"type": "map", "values": "null"}), varint(2**62)),
    "false block size": (record({"type": "array", "items": "int"}), varint(-1) + varint(9) + b"\x02\0"),
    "negative block size": (record({"type": "array", "items": "int"}), varint(-1) + varint(-5) + b"\x02\0"),
    "block count -2^63": (record({"type": "array", "items": "int"}), varint(-(2**63)) + varint(1) + b"\x02\0"),
    "a million levels": (LINKED, b"\x02" * 1_000_000 + b"\0"),
    "one level too many": (LINKED, b"\x02" * (MAX_DEPTH + 1) + b"\0"),
    "nothing": (record("string"), b""),
}


@pytest.mark.parametrize(("schema", "body"), TRAPS.values(), ids=TRAPS.keys())
def test_traps_are_refused_at_once(schema: Any, body: bytes) -> None:
    """Hand-made malice is refused without time or memory that its own length does not explain."""
    guard = compile_guard(parse(schema))
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(MalformedEvent, match="undecodable"):
        guard(body, 0)
    seconds, (_, peak) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 1
    assert peak < 200_000


def test_levels_up_to_the_limit_pass() -> None:
    """The limit itself is allowed."""
    compile_guard(parse(LINKED))(b"\x02" * (MAX_DEPTH - 1) + b"\0", 0)


def test_negative_blocks_with_true_sizes_pass() -> None:
    """Writers may state a block's size to let readers skip it."""
    body = varint(-2) + varint(2) + b"\x02\x04" + b"\0"
    compile_guard(parse(record({"type": "array", "items": "int"})))(body, 0)
