"""The household register: a table of residents that is kept up to date, and a book for each kind of change to it."""

from __future__ import annotations

from datetime import date
from typing import Any

from demo.changes import HouseholdMoved, IdentityChanged, Party, RegisterCancelled
from demo.systems.application import Book, Desk, Row, System
from demo.systems.codes import KINSHIP, SEX, Codes, at_counter, contract_person

__all__ = ["SYSTEM"]

_KIND = Codes({"WITHIN_COUNTY": "1", "BETWEEN_COUNTIES": "2", "BETWEEN_PROVINCES": "3"})
_REASON = Codes({"DEATH": "1", "DECLARED_DEAD": "2"})
_CHANGE = Codes({"NUMBER": "1", "NAME": "2"})

_TABLES = """
CREATE TABLE resident (
    id_number text PRIMARY KEY,
    full_name text NOT NULL,
    county    char(6),
    telephone text,
    struck_on date
);
CREATE TABLE migration (
    mig_id        bigint PRIMARY KEY,
    permit_no     text NOT NULL UNIQUE,
    household_no  text NOT NULL,
    head_sex_code char(1) NOT NULL,
    head_birth    date,
    county_from   char(6) NOT NULL,
    county_to     char(6) NOT NULL,
    new_address   text NOT NULL,
    kind_code     char(1) NOT NULL,
    entry_day     date NOT NULL,
    event_id      text NOT NULL
);
CREATE TABLE migration_member (
    mig_id     bigint REFERENCES migration,
    line       smallint,
    id_number  text NOT NULL,
    unverified boolean NOT NULL,
    full_name  text NOT NULL,
    kin_code   char(1) NOT NULL,
    PRIMARY KEY (mig_id, line)
);
CREATE TABLE strike_off (
    strike_id   bigint PRIMARY KEY,
    strike_no   text NOT NULL UNIQUE,
    county      char(6) NOT NULL,
    id_number   text,
    unverified  boolean NOT NULL,
    full_name   text NOT NULL,
    sex_code    char(1) NOT NULL,
    birth       date,
    reason_code char(1) NOT NULL,
    event_day   date,
    evidence_no text,
    entry_day   date NOT NULL,
    event_id    text NOT NULL
);
CREATE TABLE particulars_change (
    change_id   bigint PRIMARY KEY,
    change_no   text NOT NULL UNIQUE,
    county      char(6) NOT NULL,
    id_number   text,
    unverified  boolean NOT NULL,
    full_name   text NOT NULL,
    sex_code    char(1) NOT NULL,
    birth       date,
    what_code   char(1) NOT NULL,
    old_number  text,
    old_name    text,
    changed_at  timestamptz NOT NULL,
    event_id    text NOT NULL
);
"""

# One statement for all three kinds of changes, so that they keep their order.
_RESIDENTS = """
INSERT INTO resident
SELECT one.id_number, one.full_name, %(county)s, one.telephone, %(struck_on)s
FROM unnest(%(numbers)s::text[], %(names)s::text[], %(telephones)s::text[]) AS one (id_number, full_name, telephone)
ON CONFLICT (id_number) DO UPDATE SET
    county = excluded.county, full_name = excluded.full_name, struck_on = coalesce(excluded.struck_on, resident.struck_on)"""

_MOVE = (
    """
INSERT INTO migration VALUES (%(mig_id)s, %(permit_no)s, %(household_no)s, %(head_sex_code)s, %(head_birth)s,
    %(county_from)s, %(county_to)s, %(new_address)s, %(kind_code)s, %(entry_day)s, %(event_id)s)""",
    """
INSERT INTO migration_member
SELECT %(mig_id)s, line, one.id_number, one.unverified, one.full_name, one.kin_code
FROM unnest(%(numbers)s::text[], %(unverified)s::boolean[], %(names)s::text[], %(kins)s::text[])
    WITH ORDINALITY AS one (id_number, unverified, full_name, kin_code, line)""",
    _RESIDENTS,
)

_STRIKE = (
    """
INSERT INTO strike_off VALUES (%(strike_id)s, %(strike_no)s, %(county)s, %(id_number)s, %(unverified)s, %(full_name)s,
    %(sex_code)s, %(birth)s, %(reason_code)s, %(event_day)s, %(evidence_no)s, %(entry_day)s, %(event_id)s)""",
    _RESIDENTS,
)

_PARTICULARS = (
    """
INSERT INTO particulars_change VALUES (%(change_id)s, %(change_no)s, %(county)s, %(id_number)s, %(unverified)s,
    %(full_name)s, %(sex_code)s, %(birth)s, %(what_code)s, %(old_number)s, %(old_name)s, %(changed_at)s, %(event_id)s)""",
    _RESIDENTS,
)

_MOVE_JOURNAL = """
SELECT m.*, p.numbers, p.unverified, p.names, p.kins
FROM migration m JOIN (
    SELECT mig_id, array_agg(id_number ORDER BY line) AS numbers, array_agg(unverified ORDER BY line) AS unverified,
           array_agg(full_name ORDER BY line) AS names, array_agg(kin_code ORDER BY line) AS kins
    FROM migration_member GROUP BY mig_id
) p USING (mig_id) ORDER BY mig_id"""


