"""A small flow with a bit of everything, its contracts, and short ways to make its stimuli; for tests that need a flow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from hutong.flows.flow import Flow
from hutong.flows.intake import Intake
from hutong.flows.plan import FlowPlan
from hutong.flows.step import Stimulus
from hutong.flows.worktime import StateCouncil, WorkTime

DAY_MS = 86_400_000
START_MS = int(datetime(2026, 3, 2, 1, 0, tzinfo=UTC).timestamp() * 1000)  # a Monday, 09:00 in Shanghai


def contract(name: str, key: list[str], **fields: Any) -> dict[str, Any]:
    """An annotated schema; a field is given by its type."""
    record = "".join(part.title() for part in name.split(".")[-1].split("_"))
    return {
        "type": "record",
        "name": record,
        "namespace": name.rpartition(".")[0],
        "doc": name,
        "hutong": {"contract": name, "version": 1, "key": key, "sharing": "conditional"},
        "fields": [{"name": field, "type": type_, "doc": field} for field, type_ in fields.items()],
    }


def record(name: str, **fields: Any) -> dict[str, Any]:
    """A nested record."""
    return {"type": "record", "name": name, "doc": name, "fields": [{"name": n, "type": t, "doc": n} for n, t in fields.items()]}


TIME = {"type": "long", "logicalType": "timestamp-millis"}
MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}


def some(type_: Any) -> list[Any]:
    """The type, or null."""
    return ["null", type_]


def listed(type_: Any) -> dict[str, Any]:
    """An array."""
    return {"type": "array", "items": type_}


SCHEMAS: dict[str, dict[str, Any]] = {
    one["hutong"]["contract"]: one
    for one in [
        contract(
            "aid.office.applied",
            ["number"],
            number="string",
            members=listed(record("Member", id="string", signed="boolean")),
            cars="int",
            income=MONEY,
            since=some({"type": "int", "logicalType": "date"}),
        ),
        contract("aid.office.signed", ["number"], number="string", person="string"),
        contract("aid.office.took_back", ["number"], number="string", person="string"),
        contract("aid.office.decided", ["number"], number="string", decision="string"),
        contract("reg.weddings.married", ["one"], one="string", other="string", on={"type": "int", "logicalType": "date"}),
        *(
            contract(
                f"{agency}.answered",
                ["question_number"],
                case_number="string",
                question_number="string",
                count="int",
                places=listed("string"),
                persons=listed("string"),
                paid=some(MONEY),
            )
            for agency in ("cars.office", "tax.office", "banks.union", "north.town", "south.town")
        ),
        contract(
            "aid.centre.question_asked",
            ["question_number"],
            question_number="string",
            case_number="string",
            agency="string",
            words="string",
            persons=listed(record("Asked", id="string")),
            due_at=TIME,
            reminder="int",
            withdrawn="boolean",
            purpose="string",
        ),
        contract(
            "aid.centre.case_progressed",
            ["case_number"],
            case_number="string",
            number="int",
            what="string",
            ask=some("string"),
            agency=some("string"),
            told=some("string"),
            detail=some("string"),
            at=TIME,
        ),
        contract(
            "aid.centre.reported",
            ["case_number"],
            case_number="string",
            result="string",
            overpaid=some(MONEY),
            discrepancies=listed(record("Discrepancy", rule="string", agency="string", declared="string", found="string")),
            missing=listed(record("Missing", ask="string", agency="string")),
            unjudged=listed("string"),
            purpose="string",
            at=TIME,
        ),
    ]
}


def answers(agency: str) -> list[dict[str, Any]]:
    """What answers a question to an agency."""
    kept = {"count": "count", "places": "places", "paid": "paid"}
    return [{"contract": f"{agency}.answered", "persons": "persons", "keep": kept}]


DOCUMENT: dict[str, Any] = {
    "id": "aid",
    "title": {"en": "Aid"},
    "owner": "aid.centre",
    "prefix": "AID",
    "legal_basis": "A made-up act",
    "purpose": "Aid",
    "events": [
        {
            "does": "open",
            "contract": "aid.office.applied",
            "when": "size(members) > 0",
            "case": "number",
            "keep": {"members": "members", "cars": "cars", "income": "income", "since": "since"},
        },
        {"does": "authorise", "contract": "aid.office.signed", "case": "number", "person": "person"},
        {"does": "withdraw", "contract": "aid.office.took_back", "case": "number", "person": "person"},
        {
            "does": "refer",
            "contract": "reg.weddings.married",
            "case": ["one", "other"],
            "keep": {"on": "on"},
            "given": "data.since != null && event.on > data.since",
        },
        {"does": "resume", "contract": "aid.office.decided", "when": "decision == 'resume'", "case": "number"},
        {"does": "revoke", "contract": "aid.office.decided", "when": "decision == 'revoke'", "case": "number"},
    ],
    "people": {"each": "data.members", "id": "item.id", "authorisation": True, "given": "item.signed"},
    "ask": [
        {
            "id": "cars",
            "agency": "cars.office",
            "question": {"en": "Which cars?"},
            "within": {"working_days": 5},
            "remind": [{"working_days": 2}, {"working_days": 4}],
            "escalate": {"after": {"working_days": 7}, "to": "aid.office"},
            "answer": answers("cars.office"),
        },
        {
            "id": "tax",
            "agency": "tax.office",
            "question": {"en": "Which income?"},
            "within": {"working_days": 10},
            "answer": answers("tax.office"),
        },
        {
            "id": "bank",
            "agency": "banks.union",
            "required": False,
            "when": "data.income < 5000.0",
            "question": {"en": "Which balance?"},
            "within": {"days": 3},
            "answer": answers("banks.union"),
        },
        {
            "id": "town",
            "agency": {"path": "item"},
            "each": "answers.tax.places",
            "after": "tax",
            "question": {"en": "Which house?"},
            "within": {"hours": 48},
            "answer": [*answers("north.town"), *answers("south.town")],
        },
        {
            "id": "undo-cars",
            "stage": "undo",
            "agency": "cars.office",
            "when": "answers.cars != null && answers.cars.count > 0",
            "question": {"en": "Undo it."},
            "within": {"working_days": 1},
            "answer": answers("cars.office"),
        },
    ],
    "figures": {"overpaid": {"cel": "answers.tax == null || answers.tax.paid == null ? 0.0 : answers.tax.paid * 2.0"}},
    "rules": [
        {
            "id": "more-cars",
            "needs": ["cars"],
            "when": "answers.cars.count > data.cars",
            "says": {"en": "more cars than declared"},
            "source": "cars",
            "declared": "data.cars",
            "found": "answers.cars.count",
        },
        {
            "id": "richer",
            "needs": ["tax", "bank"],
            "when": "answers.tax.paid + answers.bank.paid > data.income",
            "says": {"en": "more money than declared"},
            "source": "tax",
            "declared": "data.income",
            "found": {"cel": "answers.tax.paid + answers.bank.paid"},
        },
    ],
    "deadline": {"working_days": 30},
    "question": {
        "contract": "aid.centre.question_asked",
        "fields": {
            "question_number": "question.number",
            "case_number": "case.number",
            "agency": "question.agency",
            "words": "question.words_en",
            "persons": "people",
            "due_at": "question.due_at",
            "reminder": "question.reminder",
            "withdrawn": "question.withdrawn",
            "purpose": "flow.purpose",
        },
    },
    "progress": {
        "contract": "aid.centre.case_progressed",
        "fields": {
            "case_number": "case.number",
            "number": "step.number",
            "what": "step.what",
            "ask": "step.ask",
            "agency": "step.agency",
            "told": "step.to",
            "detail": "step.detail",
            "at": "step.at",
        },
    },
    "outcome": {
        "contract": "aid.centre.reported",
        "fields": {
            "case_number": "case.number",
            "result": "report.result",
            "overpaid": "figures.overpaid",
            "discrepancies": "report.discrepancies",
            "missing": "report.missing",
            "unjudged": "report.unjudged",
            "purpose": "flow.purpose",
            "at": "report.at",
        },
    },
}


def plan(**changes: Any) -> FlowPlan:
    """The flow, with top-level parts replaced."""
    flow = Flow.model_validate({**DOCUMENT, **changes})
    return FlowPlan(flow, SCHEMAS, WorkTime(ZoneInfo("Asia/Shanghai"), StateCouncil()), b"a secret of thirty-two bytes or so")


def stimuli(plan: FlowPlan, contract: str, data: Mapping[str, Any], *, id: str, at_ms: int) -> list[Stimulus]:
    """What a published event becomes."""
    meant, unusable = Intake([plan]).meant(contract, data)
    assert not unusable, unusable
    return [
        Stimulus(case=one.case, does=one.does, spec=one.spec, key=one.key, id=id, contract=contract, at_ms=at_ms, data=data)
        for one in meant
    ]


def application(number: str = "A1", *, signed: bool = True, **changes: Any) -> dict[str, Any]:
    """An application's data."""
    from decimal import Decimal

    members = [{"id": "p1", "signed": signed}, {"id": "p2", "signed": True}]
    return {"number": number, "members": members, "cars": 0, "income": Decimal("1000.00"), "since": None, **changes}


def reply(case: str, question: str, *, count: int = 0, **changes: Any) -> dict[str, Any]:
    """An answer's data."""
    kept = {"count": count, "places": [], "persons": ["p1"], "paid": None}
    return {"case_number": case, "question_number": f"{case}-{question}", **kept, **changes}
