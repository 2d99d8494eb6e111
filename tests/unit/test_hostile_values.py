"""Values that are hostile to whoever reads or writes them: what is refused, and that refusing costs neither time nor memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from hutong.contracts.avro import parse
from hutong.contracts.decoder import UNREADABLE, compile_read, generate_read
from hutong.contracts.encoder import UNSURE, compile_pack, generate_pack
from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.decoding import Decoder
from hutong.errors import ContractViolation, EventTooLarge, MalformedEvent
from hutong.testing import Bus
from hutong.transcode.compiled import CompiledTranscoder
from hutong.transcode.guard import compile_guard
from hutong.transcode.leaves import long_bytes
from hutong.transcode.native.transcoder import extension
from hutong.transcode.reference import ReferenceTranscoder
from tests.fuzz.agreements import event_schema, native, plan, versions
from tests.fuzz.surfaces.publishing import Evil, traps
from tests.fuzz.surfaces.writers import MESHES
from tests.samples import CONTRACT, PERSON_REGISTERED, contract_root, generated, person

needs_extension = pytest.mark.skipif(extension is None, reason="the extension hutong_native is not built")


def text(content: str) -> bytes:
    return long_bytes(len(content.encode())) + content.encode()


def with_field(type_: Any) -> EventSchema:
    return event_schema({"type": "record", "name": "R", "fields": [{"name": "a", "type": type_}]})


def all_ways(event: EventSchema, key: bytes, value: bytes) -> dict[str, Any]:
    """What each transcoder says: its deliveries, or why there are none; and the SDK's decoder."""
    made = plan("p", event, [{"field": "k"}, {"field": "a"}], [])
    assert made is not None
    ways: list[Any] = [ReferenceTranscoder(event, versions(event, [made])), CompiledTranscoder(event, versions(event, [made]))]
    if extension is not None:
        ways.append(native(event, versions(event, [made])))
    said: dict[str, Any] = {}
    for way in ways:
        try:
            said[type(way).__name__] = [output.value for output in way.transcode(key, value, (1, 1)).outputs]
        except MalformedEvent as error:
            said[type(way).__name__] = error.problem
    try:
        said["Decoder"] = Decoder(Schemas(event.schema)).decode(value)
    except MalformedEvent as error:
        said["Decoder"] = error.problem
    return said


