"""A contract with a bit of everything, and its generated models, for tests that need a contract and not a particular one."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from hutong.codegen.module import Root, module_text
from hutong.contracts.avro import Schema

CONTRACT = "kin.registry.person_registered"
CHANNEL = "persons"

PERSON_REGISTERED: dict[str, Any] = {
    "type": "record",
    "name": "PersonRegistered",
    "namespace": "kin.registry",
    "doc": "A person was entered.",
    "hutong": {"contract": CONTRACT, "version": 1, "key": ["number"], "sharing": "conditional"},
    "fields": [
        {"name": "number", "type": "string", "doc": "Entry.", "hutong": {"pattern": "[A-Z]-[0-9]+"}},
        {
            "name": "person",
            "doc": "Who.",
            "type": {
                "type": "record",
                "name": "Person",
                "doc": "A person.",
                "fields": [
                    {
                        "name": "identity_number",
                        "type": ["null", "string"],
                        "default": None,
                        "doc": "GB 11643.",
                        "hutong": {"classification": "sensitive", "identifier": "cn.ric", "unverifiedBy": "unverified"},
                    },
                    {"name": "unverified", "type": "boolean", "default": False, "doc": "Whether the number is unverified."},
                    {"name": "name", "type": "string", "doc": "Name.", "hutong": {"minLength": 1, "maxLength": 20}},
                    {"name": "sex", "type": {"type": "enum", "name": "Sex", "symbols": ["MALE", "FEMALE"]}, "doc": "Sex."},
                    {"name": "born", "type": {"type": "int", "logicalType": "date"}, "doc": "Birthday."},
                ],
            },
        },
        {"name": "region", "type": "string", "doc": "GB/T 2260.", "hutong": {"identifier": "gb2260"}},
        {
            "name": "status",
            "type": "string",
            "default": "10",
            "doc": "Status.",
            "hutong": {"codeList": "status", "codes": ["10", "20"]},
        },
        {
            "name": "fee",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2},
            "doc": "Fee.",
            "default": "\u0001\u0000",
            "hutong": {"minimum": 0, "maximum": 5000},
        },
        {"name": "entered", "type": {"type": "long", "logicalType": "timestamp-millis"}, "doc": "When."},
        {"name": "class", "type": "int", "doc": "A field whose name is a Python keyword.", "default": 0},
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": [], "doc": "Tags."},
    ],
}


def person(number: int = 1, /, **changes: Any) -> dict[str, Any]:
    """Data of a valid event."""
    data: dict[str, Any] = {
        "number": f"A-{number}",
        "person": {"identity_number": "11010519491231002X", "name": "王小明", "sex": "MALE", "born": date(1949, 12, 31)},
        "region": "110105",
        "fee": Decimal("12.50"),
        "entered": datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
    }
    return data | changes


def agreement(**changes: Any) -> dict[str, Any]:
    """An agreement on the sample contract, as its file would hold it."""
    declared: dict[str, Any] = {
        "id": "persons-to-school",
        "recipient": "kin.school",
        "contract": CONTRACT,
        "legal_basis": "Act 1",
        "purpose": "Admission",
        "valid": {"from": date(2020, 1, 1)},
        "channel": CHANNEL,
        "rows": [{"field": "region", "prefix": "11"}],
        "fields": [
            {"field": "number"},
            {"field": "person.identity_number", "transform": "pseudonymise"},
            {"field": "person.name", "transform": "mask", "keep_first": 1},
            {"field": "person.born", "transform": "generalise", "to": "year"},
        ],
    }
    return declared | changes


_numbers = itertools.count()


def generated(*roots: Root) -> ModuleType:
    """The module that ``hutong codegen`` would write, imported."""
    name = f"generated_{next(_numbers)}"
    with TemporaryDirectory() as directory:
        path = Path(directory) / f"{name}.py"
        path.write_text(module_text(roots), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # pydantic looks annotations up there
        spec.loader.exec_module(module)
    return module


def contract_root(schema: Schema) -> Root:
    """What codegen makes of a contract's annotated schema."""
    facts = schema["hutong"]
    return Root(
        title=f"Contract {facts['contract']}",
        schema=schema,
        base="ChangeEvent",
        facts={"contract": facts["contract"], "version": facts["version"]},
    )
