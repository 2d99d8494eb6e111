"""Both fast ways to pack and read, generated code and the extension, against fastavro and the interpreted check.

They are equal where they accept, and never accept more. Neighbour: ``test_native_sdk`` holds the two against each other.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import partial
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.contracts.avro import parse
from hutong.contracts.decoder import UNREADABLE, compile_read, generate_read
from hutong.contracts.encoder import UNSURE, compile_pack, generate_pack
from hutong.contracts.schema import EventSchema
from hutong.errors import ContractViolation
from hutong.plain import packer
from hutong.transcode.native.transcoder import extension
from tests.avro_random import record_schemas, schemas_with_values
from tests.examples import examples
from tests.samples import PERSON_REGISTERED, contract_root, generated, person
from tests.unit.test_validation import JUNK

SCHEMA = EventSchema(PERSON_REGISTERED)
Model = generated(contract_root(PERSON_REGISTERED)).PersonRegistered
Compile = Callable[..., Callable[..., Any] | None]

needs_extension = pytest.mark.skipif(extension is None, reason="the extension hutong_native is not built")
both_packs = pytest.mark.parametrize("make", [generate_pack, pytest.param(compile_pack, marks=needs_extension)])
both_reads = pytest.mark.parametrize("make", [generate_read, pytest.param(compile_read, marks=needs_extension)])


def slowly(schema: EventSchema, data: Any) -> tuple[str, bytes]:
    """What check, key_of and encode say: the interpreted way."""
    checked = schema.check(data)
    return schema.key_of(checked), schema.encode(checked)


def outcome(work: Callable[[Any], Any], data: Any) -> Any:
    """What it gives, or what its violation says."""
    try:
        return work(data)
    except ContractViolation as violation:
        return violation.path, violation.rule, str(violation)


def keyless(schema: dict[str, Any]) -> EventSchema:
    return EventSchema(schema | {"hutong": {"contract": "t.r", "version": 1, "key": []}})


@both_packs
@settings(max_examples=examples(400), deadline=None)
@given(pair=schemas_with_values())
def test_valid_values_are_packed_as_fastavro_writes_them(make: Compile, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Of random schemas: where there is a fast way at all, it takes every valid value."""
    schema = keyless(pair[0])
    pack = make(schema.parsed, (), "|")
    if pack is not None:
        assert pack(pair[1]) == slowly(schema, pair[1])


class _Nowhere(tzinfo):
    def utcoffset(self, _: datetime | None) -> None:
        return None


class _Moment(datetime):
    """An application's own."""


@both_packs
@pytest.mark.parametrize(
    "moment",
    [
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(2026, 11, 3, 9, 30, 0, 1_999, timezone(timedelta(hours=8))),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),  # as a time of UTC there is none
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))),
        datetime(2026, 11, 3, tzinfo=_Nowhere()),
        datetime(2026, 11, 3),
        _Moment(2026, 11, 3, tzinfo=UTC),
        date(2026, 11, 3),
        1_000,
    ],
    ids=str,
)
def test_moments_of_every_kind(make: Compile, moment: Any) -> None:
    """Fractions are rounded down, zones are taken off, and what is no moment is left to the check."""
    millis = {"type": "long", "logicalType": "timestamp-millis"}
    schema = keyless({"type": "record", "name": "t.r", "fields": [{"name": "at", "type": millis}]})
    pack, data = make(schema.parsed, (), "|"), {"at": moment}
    assert pack is not None
    try:
        expected = slowly(schema, data)
    except (ContractViolation, TypeError):  # the latter: a zone that does not know how far it is from UTC
        with pytest.raises(ContractViolation):
            schema.pack(data)
        with pytest.raises(UNSURE):
            pack(data)
        return
    assert schema.pack(data) == expected
    if type(moment) is datetime:
        assert pack(data) == expected


@needs_extension
def test_an_extension_of_before_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays installed where the present one cannot be built."""

    def older(*_: object) -> object:
        raise ValueError("no form moment")

    monkeypatch.setattr("hutong.contracts.extension._extension", lambda _: older)
    assert EventSchema(PERSON_REGISTERED).pack(person()) == slowly(SCHEMA, person())


@both_packs
@settings(max_examples=examples(400), deadline=None)
@given(schema=record_schemas(), data=st.data())
def test_junk_is_packed_only_where_the_check_takes_it(make: Compile, schema: dict[str, Any], data: st.DataObject) -> None:
    """The fast way is unsure of it, or gives the interpreted way's bytes; and ``pack`` fails exactly where that does."""
    compiled = keyless(schema)
    value = {field["name"]: data.draw(JUNK) for field in schema["fields"]}
    expected = outcome(partial(slowly, compiled), value)
    assert outcome(compiled.pack, value) == expected
    pack = make(compiled.parsed, (), "|")
    if pack is None:
        return
    try:
        found = pack(value)
    except UNSURE:
        return
    assert found == expected