class Schemas:
    """A registry with one schema."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema

    def latest(self, subject: str) -> None: ...
    def versions(self, subject: str) -> list[int]:
        return []

    def version(self, subject: str, number: int) -> Any: ...
    def by_id(self, schema_id: int) -> Any:
        return self.schema

    def clock_offset(self) -> None: ...


@pytest.mark.parametrize("count", [2, 40])
@pytest.mark.parametrize("blocks", [1, 2])
def test_a_map_has_each_key_once(count: int, blocks: int) -> None:
    """Of two values under one key, one reader keeps the first and another the last: what is granted must be one of them."""
    event = with_field({"type": "map", "values": "int"})
    entries = [text(f"key {number}") + long_bytes(number) for number in range(count)]
    parts = [entries] if blocks == 1 else [entries[:1], entries[1:]]
    good = b"".join(long_bytes(len(part)) + b"".join(part) for part in parts) + b"\0"
    doubled = b"".join(long_bytes(len(part)) + b"".join(part) for part in parts) + long_bytes(1) + entries[0] + b"\0"
    fine = all_ways(event, b"k", frame(7) + text("k") + good)
    assert fine.pop("Decoder")["a"] == {f"key {number}": number for number in range(count)}
    assert all(len(outputs) == 1 for outputs in fine.values())
    refused = all_ways(event, b"k", frame(7) + text("k") + doubled)
    assert set(refused.values()) == {"a map has a key twice"}


def test_maps_inside_lists_and_maps_are_looked_at_too() -> None:
    """At any depth; the same key in two maps is none twice."""
    inner = long_bytes(1) + text("x") + long_bytes(5)
    event = with_field({"type": "array", "items": {"type": "map", "values": "int"}})
    fine = all_ways(event, b"k", frame(7) + text("k") + long_bytes(2) + (inner + b"\0") * 2 + b"\0")
    assert fine["Decoder"]["a"] == [{"x": 5}, {"x": 5}]
    refused = all_ways(event, b"k", frame(7) + text("k") + long_bytes(1) + inner * 2 + b"\0" + b"\0")
    assert set(refused.values()) == {"a map has a key twice"}


def test_a_uuid_has_one_form() -> None:
    """In lower case, as RFC 9562 has it written: recipients compare texts, and pseudonyms and keys are made of them."""
    event = with_field({"type": "string", "logicalType": "uuid"})
    right = "01890a5d-ac96-774b-bcce-b302099a8057"
    fine = all_ways(event, b"k", frame(7) + text("k") + text(right))
    assert fine.pop("Decoder")["a"] == UUID(right)
    assert len({tuple(outputs) for outputs in fine.values()}) == 1
    for wrong in (right.upper(), right.replace("a", "A", 1), f"{{{right[1:-1]}}}", right.replace("-", " "), "x" * 36):
        refused = all_ways(event, b"k", frame(7) + text("k") + text(wrong))
        assert set(refused.values()) == {"a UUID is not written in its usual form, in lower case"}


NOTHING = {"type": "record", "name": "N", "fields": [{"name": "n", "type": "null"}]}
LINKED = {"type": "record", "name": "L", "fields": [{"name": "n", "type": ["null", "L"]}]}
BOMBS = {
    "2^62 nulls": ({"type": "array", "items": "null"}, long_bytes(2**62) + b"\0"),
    "nulls, block by block": ({"type": "array", "items": "null"}, long_bytes(60_000) * 20_000 + b"\0"),
    "empty records, block by block": ({"type": "array", "items": NOTHING}, long_bytes(60_000) * 20_000 + b"\0"),
    "lists of nulls": (
        {"type": "array", "items": {"type": "array", "items": "null"}},
        long_bytes(10_000) + (long_bytes(40_000) + b"\0") * 10_000 + b"\0",
    ),
    "2^40 texts": ({"type": "array", "items": "string"}, long_bytes(2**40)),
    "a text of 2^62 bytes": ("string", long_bytes(2**62) + b"abc"),
    "bytes of 2^40": ("bytes", long_bytes(2**40)),
    "a million levels": (LINKED, b"\x02" * 1_000_000 + b"\0"),
}


@pytest.mark.parametrize(("type_", "body"), BOMBS.values(), ids=BOMBS.keys())
def test_the_sdk_does_not_build_what_some_bytes_stand_for(type_: Any, body: bytes) -> None:
    """Refused in the time and the memory that their own length explains; fastavro, asked alone, would hang or crash on them."""
    value = frame(7) + text("k") + body
    decoder = Decoder(Schemas(with_field(type_).schema))
    with pytest.raises(MalformedEvent, match="undecodable"):
        decoder.decode(frame(7))  # compiled now, not in the time that counts
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(MalformedEvent, match="undecodable"):
        decoder.decode(value)
    seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 1  # under the tracer, which makes it ten times slower
    assert peak < 10 * len(value) + 1_000_000


def test_neither_form_of_the_quick_decoder_takes_a_key_twice() -> None:
    """They leave it to the guard, which says so."""
    parsed = with_field({"type": "map", "values": "int"}).parsed
    doubled = text("k") + long_bytes(2) + (text("x") + long_bytes(5)) * 2 + b"\0"
    for read in (compile_read(parsed), generate_read(parsed)):
        assert read is not None
        with pytest.raises(UNREADABLE):
            read(doubled, 0)


@pytest.mark.parametrize("schema", MESHES)
def test_a_mesh_of_records_costs_what_its_names_do(schema: dict[str, Any]) -> None:
    """Forty records, each twice in the one above: whoever writes code for every way through them would never be done."""
    began = time.process_time()
    event = EventSchema(schema)
    with pytest.raises(MalformedEvent):
        Decoder(Schemas(schema)).decode(frame(7) + text("k"))
    with pytest.raises(MalformedEvent):
        compile_guard(parse(schema))(text("k"), 0)
    with pytest.raises(ContractViolation):
        event.pack({"k": "k"})
    assert time.process_time() - began < 5


TREE: dict[str, Any] = {
    "type": "record",
    "name": "T",
    "fields": [{"name": "n", "type": {"type": "array", "items": "T"}, "default": []}],
}


def nested(depth: int, times: int) -> Any:
    made: Any = {"n": []}
    for _ in range(depth):
        made = {"n": [made] * times}
    return made


def itself() -> Any:
    made: dict[str, Any] = {"n": []}
    made["n"] += [made, made]
    return made


@pytest.mark.parametrize(("make", "rule"), [(itself, "size"), (lambda: nested(60, 2), "size"), (lambda: nested(70, 1), "depth")])
def test_data_that_hold_themselves_are_refused(make: Callable[[], Any], rule: str) -> None:
    """What is one list in Python and 2^60 in Avro is not written out to find that out."""
    schema = with_field(TREE)
    began = time.process_time()
    with pytest.raises(ContractViolation) as caught:
        schema.pack({"k": "k", "a": make()})
    assert caught.value.rule == rule
    assert time.process_time() - began < 1
    schema.pack({"k": "k", "a": nested(30, 1)})


def test_every_trap_is_a_violation_in_every_field() -> None:
    """Objects that lie about their length, raise when compared, or hold themselves; what they raise themselves may come out."""
    schema = EventSchema(PERSON_REGISTERED)
    for field in ("number", "person", "status", "fee", "entered", "class", "tags"):
        for trap in traps():
            try:
                schema.pack(person(**{field: trap}))
            except ContractViolation:
                continue
            except Evil:
                continue


def test_a_text_of_64_megabytes_is_refused_and_forgotten() -> None:
    """By its contract's rules, or as an event that is too large; nothing of it stays."""
    bus = Bus(models=[generated(contract_root(PERSON_REGISTERED)).PersonRegistered])
    huge = "x" * (64 * 2**20)
    with bus.publisher("kin.registry") as publisher:
        for changes in ({"tags": [huge]}, {"number": huge}, {"region": huge}, {"status": huge}):
            with pytest.raises((ContractViolation, EventTooLarge)) as caught:
                publisher.publish(person(**changes), CONTRACT)
            assert len(str(caught.value)) < 500


