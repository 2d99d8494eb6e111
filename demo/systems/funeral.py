"""Funeral administration: two tables with pinyin initials, single-character codes, and one kind of case."""

from __future__ import annotations

from functools import cache
from typing import Any

from demo.changes import Cremation
from demo.systems.application import Book, Desk, Row, System
from demo.systems.codes import KINSHIP, SEX, Codes, at_counter, contract_person

__all__ = ["SYSTEM"]

_CAUSE = Codes({"NATURAL": "1", "ACCIDENT": "2", "OTHER_EXTERNAL": "3", "UNDETERMINED": "9"})
_ASHES = Codes({"CEMETERY": "1", "COLUMBARIUM": "2", "ECOLOGICAL": "3", "TAKEN_BY_FAMILY": "4", "NOT_STATED": "9"})

_TABLES = """
CREATE TABLE sz_dj (
    sz_id  bigint PRIMARY KEY,
    zjhm   varchar(18),
    zj_whs boolean NOT NULL,
    xm     varchar(100) NOT NULL,
    xb     char(1) NOT NULL,
    csrq   date
);
COMMENT ON TABLE sz_dj IS '逝者登记';
CREATE TABLE hh_dj (
    hhz_bh varchar(32) PRIMARY KEY,
    sz_id  bigint NOT NULL REFERENCES sz_dj,
    dqdm   char(6) NOT NULL,
    byg_mc varchar(200) NOT NULL,
    byg_dm char(18) NOT NULL,
    sw_rq  date NOT NULL,
    sw_yy  char(1) NOT NULL,
    sw_zm  varchar(32),
    hh_sj  timestamptz NOT NULL,
    gh_qx  char(1) NOT NULL,
    sq_xm  varchar(100),
    sq_zjhm varchar(18),
    sq_whs boolean,
    sq_gx  char(1),
    sq_dh  varchar(20),
    sj_id  text NOT NULL
);
COMMENT ON TABLE hh_dj IS '火化登记';
"""

_CREMATION = """
WITH sz AS (
    INSERT INTO sz_dj (sz_id, zjhm, zj_whs, xm, xb, csrq)
    VALUES (%(sz_id)s, %(zjhm)s, %(zj_whs)s, %(xm)s, %(xb)s, %(csrq)s)
)
INSERT INTO hh_dj (hhz_bh, sz_id, dqdm, byg_mc, byg_dm, sw_rq, sw_yy, sw_zm, hh_sj, gh_qx, sq_xm, sq_zjhm, sq_whs, sq_gx,
                   sq_dh, sj_id)
VALUES (%(hhz_bh)s, %(sz_id)s, %(dqdm)s, %(byg_mc)s, %(byg_dm)s, %(sw_rq)s, %(sw_yy)s, %(sw_zm)s, %(hh_sj)s, %(gh_qx)s,
        %(sq_xm)s, %(sq_zjhm)s, %(sq_whs)s, %(sq_gx)s, %(sq_dh)s, %(event_id)s)"""

_JOURNAL = """
SELECT h.sj_id AS event_id, h.*, s.zjhm, s.zj_whs, s.xm, s.xb, s.csrq
FROM hh_dj h JOIN sz_dj s USING (sz_id) ORDER BY sz_id"""


@cache
def _credit_code(region: str, parlour: int) -> str:
    from stdnum.cn import uscc

    first17 = f"12{region}D{parlour:08d}"  # 12: a public institution
    return first17 + str(uscc.calc_check_digit(first17))


def _entry(change: Cremation, desk: Desk) -> dict[str, Any]:
    deceased, applicant = change.deceased, change.applicant
    number = desk.number
    # A place that does not exist has no parlour either; the clerk copied the code of the next one.
    parlour_region = change.region if change.defect is None else "110101"
    return {
        "sz_id": number,
        "zjhm": deceased.identity_number,
        "zj_whs": deceased.unverified,
        "xm": deceased.name,
        "xb": SEX.code(deceased.sex),
        "csrq": deceased.born,
        "hhz_bh": f"HH{change.day:%Y}-{number:07d}",
        "dqdm": change.region,
        "byg_mc": f"第{change.parlour + 1}殡仪馆",
        "byg_dm": _credit_code(parlour_region, change.parlour),
        "sw_rq": change.died,
        "sw_yy": _CAUSE.code(change.cause),
        "sw_zm": f"SW{change.died:%Y%m}-{number:07d}" if change.certificate else None,
        "hh_sj": at_counter(change.day, number),
        "gh_qx": _ASHES.code(change.ashes),
        "sq_xm": applicant.name if applicant else None,
        "sq_zjhm": applicant.identity_number if applicant else None,
        "sq_whs": applicant.unverified if applicant else None,
        "sq_gx": KINSHIP.code(applicant.kinship) if applicant else None,
        "sq_dh": applicant.phone if applicant else None,
    }


def _event(row: Row) -> dict[str, Any]:
    applicant = None
    if row["sq_xm"] is not None:
        applicant = {
            "identity_number": row["sq_zjhm"],
            "identity_unverified": row["sq_whs"],
            "name": row["sq_xm"],
            "relation": KINSHIP.word(row["sq_gx"]),
        }
    return {
        "certificate_number": row["hhz_bh"],
        "region": row["dqdm"],
        "facility": {"name": row["byg_mc"], "credit_code": row["byg_dm"]},
        "deceased": contract_person(row["zjhm"], row["zj_whs"], row["xm"], row["xb"], row["csrq"]),
        "death_date": row["sw_rq"],
        "cause": _CAUSE.word(row["sw_yy"]),
        "cremated_at": row["hh_sj"],
        "applicant": applicant,
        "death_certificate_number": row["sw_zm"],
        "ashes_disposal": _ASHES.word(row["gh_qx"]),
    }


SYSTEM = System(
    department="mca.funeral",
    database="bzgl",
    tables=_TABLES,
    books=(
        Book(
            contract="mca.funeral.cremation_recorded",
            change=Cremation,
            entry=_entry,
            writes=(_CREMATION,),
            event=_event,
            key="certificate_number",
            journal=_JOURNAL,
        ),
    ),
)
