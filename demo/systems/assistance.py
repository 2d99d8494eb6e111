"""Social assistance: running benefits and a journal of decisions; ``applications`` has what comes before."""

from __future__ import annotations

from typing import Any

from demo.changes import BenefitAdjusted, BenefitChange, BenefitGranted, BenefitStopped
from demo.systems.application import Book, Desk, Row, System
from demo.systems.applications import APPLICATIONS, CLIENT, TABLES, application_number
from demo.systems.codes import SEX, at_counter, contract_person

__all__ = ["SYSTEM"]

_TABLES = """
CREATE TABLE benefit (
    ben_no text PRIMARY KEY,
    kind   text NOT NULL,
    class  text NOT NULL,
    amount numeric(12, 2) NOT NULL,
    status char(1) NOT NULL
);
CREATE TABLE decision (
    dec_id    bigint PRIMARY KEY,
    dec_type  char(1) NOT NULL,
    ben_no    text NOT NULL REFERENCES benefit,
    app_no    text,
    area      char(6) NOT NULL,
    id_no     text,
    id_ok     boolean NOT NULL,
    name      text NOT NULL,
    sex       char(1) NOT NULL,
    birth     date,
    kind      text NOT NULL,
    class     text NOT NULL,
    persons   smallint NOT NULL,
    old_sum   numeric(12, 2),
    new_sum   numeric(12, 2),
    account   text,
    pay_by    text,
    reason    text,
    from_day  date NOT NULL,
    review_on date,
    decided   timestamptz NOT NULL,
    event_id  text NOT NULL
);
COMMENT ON COLUMN decision.dec_type IS 'G granted, A adjusted, S stopped';
"""

_DECISION = """
WITH running AS (
    INSERT INTO benefit VALUES (%(ben_no)s, %(kind)s, %(class)s, coalesce(%(new_sum)s, %(old_sum)s), %(status)s)
    ON CONFLICT (ben_no) DO UPDATE SET amount = excluded.amount, status = excluded.status
)
INSERT INTO decision VALUES (%(dec_id)s, %(dec_type)s, %(ben_no)s, %(app_no)s, %(area)s, %(id_no)s, %(id_ok)s, %(name)s,
    %(sex)s, %(birth)s, %(kind)s, %(class)s, %(persons)s, %(old_sum)s, %(new_sum)s, %(account)s, %(pay_by)s, %(reason)s,
    %(from_day)s, %(review_on)s, %(decided)s, %(event_id)s)"""


def _benefit_number(case: int) -> str:
    return f"JZ-{case:08d}"


def _decision_entry(change: BenefitChange, desk: Desk, **particulars: Any) -> dict[str, Any]:
    person = change.applicant
    row: dict[str, Any] = {
        "dec_id": desk.number,
        "ben_no": _benefit_number(change.case),
        "app_no": None,
        "area": change.region,
        "id_no": person.identity_number,
        "id_ok": not person.unverified,
        "name": person.name,
        "sex": SEX.code(person.sex),
        "birth": person.born,
        "tel": person.phone,
        "kind": change.kind,
        "class": change.population_class,
        "persons": change.size,
        "old_sum": None,
        "new_sum": None,
        "account": None,
        "pay_by": None,
        "reason": None,
        "review_on": None,
        "status": "R",
        "decided": at_counter(change.day, desk.number),
    }
    return row | particulars


def _granted_entry(change: BenefitGranted, desk: Desk) -> dict[str, Any]:
    # Three in ten use the social security card, one in ten has no account.
    pay_by = ("CASH", *["SOCIAL_SECURITY_CARD"] * 3, *["BANK_CARD"] * 6)[change.case % 10]
    return _decision_entry(
        change,
        desk,
        dec_type="G",
        app_no=application_number(change.case),
        new_sum=change.amount,
        account=None if pay_by == "CASH" else f"6200{change.case * 7919 % 10**15:015d}",
        pay_by=pay_by,
        from_day=change.begins,
        review_on=change.begins.replace(year=change.begins.year + 1),
    )


def _adjusted_entry(change: BenefitAdjusted, desk: Desk) -> dict[str, Any]:
    return _decision_entry(
        change,
        desk,
        dec_type="A",
        old_sum=change.old_amount,
        new_sum=change.amount,
        reason=change.reason,
        from_day=change.begins,
    )


def _stopped_entry(change: BenefitStopped, desk: Desk) -> dict[str, Any]:
    return _decision_entry(
        change, desk, dec_type="S", old_sum=change.amount, reason=change.reason, from_day=change.ends, status="E"
    )


def _recipient(row: Row) -> dict[str, Any]:
    return contract_person(row["id_no"], not row["id_ok"], row["name"], row["sex"], row["birth"])


def _granted_event(row: Row) -> dict[str, Any]:
    return {
        "benefit_number": row["ben_no"],
        "application_number": row["app_no"],
        "region": row["area"],
        "recipient": _recipient(row),
        "kind": row["kind"],
        "population_class": row["class"],
        "household_size": row["persons"],
        "monthly_amount": row["new_sum"],
        "account_number": row["account"],
        "granted_on": row["from_day"],
        "valid_until": None,
        "payment_channel": row["pay_by"],
        "next_review_on": row["review_on"],
    }


def _adjusted_event(row: Row) -> dict[str, Any]:
    return {
        "benefit_number": row["ben_no"],
        "region": row["area"],
        "recipient": _recipient(row),
        "kind": row["kind"],
        "previous_amount": row["old_sum"],
        "new_amount": row["new_sum"],
        "reason": row["reason"],
        "effective_from": row["from_day"],
        "adjusted_at": row["decided"],
    }


def _stopped_event(row: Row) -> dict[str, Any]:
    return {
        "benefit_number": row["ben_no"],
        "region": row["area"],
        "recipient": _recipient(row),
        "kind": row["kind"],
        "reason": row["reason"],
        "last_amount": row["old_sum"],
        "effective_from": row["from_day"],
        "stopped_at": row["decided"],
    }


def _decisions(kind: str) -> str:
    return f"SELECT * FROM decision WHERE dec_type = '{kind}' ORDER BY dec_id"  # noqa: S608


SYSTEM = System(
    department="mca.assistance",
    database="assistance",
    tables=TABLES + _TABLES,
    books=(
        APPLICATIONS,
        Book(
            contract="mca.assistance.benefit_granted",
            change=BenefitGranted,
            entry=_granted_entry,
            writes=(CLIENT, _DECISION),
            event=_granted_event,
            key="benefit_number",
            journal=_decisions("G"),
        ),
        Book(
            contract="mca.assistance.benefit_adjusted",
            change=BenefitAdjusted,
            entry=_adjusted_entry,
            writes=(_DECISION,),
            event=_adjusted_event,
            key="benefit_number",
            journal=_decisions("A"),
        ),
        Book(
            contract="mca.assistance.benefit_stopped",
            change=BenefitStopped,
            entry=_stopped_entry,
            writes=(_DECISION,),
            event=_stopped_event,
            key="benefit_number",
            journal=_decisions("S"),
        ),
    ),
)
