"""What the fuzzer has found, each once more: every case here got an error out that nobody had foreseen, or took without end."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.sources._snapshot_state import read_state
from connectors.sources.outbox import _Row, _send
from connectors.sources.snapshot import csv_rows
from hutong.agreements.cel import compile_expression
from hutong.agreements.grant import contract_in
from hutong.cli._text import visible
from hutong.contracts.avro import parse
from hutong.contracts.schema import EventSchema
from hutong.contracts.wellformed import faults
from hutong.decoding import Decoder
from hutong.errors import ConfigurationError, ContractViolation, DeclarationError, MalformedEvent, SnapshotRefused
from tests.fuzz.surfaces.expressions import DATA, KNOWN
from tests.samples import PERSON_REGISTERED


def record(type_: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": "a", "type": type_, **more}]}


@pytest.mark.parametrize(
    "schema",
    [
        record({"type": "string", "logicalType": ["uuid"]}),
        record(["null", {"type": {}, "logicalType": "date"}]),
        record({"type": "fixed", "name": "F", "size": 10**400, "logicalType": "decimal", "precision": 5}),
        record({"type": "bytes", "logicalType": "decimal", "precision": 10**9}),
        record({"type": "bytes", "logicalType": "decimal", "precision": 2}, default="\u0001\u0000"),
        record({"type": "fixed", "name": "F", "size": 2, "logicalType": "decimal", "precision": 2}, default="\u0001\u0000"),
    ],
)
def test_a_schema_that_is_none_has_faults(schema: dict[str, Any]) -> None:
    """And its faults are found in no time, whatever stands where a word or a number is expected."""
    began = time.process_time()
    found = faults(schema)
    assert found
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "type_",
    [
        {"type": "bytes", "logicalType": "decimal", "precision": 10**9},
        {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": -1},
        {"type": "fixed", "name": "F", "size": -1},
        {"type": "enum", "name": "E", "symbols": ["A", 7]},
    ],
)
def test_a_registered_schema_beyond_all_use_is_none(type_: Any) -> None:
    """The coordinator and the SDK write code from schemas; 10^(10^9) would be worked out there."""
    with pytest.raises(DeclarationError, match="not a valid Avro schema"):
        parse(record(type_))


@pytest.mark.parametrize(
    "schema", ["string", ["null", "string"], {"type": "array", "items": "null"}, record("int") | {"fields": 7}]
)
def test_the_decoder_takes_records_alone(schema: Any) -> None:
    """Anything may be registered; it says that this is no event's schema."""

    class Schemas:
        def by_id(self, schema_id: int) -> Any:
            return schema

    with pytest.raises(MalformedEvent, match="unknown_schema"):
        Decoder(Schemas()).decode(b"\0\0\0\0\7\2a")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "facts", [{"key": ["nothing"]}, {"key": ["person.nothing"]}, {"key": ["tags.x"]}, {"version": "x"}, {"version": None}]
)
def test_a_contract_whose_facts_are_wrong_is_none(facts: dict[str, Any]) -> None:
    """The router would look for the key in every event."""
    with pytest.raises(DeclarationError):
        EventSchema({**PERSON_REGISTERED, "hutong": {**PERSON_REGISTERED["hutong"], **facts}})


@pytest.mark.parametrize(
    "state",
    [
        b'{"format":1,"taken":[],"columns":[],"rows":{"1":{"code":{"$uuid":1}}}}',
        b'{"format":1,"taken":[],"columns":[],"rows":{"1":7}}',
        b'{"format":1,"taken":7,"columns":[],"rows":{}}',
        b'{"format":1}',
        b"[" * 100_000,
    ],
)
def test_a_snapshots_state_that_is_none(tmp_path: Path, state: bytes) -> None:
    """It names the file and what to do."""
    (tmp_path / "state").write_bytes(state)
    with pytest.raises(ConfigurationError, match="snapshot state"):
        read_state(tmp_path / "state")


def test_exports_that_are_no_files_of_text(tmp_path: Path) -> None:
    """Not there, a folder, no text in this encoding, an encoding that there is not, a column twice."""
    (tmp_path / "no-mark.csv").write_bytes(b"a;b\n1;2\n")
    (tmp_path / "twice.csv").write_bytes(b"a,a\n1,2\n")
    for name, encoding in (
        ("none.csv", "utf-8"),
        (".", "utf-8"),
        ("no-mark.csv", "utf-16"),
        ("no-mark.csv", "klingon"),
        ("twice.csv", "utf-8"),
    ):
        with pytest.raises(SnapshotRefused):
            list(csv_rows(tmp_path / name, encoding=encoding))


def test_a_row_whose_time_is_none_of_the_calendar_is_marked() -> None:
    """PostgreSQL has the year 10000; the relay goes on with the others."""
    failed: dict[int, Any] = {}
    row = _Row.of((7, "a.b", 1, "s", "e", "k", b"", None, None, None))
    assert _send(None, [row], [], failed) is None  # type: ignore[arg-type] - nothing is sent
    assert isinstance(failed[7], ContractViolation)
    assert _Row.of((7, "a.b", 1, "s", "e", "k", b"", datetime(2026, 1, 1, tzinfo=UTC), None, None)).event is not None


@pytest.mark.parametrize("text", ["l.map(x, l)", "l.map(x, [l, l, l])", "[" + "l, " * 200 + "l]", "l / l" + " / l" * 40])
@pytest.mark.parametrize("data", DATA)
def test_an_expression_that_multiplies_lists(text: str, data: dict[str, Any]) -> None:
    """Five hundred texts became a quarter of a million."""
    expression = compile_expression(text, KNOWN)
    began = time.process_time()
    with suppress(ValueError):
        expression(data)
    assert time.process_time() - began < 0.1


def test_a_deep_record_on_the_control_topic_is_no_grant() -> None:
    """JSON's own reader gives up on it in a way of its own."""
    with pytest.raises(DeclarationError, match="is no grant"):
        contract_in(b'{"agreement":' * 100_000)
    assert contract_in(json.dumps({"agreement": {"contract": "a.b"}}).encode()) == "a.b"


def test_what_somebody_else_wrote_does_not_steer_the_terminal() -> None:
    """A header's name comes from whoever published the event."""
    assert visible("ce_id: 王\x1b[2J\u202e\ud800\n") == r"ce_id: 王\x1b[2J\u202e\ud800\n"
    assert visible("plain") == "plain"
