"""A small flow of two agencies for tests of the coordinator: its contracts and the flow itself, as declarations and as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml

__all__ = ["CONTRACTS", "FLOW", "LAND", "OFFICE", "QUESTION", "REPORT", "REQUESTED", "TAX", "declare", "declare_flows", "flow"]

FLOW = "loan-check"
OFFICE, LAND, TAX = "office.loans", "land.register", "tax.income"
_TEXT = {"type": ["null", "string"], "default": None}
REQUESTED, QUESTION, REPORT = "office.loans.requested", "office.loans.question", "office.loans.report"
CONTRACTS: dict[str, dict[str, Any]] = {
    "office.loans.requested": {"loan": "string", "person": "string", "income": "long"},
    "office.loans.question": {
        **dict.fromkeys(("question_number", "case_number", "agency", "due_at"), "string"),
        "person": _TEXT,
        "reminder": "int",
        "withdrawn": "boolean",
    },
    "office.loans.progress": {"case_number": "string", "number": "int", "what": "string", "ask": _TEXT, "detail": _TEXT},
    "office.loans.report": {"case_number": "string", "result": "string", "discrepancies": "int", "missing": "int"},
    "land.register.answered": {"question_number": "string", "case_number": "string", "houses": "long"},
    "tax.income.answered": {"question_number": "string", "case_number": "string", "income": "long"},
}
_KEYS = {"requested": ["loan"], "question": ["question_number"], "progress": ["case_number"], "report": ["case_number"]}


def flow(**changes: Any) -> dict[str, Any]:
    """The flow: a loan is asked for, the land register and the tax office are asked, and a report is made."""

    def ask(agency: str, name: str) -> dict[str, Any]:
        answer = {"contract": f"{agency}.answered", "keep": {name: name}}
        return {
            "id": name,
            "agency": agency,
            "question": {"en": f"How many {name}?"},
            "within": {"minutes": 5},
            "answer": [answer],
        }

    question = {
        "question_number": "question.number",
        "case_number": "case.number",
        "agency": "question.agency",
        "due_at": "question.due_at",
        "person": "data.person",
        "reminder": "question.reminder",
        "withdrawn": "question.withdrawn",
    }
    progress = {
        "case_number": "case.number",
        "number": "step.number",
        "what": "step.what",
        "ask": "step.ask",
        "detail": "step.detail",
    }
    report = {
        "case_number": "case.number",
        "result": "report.result",
        "discrepancies": {"cel": "size(report.discrepancies)"},
        "missing": {"cel": "size(report.missing)"},
    }
    rule = {"id": "income-differs", "needs": ["income"], "source": "income", "says": {"en": "The income differs."}}
    rule |= {"when": "data.income != answers.income.income", "declared": "data.income", "found": "answers.income.income"}
    opens = {
        "does": "open",
        "contract": "office.loans.requested",
        "case": "loan",
        "keep": {"person": "person", "income": "income"},
    }
    return {
        "id": FLOW,
        "title": {"en": "Loan check"},
        "owner": OFFICE,
        "prefix": "LC",
        "legal_basis": "Made up for tests",
        "purpose": "Made up for tests",
        "events": [opens],
        "ask": [ask(LAND, "houses"), ask(TAX, "income")],
        "rules": [rule],
        "deadline": {"minutes": 10},
        "question": {"contract": "office.loans.question", "fields": question},
        "progress": {"contract": "office.loans.progress", "fields": progress},
        "outcome": {"contract": "office.loans.report", "fields": report},
        **changes,
    }


def declare(directory: Path) -> None:
    """Write the departments and contracts."""
    departments = [
        {"code": code, "name": {"en": code}, "head": {"en": "Head"}, "contact": "data@office.example"}
        for code in (OFFICE, LAND, TAX)
    ]
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "departments.yaml").write_text(yaml.safe_dump({"timezone": "Asia/Shanghai", "departments": departments}))
    (directory / "codelists").mkdir(exist_ok=True)
    (directory / "agreements").mkdir(exist_ok=True)
    for contract, fields in CONTRACTS.items():
        department, _, event = contract.rpartition(".")
        folder = directory / "contracts" / department / event
        folder.mkdir(parents=True, exist_ok=True)
        made = [
            {"name": name, **(kind if isinstance(kind, dict) else {"type": kind}), "doc": "Made up."}
            for name, kind in fields.items()
        ]
        schema = {"type": "record", "name": event.title(), "namespace": department, "doc": "Made up.", "fields": made}
        (folder / "v1.avsc").write_text(json.dumps(schema))
        (folder / "contract.yaml").write_text(yaml.safe_dump(_odcs(contract, department, event, fields), sort_keys=False))


def declare_flows(directory: Path, *flows: Mapping[str, Any]) -> None:
    """Write these flows, and no others, and the agreements by which the questions reach their agencies."""
    (directory / "flows").mkdir(exist_ok=True)
    for old in (directory / "flows").iterdir():
        old.unlink()
    for one in flows:
        (directory / "flows" / f"{one['id']}.yaml").write_text(yaml.safe_dump(one, sort_keys=False))
    for agency in (LAND, TAX):
        agreement = {
            "id": f"questions-{agency.replace('.', '-')}",
            "title": {"en": "Questions"},
            "recipient": agency,
            "contract": QUESTION,
            "legal_basis": "Made up for tests",
            "purpose": "Made up for tests",
            "valid": {"from": date(2026, 1, 1)},
            "channel": "questions",
            "rows": [{"field": "agency", "equals": agency}],
            "fields": [{"field": name} for name in CONTRACTS[QUESTION]],
        }
        path = directory / "agreements" / agency / f"{agreement['id']}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(agreement, sort_keys=False))


def _odcs(contract: str, department: str, event: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    keys = _KEYS.get(event, ["question_number"])
    logical = {"string": "string", "long": "integer", "int": "integer", "boolean": "boolean"}
    properties = []
    for name, kind in fields.items():
        optional = isinstance(kind, dict)
        one: dict[str, Any] = {
            "name": name,
            "description": "Made up.",
            "logicalType": "string" if optional else logical[kind],
            "physicalType": "null | string" if optional else kind,
            "required": not optional,
            "classification": "internal",
        }
        properties.append(one | ({"primaryKey": True, "primaryKeyPosition": keys.index(name) + 1} if name in keys else {}))
    custom = {"department": department, "sharing": "conditional", "compatibility": "BACKWARD"}
    return {
        **{"apiVersion": "v3.1.0", "kind": "DataContract", "id": contract, "name": event, "version": "1.0.0", "status": "active"},
        "domain": "public-administration",
        "description": dict.fromkeys(("purpose", "limitations", "usage"), "Made up for tests."),
        "team": {"name": department, "members": [{"username": "data@office.example", "name": "Head", "role": "owner"}]},
        "slaProperties": [
            {"property": "retention", "value": 30, "unit": "d", "driver": "regulatory"},
            {"property": "latency", "value": 60, "unit": "s", "driver": "operational"},
        ],
        "customProperties": [{"property": name, "value": value} for name, value in custom.items()],
        "schema": [
            {
                **{"name": event, "physicalName": f"pub.{contract}", "logicalType": "object", "physicalType": "topic"},
                "description": "Made up.",
                "properties": properties,
            }
        ],
    }
