"""Marriage registration: one wide table for marriages and divorces, English column names, numeric codes."""

from __future__ import annotations

from typing import Any

from demo.changes import Divorce, Marriage, Party
from demo.systems.application import Book, Desk, Row, System
from demo.systems.codes import MARITAL, SEX, at_counter, contract_person

__all__ = ["SYSTEM"]

_MARRIAGE, _DIVORCE = 1, 2

_TABLES = """
CREATE TABLE registration (
    reg_id     bigint PRIMARY KEY,
    reg_type   smallint NOT NULL,
    cert_no    text NOT NULL UNIQUE,
    prior_cert text,
    area_cd    integer NOT NULL,
    office     text NOT NULL,
    m_id_no    text,
    m_id_flag  smallint NOT NULL,
    m_name     text NOT NULL,
    m_gender   smallint NOT NULL,
    m_dob      date,
    m_tel      text,
    m_status   smallint NOT NULL,
    f_id_no    text,
    f_id_flag  smallint NOT NULL,
    f_name     text NOT NULL,
    f_gender   smallint NOT NULL,
    f_dob      date,
    f_tel      text,
    f_status   smallint NOT NULL,
    minors     smallint,
    effective  date NOT NULL,
    entered    timestamptz NOT NULL,
    event_id   text NOT NULL
);
CREATE INDEX registration_couple ON registration (m_id_no, f_id_no) WHERE reg_type = 1;
COMMENT ON COLUMN registration.reg_type IS '1 marriage, 2 divorce';
COMMENT ON COLUMN registration.m_id_flag IS '0 confirmed by the household register, 1 not confirmed';
"""

_WRITE = """
INSERT INTO registration
VALUES (%(reg_id)s, %(reg_type)s, %(cert_no)s, %(prior_cert)s, %(area_cd)s, %(office)s,
        %(m_id_no)s, %(m_id_flag)s, %(m_name)s, %(m_gender)s, %(m_dob)s, %(m_tel)s, %(m_status)s,
        %(f_id_no)s, %(f_id_flag)s, %(f_name)s, %(f_gender)s, %(f_dob)s, %(f_tel)s, %(f_status)s,
        %(minors)s, %(effective)s, %(entered)s, %(event_id)s)"""

_COUPLE = """
SELECT cert_no FROM registration WHERE reg_type = 1 AND m_id_no = %s AND f_id_no = %s ORDER BY reg_id DESC LIMIT 1"""


def _spouse(party: Party, prefix: str) -> dict[str, Any]:
    return {
        f"{prefix}_id_no": party.identity_number,
        f"{prefix}_id_flag": int(party.unverified),
        f"{prefix}_name": party.name,
        f"{prefix}_gender": int(SEX.code(party.sex)),
        f"{prefix}_dob": party.born,
        f"{prefix}_tel": party.phone,
        f"{prefix}_status": int(MARITAL.code(party.marital)),
    }


def _couple(change: Marriage | Divorce) -> tuple[Party, Party]:
    """Husband and wife."""
    if change.second.sex == "MALE" or change.first.sex == "FEMALE":
        return change.second, change.first
    return change.first, change.second


def _entry(change: Marriage | Divorce, desk: Desk) -> dict[str, Any]:
    husband, wife = _couple(change)
    number = desk.number
    marriage = isinstance(change, Marriage)
    row: dict[str, Any] = {
        "reg_id": number,
        "reg_type": _MARRIAGE if marriage else _DIVORCE,
        "cert_no": f"{'J' if marriage else 'L'}{change.region}-{change.day:%Y}-{number:06d}",
        "prior_cert": None,
        "area_cd": int(change.region),
        "office": f"{change.region}婚姻登记处",
        "minors": None,
        "effective": change.day,
        "entered": at_counter(change.day, number),
    }
    if isinstance(change, Divorce):
        row["minors"] = change.children
        if change.married is not None:  # else they married before this system existed
            found = desk.look_up(_COUPLE, (husband.identity_number, wife.identity_number))
            row["prior_cert"] = found[0] if found else None
    return row | _spouse(husband, "m") | _spouse(wife, "f")


def _event_spouse(row: Row, prefix: str) -> dict[str, Any]:
    columns = ("id_no", "id_flag", "name", "gender", "dob")
    return contract_person(*(row[f"{prefix}_{column}"] for column in columns))


def _marriage_event(row: Row) -> dict[str, Any]:
    return {
        "certificate_number": row["cert_no"],
        "region": f"{row['area_cd']:06d}",
        "office": row["office"],
        "husband": _event_spouse(row, "m"),
        "husband_previous_status": MARITAL.word(row["m_status"]),
        "wife": _event_spouse(row, "f"),
        "wife_previous_status": MARITAL.word(row["f_status"]),
        "registered_on": row["effective"],
        "registered_at": row["entered"],
    }


def _divorce_event(row: Row) -> dict[str, Any]:
    return {
        "certificate_number": row["cert_no"],
        "marriage_certificate_number": row["prior_cert"],
        "region": f"{row['area_cd']:06d}",
        "husband": _event_spouse(row, "m"),
        "wife": _event_spouse(row, "f"),
        "minor_children": row["minors"],
        "registered_on": row["effective"],
        "registered_at": row["entered"],
    }


SYSTEM = System(
    department="mca.marriage",
    database="marriage",
    tables=_TABLES,
    books=(
        Book(
            contract="mca.marriage.marriage_registered",
            change=Marriage,
            entry=_entry,
            writes=(_WRITE,),
            event=_marriage_event,
            key="certificate_number",
            journal=f"SELECT * FROM registration WHERE reg_type = {_MARRIAGE} ORDER BY reg_id",  # noqa: S608
        ),
        Book(
            contract="mca.marriage.divorce_registered",
            change=Divorce,
            entry=_entry,
            writes=(_WRITE,),
            event=_divorce_event,
            key="certificate_number",
            journal=f"SELECT * FROM registration WHERE reg_type = {_DIVORCE} ORDER BY reg_id",  # noqa: S608
        ),
    ),
)