def _move_entry(change: HouseholdMoved, desk: Desk) -> dict[str, Any]:
    number, head = desk.number, change.members[0]
    if change.from_region == change.to_region:
        kind = "WITHIN_COUNTY"
    elif change.from_region[:2] == change.to_region[:2]:
        kind = "BETWEEN_COUNTIES"
    else:
        kind = "BETWEEN_PROVINCES"
    return {
        "mig_id": number,
        "permit_no": f"QY{change.to_region}{change.day:%y}{number:07d}",
        "household_no": f"{change.to_region}{change.household:08d}",
        "head_sex_code": SEX.code(head.sex),
        "head_birth": head.born,
        "county_from": change.from_region,
        "county_to": change.to_region,
        "new_address": change.to_address,
        "kind_code": _KIND.code(kind),
        "entry_day": change.day,
        "numbers": [member.identity_number for member in change.members],
        "unverified": [member.unverified for member in change.members],
        "names": [member.name for member in change.members],
        "kins": [KINSHIP.code(member.kinship) for member in change.members],
        "telephones": [member.phone for member in change.members],
        "county": change.to_region,
        "struck_on": None,
    }


def _move_event(row: Row) -> dict[str, Any]:
    numbers, unverified, names = row["numbers"], row["unverified"], row["names"]
    return {
        "move_number": row["permit_no"],
        "household_number": row["household_no"],
        "head": contract_person(numbers[0], unverified[0], names[0], row["head_sex_code"], row["head_birth"]),
        "from_region": row["county_from"],
        "to_region": row["county_to"],
        "address": row["new_address"],
        "kind": _KIND.word(row["kind_code"]),
        "members": [
            {"identity_number": a, "identity_unverified": b, "name": c, "relation": KINSHIP.word(d)}
            for a, b, c, d in zip(numbers, unverified, names, row["kins"], strict=True)
        ],
        "moved_on": row["entry_day"],
    }


def _strike_entry(change: RegisterCancelled, desk: Desk) -> dict[str, Any]:
    number, person = desk.number, change.person
    evidence = {"COURT": "FY", "CREMATION": "HH", "CERTIFICATE": "SW"}.get(change.source)
    return {
        "strike_id": number,
        "strike_no": f"ZX{person.region}{change.day:%y}{number:07d}",
        "county": person.region,
        "id_number": person.identity_number,
        "unverified": person.unverified,
        "full_name": person.name,
        "sex_code": SEX.code(person.sex),
        "birth": person.born,
        "reason_code": _REASON.code("DECLARED_DEAD" if change.source == "COURT" else "DEATH"),
        "event_day": change.died,
        "evidence_no": f"{evidence}{change.died:%Y}-{number:07d}" if evidence else None,
        "entry_day": change.day,
        **_resident(person, struck_on=change.day),
    }


def _resident(person: Party, struck_on: date | None) -> dict[str, Any]:
    return {
        "numbers": [person.identity_number],
        "names": [person.name],
        "telephones": [person.phone],
        "struck_on": struck_on,
    }


def _columns_person(row: Row) -> dict[str, Any]:
    return contract_person(row["id_number"], row["unverified"], row["full_name"], row["sex_code"], row["birth"])


def _strike_event(row: Row) -> dict[str, Any]:
    return {
        "cancellation_number": row["strike_no"],
        "region": row["county"],
        "person": _columns_person(row),
        "reason": _REASON.word(row["reason_code"]),
        "event_date": row["event_day"],
        "evidence_number": row["evidence_no"],
        "cancelled_on": row["entry_day"],
    }


def _particulars_entry(change: IdentityChanged, desk: Desk) -> dict[str, Any]:
    number, person = desk.number, change.person
    renumbered = change.old_number != person.identity_number and change.defect is None
    return {
        "change_id": number,
        "change_no": f"BG{person.region}{change.day:%y}{number:07d}",
        "county": person.region,
        "id_number": person.identity_number,
        "unverified": person.unverified,
        "full_name": person.name,
        "sex_code": SEX.code(person.sex),
        "birth": person.born,
        "what_code": _CHANGE.code("NUMBER" if renumbered else "NAME"),
        "old_number": change.old_number if renumbered else None,
        "old_name": None if renumbered else change.old_name,
        "changed_at": at_counter(change.day, number),
        **_resident(person, struck_on=None),
    }


def _particulars_event(row: Row) -> dict[str, Any]:
    return {
        "change_number": row["change_no"],
        "region": row["county"],
        "person": _columns_person(row),
        "kind": _CHANGE.word(row["what_code"]),
        "previous": {"identity_number": row["old_number"], "name": row["old_name"], "birth_date": None},
        "changed_at": row["changed_at"],
    }


SYSTEM = System(
    department="mps.population",
    database="hukou",
    tables=_TABLES,
    books=(
        Book(
            contract="mps.population.household_moved",
            change=HouseholdMoved,
            entry=_move_entry,
            writes=_MOVE,
            event=_move_event,
            key="move_number",
            journal=_MOVE_JOURNAL,
        ),
        Book(
            contract="mps.population.register_cancelled",
            change=RegisterCancelled,
            entry=_strike_entry,
            writes=_STRIKE,
            event=_strike_event,
            key="cancellation_number",
            journal="SELECT * FROM strike_off ORDER BY strike_id",
        ),
        Book(
            contract="mps.population.identity_changed",
            change=IdentityChanged,
            entry=_particulars_entry,
            writes=_PARTICULARS,
            event=_particulars_event,
            key="change_number",
            journal="SELECT * FROM particulars_change ORDER BY change_id",
        ),
    ),
)
