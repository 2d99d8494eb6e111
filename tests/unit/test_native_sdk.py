"""The extension's packing and reading against what is generated in Python: they accept the same data, and give the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.contracts.decoder import UNREADABLE, compile_read, generate_read
from hutong.contracts.encoder import UNSURE, compile_pack, generate_pack
from hutong.contracts.identifiers import checker
from hutong.contracts.schema import EventSchema
from hutong.plain import record_classes
from hutong.transcode.native.transcoder import extension
from tests.avro_random import record_schemas, schemas_with_values
from tests.examples import examples
from tests.samples import PERSON_REGISTERED, contract_root, generated, person
from tests.unit.test_generated_code import PLACES, VALUES, keyless
from tests.unit.test_validation import JUNK

pytestmark = pytest.mark.skipif(extension is None, reason="the extension hutong_native is not built")

SCHEMA = EventSchema(PERSON_REGISTERED)
Model = generated(contract_root(PERSON_REGISTERED)).PersonRegistered
FORMS = {name: (one, one.attributes()) for name, one in record_classes(Model).items()}


def outcome(work: Callable[[], Any]) -> str:
    """What it gives, or that it leaves the value to the slow way."""
    try:
        return repr(work())
    except (*UNSURE, *UNREADABLE):
        return "left"


def both(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    """They are two, and only one is the extension's."""
    quick, plain = pair
    assert type(quick).__module__ == "hutong_native"
    assert type(plain).__name__ == "function"
    return quick, plain


def packs(schema: EventSchema, forms: Any = None) -> tuple[Any, Any] | None:
    arguments = (schema.parsed, schema.key, "|", forms)
    plain = generate_pack(*arguments)
    return None if plain is None else both((compile_pack(*arguments), plain))


@settings(max_examples=examples(400), deadline=None)
@given(schemas_with_values())
def test_valid_values_of_random_schemas_are_packed_alike(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """The extension takes all that the generated code takes."""
    found = packs(keyless(pair[0]))
    if found is not None:
        assert found[0](pair[1]) == found[1](pair[1])


@settings(max_examples=examples(400), deadline=None)
@given(record_schemas(), st.data())
def test_junk_is_packed_alike(schema: dict[str, Any], data: st.DataObject) -> None:
    """The extension refuses exactly what the generated code refuses."""
    found = packs(keyless(schema))
    if found is not None:
        value = {field["name"]: data.draw(JUNK) for field in schema["fields"]}
        assert outcome(lambda: found[0](value)) == outcome(lambda: found[1](value))


@settings(max_examples=examples(600), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.just(None) | VALUES, st.booleans()), max_size=3))
def test_rules_and_keys_are_the_same(changes: list[tuple[tuple[str, ...], Any, bool]]) -> None:
    """Fields of a contract with every kind of rule are changed or left out, in mappings and in models made without checks."""
    data = copy.deepcopy(person())
    for path, value, left_out in changes:
        holder = data if len(path) == 1 or not isinstance(data.get(path[0]), dict) else data[path[0]]
        if left_out:
            holder.pop(path[-1], None)
        else:
            holder[path[-1]] = value
    quick, plain = packs(SCHEMA) or pytest.fail("the contract has no fast path")
    assert outcome(lambda: quick(data)) == outcome(lambda: plain(data))
    event = Model.model_construct(**dict(Model(**person())) | {path[-1]: value for path, value, _ in changes if len(path) == 1})
    quick, plain = packs(SCHEMA, FORMS) or pytest.fail("the model has no fast path")
    assert outcome(lambda: quick(event)) == outcome(lambda: plain(event))


def test_a_model_is_packed_by_the_extension() -> None:
    """A good model and its mapping give one key and one value."""
    data = person(tags=["x", "y" * 2000], number="A-2")
    quick, plain = packs(SCHEMA, FORMS) or pytest.fail("the model has no fast path")
    assert quick(Model(**data)) == plain(Model(**data)) == SCHEMA.pack(data)


@settings(max_examples=examples(400), deadline=None)
@given(schemas_with_values(), st.data())
def test_random_bytes_are_read_alike(pair: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject) -> None:
    """Valid bytes give equal values; cut and changed ones too, or the extension leaves them to fastavro."""
    schema = keyless(pair[0])
    plain = generate_read(schema.parsed)
    if plain is None:
        return
    quick, plain = both((compile_read(schema.parsed), plain))
    body = schema.encode(schema.check(pair[1]))
    assert repr(quick(b"frame" + body, 5)) == repr(plain(b"frame" + body, 5))
    changed = bytearray(body[: data.draw(st.integers(0, len(body)))] + data.draw(st.binary(max_size=3)))
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 255)), max_size=3)):
        if place < len(changed):
            changed[place] = byte
    found = outcome(lambda: quick(b"frame" + bytes(changed), 5))
    assert found in ("left", outcome(lambda: plain(b"frame" + bytes(changed), 5)))


DIGITS = st.text("0123456789X", min_size=18, max_size=18)
BIRTHDAYS = st.tuples(st.sampled_from(["110105", "140105", "990000"]), st.sampled_from(["1949", "1900", "2000", "0000"]))


@settings(max_examples=examples(300), deadline=None)
@given(BIRTHDAYS, st.sampled_from(["1231", "0229", "0230", "0431", "1301", "0000"]), st.sampled_from("0123456789Xx"), DIGITS)
def test_identity_numbers_pass_as_the_check_in_python_lets_them(origin: tuple[str, str], day: str, last: str, other: str) -> None:
    """Known places and years are answered without Python: days that are none and wrong check digits still do not pass."""
    schema = EventSchema(
        {"type": "record", "name": "t.R", "fields": [{"name": "f", "type": "string", "hutong": {"identifier": "cn.ric"}}]}
        | {"hutong": {"contract": "t.r", "version": 1, "key": ["f"]}}
    )
    quick, _ = packs(schema) or pytest.fail("the contract has no fast path")
    assert outcome(lambda: quick({"f": "11010519491231002X"})) != "left"  # so that its place and year are known
    for text in (f"{origin[0]}{origin[1]}{day}002{last}", other):
        for _ in range(2):
            assert (outcome(lambda text=text: quick({"f": text})) != "left") is checker("cn.ric")(text)
