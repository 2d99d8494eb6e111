"""The sample's correction flow for tests of the coordinator: its part of the declarations, and the events of one objection.

Neighbours: ``test_coordinator`` plays it; ``schemas/flows/correction.yaml`` is the flow.
"""

from __future__ import annotations

import re
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from hutong.catalogue.load import load

__all__ = ["FLOW", "WRONG", "applied", "cremation", "decided", "declare_correction", "objection"]

FLOW = "correction"
WRONG = "mca.funeral.cremation_recorded"
_SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
_MOMENT = datetime(2026, 3, 2, 1, tzinfo=UTC)


def declare_correction(target: Path) -> None:
    """The flow, the contracts that it takes and emits, the one that it corrects, and all agreements on these, without an end."""
    flow = yaml.safe_load((_SCHEMAS / "flows" / f"{FLOW}.yaml").read_text("utf-8"))
    events = [*flow["events"], *(answer for ask in flow["ask"] for answer in ask["answer"])]
    wanted = {WRONG, *(one["contract"] for one in (*events, flow["question"], flow["progress"], flow["outcome"]))}
    shutil.copy(_SCHEMAS / "departments.yaml", target)
    shutil.copytree(_SCHEMAS / "codelists", target / "codelists")
    for name in wanted:
        department, _, event = name.rpartition(".")
        shutil.copytree(_SCHEMAS / "contracts" / department / event, target / "contracts" / department / event)
    (target / "flows").mkdir()
    shutil.copy(_SCHEMAS / "flows" / f"{FLOW}.yaml", target / "flows")
    for path in (_SCHEMAS / "agreements").glob("*/*.yaml"):
        text = path.read_text("utf-8")
        if yaml.safe_load(text)["contract"] in wanted:
            copy = target / "agreements" / path.parent.name / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(re.sub(r", until: [\d-]+", "", text), "utf-8")
    load(target)  # which says what is wrong with it


def cremation(number: str, *, born: date, died: date) -> dict[str, Any]:
    """A cremation of somebody."""
    who = {"identity_number": "110105194011120018", "identity_unverified": False, "name": "张德胜", "sex": "MALE"}
    return {
        "certificate_number": number,
        "region": "140105",
        "facility": {"name": "太原市殡仪馆", "credit_code": "12140100405750157T"},
        "deceased": {**who, "birth_date": born},
        "death_date": died,
        "cause": "NATURAL",
        "cremated_at": _MOMENT,
    }


def objection(number: str, event_id: str) -> dict[str, Any]:
    """Social insurance doubts the day of death of an event that was published just now."""
    return {
        "objection_number": number,
        "raised_by": "mohrss.insurance",
        "source_department": WRONG.rpartition(".")[0],
        "contract": WRONG,
        "event_id": event_id,
        "event_time": datetime.now(UTC),
        "field": "death_date",
        "claimed": "2026-02-21",
        "reason": "The hospital says 21 February.",
        "raised_at": _MOMENT,
    }


def decided(case: str, wrong: str, correction: str) -> dict[str, Any]:
    """The source has put it right."""
    numbers = {"question_number": f"{case}-verify", "case_number": case}
    told = {"decision": "CORRECTED", "corrects": wrong, "correction_id": correction, "reason": "A slip of the pen."}
    return {**numbers, **told, "decided_at": _MOMENT}


def applied(case: str, question: str, correction: str) -> dict[str, Any]:
    """A recipient has taken it in."""
    return {"question_number": question, "case_number": case, "correction_id": correction, "applied_at": _MOMENT}