PLACES = [
    *((field["name"],) for field in PERSON_REGISTERED["fields"]),
    *(("person", name) for name in ("identity_number", "unverified", "name", "sex", "born", "surname")),
    ("surname",),
]
VALUES = JUNK | st.sampled_from(
    [
        "A-2",
        "",
        "20",
        "110105194912310021",
        "11010519491231002X",
        "110105491231002",
        "MALE",
        "x" * 21,
        "\ud800",
        ["a"],
        True,
        12,
        SCHEMA.check(person())["entered"],
    ]
)


@settings(max_examples=examples(600), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.just(None) | VALUES, st.booleans()), max_size=3))
def test_rules_hold_in_generated_code_too(changes: list[tuple[tuple[str, ...], Any, bool]]) -> None:
    """Fields of a contract with every kind of rule are changed or left out: the same bytes, or the same violation."""
    data = copy.deepcopy(person())
    for path, value, left_out in changes:
        holder = data if len(path) == 1 or not isinstance(data.get(path[0]), dict) else data[path[0]]
        if left_out:
            holder.pop(path[-1], None)
        else:
            holder[path[-1]] = value
    assert outcome(SCHEMA.pack, data) == outcome(partial(slowly, SCHEMA), data)


@both_packs
def test_the_sample_contract_goes_the_fast_way(make: Compile) -> None:
    """A good event does not go the slow way, as mapping or as model; an exempted identifier does not either."""
    data = person(tags=["x", "y" * 2000])
    unverified = {"identity_number": "110105491231002", "unverified": True}
    pack = make(SCHEMA.parsed, SCHEMA.key, "|")
    straight = make(
        SCHEMA.parsed, SCHEMA.key, "|", {"kin.registry.PersonRegistered": (Model, Model.attributes()), **_person_form()}
    )
    assert pack is not None
    assert straight is not None
    for event in (data, data | {"person": data["person"] | unverified}):
        assert pack(event) == slowly(SCHEMA, event)
        assert straight(Model(**event)) == slowly(SCHEMA, event)


def _person_form() -> dict[str, Any]:
    inner = Model.model_fields["person"].annotation
    return {inner.avro_name: (inner, inner.attributes())}


@pytest.mark.parametrize("changes", [{"number": 7}, {"person": {"name": "x"}}, {"region": "000000"}, {"tags": ("a",)}])
def test_a_model_made_without_its_checks_is_checked_when_it_is_packed(changes: dict[str, Any]) -> None:
    """``model_construct`` lets anything in; the contract's error is the one that its plain data give."""
    event = Model.model_construct(**dict(Model(**person())) | changes)
    assert outcome(packer(Model), event) == outcome(partial(slowly, SCHEMA), event.to_data())


@both_packs
def test_several_key_fields_are_joined(make: Compile) -> None:
    """As ``key_of`` joins them; a null one is refused."""
    facts = PERSON_REGISTERED["hutong"] | {"key": ["number", "person.identity_number", "person.sex", "class", "person.born"]}
    schema = EventSchema({**PERSON_REGISTERED, "hutong": facts})
    pack = make(schema.parsed, schema.key, "|")
    assert pack is not None
    data = person(**{"class": 0})
    assert pack(data) == slowly(schema, data)
    assert pack(data)[0] == "A-1|11010519491231002X|MALE|0|1949-12-31"
    with pytest.raises(ContractViolation, match="key"):
        schema.pack(person(**{"class": 0, "person": data["person"] | {"identity_number": None}}))


def read_by_fastavro(schema: Any, body: bytes) -> Any:
    stream = BytesIO(body)
    value = fastavro.schemaless_reader(stream, schema, None, return_record_name=True, return_record_name_override=True)
    if stream.tell() != len(body):
        raise ValueError("bytes are left")
    return value


@both_reads
@settings(max_examples=examples(400), deadline=None)
@given(pair=schemas_with_values(), data=st.data())
def test_random_bytes_are_read_as_fastavro_reads_them(
    make: Compile, pair: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject
) -> None:
    """Valid bytes are read; cut and changed ones are read the same or not at all."""
    schema = keyless(pair[0])
    read = make(schema.parsed)
    if read is None:
        return
    body = schema.encode(schema.check(pair[1]))
    found = read(b"frame" + body, 5)
    assert repr(found) == repr(read_by_fastavro(schema.parsed.root, body))
    changed = bytearray(body[: data.draw(st.integers(0, len(body)))] + data.draw(st.binary(max_size=3)))
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 255)), max_size=3)):
        if place < len(changed):
            changed[place] = byte
    try:
        found = read(b"frame" + bytes(changed), 5)
    except UNREADABLE:
        return
    assert repr(found) == repr(read_by_fastavro(schema.parsed.root, bytes(changed)))


@pytest.mark.parametrize("days", [-(10**5), -65, -64, 0, 63, 64, 8191, 8192, 20_000, 10**6, 2_000_000])
@both_reads
def test_days_of_every_length_are_read(make: Compile, days: int) -> None:
    """One to four bytes; three of them have a shortcut."""
    parsed = parse({"type": "record", "name": "t.D", "fields": [{"name": "d", "type": {"type": "int", "logicalType": "date"}}]})
    out = BytesIO()
    fastavro.schemaless_writer(out, parsed.root, {"d": days})
    read = make(parsed)
    assert read is not None
    assert read(out.getvalue(), 0) == read_by_fastavro(parsed.root, out.getvalue())
