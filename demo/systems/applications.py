"""Social assistance, the first counter: clients and their applications; what is only kept on file is kept as JSON.

Neighbours: ``assistance`` is the system that this book belongs to.
"""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

from demo.changes import BenefitApplied
from demo.systems.application import Book, Desk, Row
from demo.systems.codes import KINSHIP, SEX, at_counter, contract_person

__all__ = ["APPLICATIONS", "CLIENT", "TABLES", "application_number"]

TABLES = """
CREATE TABLE client (
    id_no text PRIMARY KEY,
    name  text NOT NULL,
    tel   text
);
CREATE TABLE application (
    app_id     bigint PRIMARY KEY,
    app_no     text NOT NULL UNIQUE,
    area       char(6) NOT NULL,
    applicant  jsonb NOT NULL,
    kind       text NOT NULL,
    class      text NOT NULL,
    address    text NOT NULL,
    members    jsonb NOT NULL,
    income     jsonb NOT NULL,
    consent_no text,
    accepted   timestamptz NOT NULL,
    event_id   text NOT NULL
);
"""
"""What this counter keeps."""

CLIENT = """
INSERT INTO client VALUES (%(id_no)s, %(name)s, %(tel)s) ON CONFLICT (id_no) DO UPDATE SET tel = excluded.tel"""
"""Writes the client down, or their new telephone number."""

_APPLICATION = """
INSERT INTO application VALUES (%(app_id)s, %(app_no)s, %(area)s, %(applicant)s::jsonb, %(kind)s, %(class)s, %(address)s,
    %(members)s::jsonb, %(income)s::jsonb, %(consent_no)s, %(accepted)s, %(event_id)s)"""

_MONTHS_A_YEAR = 12


def application_number(case: int) -> str:
    """The number that a family's application has."""
    return f"SQ-{case:08d}"


def _application_entry(change: BenefitApplied, desk: Desk) -> dict[str, Any]:
    person = change.applicant
    members = [
        {
            "no": member.identity_number,
            "ok": not member.unverified,
            "name": member.name,
            "kin": KINSHIP.code(member.kinship),
            "birth": member.born.isoformat(),
            "income": str(income) if income else None,
        }
        for member, income in zip(change.members, change.incomes, strict=True)
    ]
    yearly = sum(change.incomes, Decimal(0)) * _MONTHS_A_YEAR
    wages = (yearly * Decimal("0.8")).quantize(Decimal("0.01"))
    return {
        "app_id": desk.number,
        "app_no": application_number(change.case),
        "area": change.region,
        "applicant": _json(
            {
                "no": person.identity_number,
                "ok": not person.unverified,
                "name": person.name,
                "sex": SEX.code(person.sex),
                "birth": person.born.isoformat(),
            }
        ),
        "kind": change.kind,
        "class": change.population_class,
        "address": change.address,
        "members": _json(members),
        "income": _json({"wages": str(wages), "transfers": str(yearly - wages)}),
        "consent_no": f"SQS-{change.case:08d}" if change.signed else None,
        "accepted": at_counter(change.day, desk.number),
        "id_no": person.identity_number,
        "name": person.name,
        "tel": person.phone,
    }


def _application_event(row: Row) -> dict[str, Any]:
    who = _loaded(row["applicant"])
    return {
        "application_number": row["app_no"],
        "region": row["area"],
        "applicant": contract_person(who["no"], not who["ok"], who["name"], who["sex"], date.fromisoformat(who["birth"])),
        "kind": row["kind"],
        "population_class": row["class"],
        "address": row["address"],
        "members": [
            {
                "identity_number": member["no"],
                "identity_unverified": not member["ok"],
                "name": member["name"],
                "relation": KINSHIP.word(member["kin"]),
                "birth_date": date.fromisoformat(member["birth"]),
                "authorised": row["consent_no"] is not None,
                "monthly_income": Decimal(member["income"]) if member["income"] else None,
            }
            for member in _loaded(row["members"])
        ],
        "declared_income": {source: Decimal(amount) for source, amount in _loaded(row["income"]).items()},
        "authorisation_number": row["consent_no"],
        "accepted_at": row["accepted"],
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _loaded(value: Any) -> Any:
    """JSON as the clerk's software holds it (text) or as the database gives it back."""
    return json.loads(value) if isinstance(value, str) else value


APPLICATIONS = Book(
    contract="mca.assistance.application_accepted",
    change=BenefitApplied,
    entry=_application_entry,
    writes=(CLIENT, _APPLICATION),
    event=_application_event,
    key="application_number",
    journal="SELECT * FROM application ORDER BY app_id",
)
"""The book of applications."""