NUMBERED: dict[str, Any] = {
    "type": "record",
    "name": "N",
    "hutong": {"contract": "t.n", "version": 1, "key": ["number"]},
    "fields": [{"name": "number", "type": "string", "hutong": {"identifier": "fi.hetu"}}],
}


@pytest.mark.parametrize("forms", [generate_pack, compile_pack])
def test_numbers_that_are_too_long_are_not_remembered(forms: Any) -> None:
    """Sixteen thousand texts of a megabyte would be kept beside the numbers that come again."""
    schema = EventSchema(NUMBERED)
    pack = forms(schema.parsed, schema.key, "|")
    tracemalloc.start()
    for number in range(50):
        data = {"number": f"{number:0100000d}"}
        with pytest.raises(UNSURE):
            pack(data)
        with pytest.raises(ContractViolation, match=r"not a valid fi\.hetu"):
            schema.pack(data)
    del data
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2_000_000


@needs_extension
def test_the_keys_of_a_large_map_are_compared_in_time() -> None:
    """A hundred thousand of them, in the extension and in Python."""
    event = with_field({"type": "map", "values": "null"})
    entries = b"".join(text(f"{number:05d}") for number in range(100_000))
    value = frame(7) + text("k") + long_bytes(100_000) + entries + b"\0"
    began = time.process_time()
    said = all_ways(event, b"k", value)
    assert len(said["NativeTranscoder"]) == len(said["ReferenceTranscoder"]) == 1
    assert time.process_time() - began < 5
