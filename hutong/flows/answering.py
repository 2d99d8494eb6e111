"""Answers: taken where they answer what was asked, refused with the reason on the case where they do not.

Neighbours: ``step`` hands them in; ``report`` judges what was taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hutong.agreements.cel import plain
from hutong.flows.case import Question
from hutong.flows.plan import AnswerPlan
from hutong.flows.work import Work

__all__ = ["answer"]


def answer(work: Work, ask: str, plan: AnswerPlan, event: Mapping[str, Any], id_: str, department: str) -> None:
    """Take an answer, or refuse it. A refused one leaves nothing of its content.

    Args:
        work: the case in hand.
        ask: the question that answers of this kind are for.
        plan: what of it the case keeps.
        event: the answering event's data.
        id_: its id.
        department: who published it.
    """
    number = plan.question(event)
    question = work.case["questions"].get(number) if isinstance(number, str) else None
    reason = _reason(work, ask, plan, event, question, department)
    if reason is not None or question is None:
        work.note("REFUSED", question, detail=f"{reason or 'unknown_question'} from {department}")
        return
    try:
        kept = {name: plain(value(event)) for name, value in plan.keep.items()}
    except ValueError as error:
        work.failed(f"answer to {ask}: {error}", question)
        return
    late = question["status"] == "late"
    question["status"], question["answer"] = "answered", kept
    question["answer_id"], question["answered_ms"] = id_, work.at_ms
    work.note("ANSWERED_LATE" if late else "ANSWERED", question)


def _reason(
    work: Work, ask: str, plan: AnswerPlan, event: Mapping[str, Any], question: Question | None, department: str
) -> str | None:
    if question is None:
        return "unknown_question"
    if question["agency"] != department:
        return "not_asked"
    if question["ask"] != ask or question["status"] == "failed":
        return "unknown_question"
    if question["status"] == "withdrawn":
        return "withdrawn"
    if question["status"] == "answered":
        return "twice"
    if work.case["status"] == "closed":
        return "closed"
    if plan.persons is not None and not _persons(plan.persons(event)) <= work.case["people"].keys():
        return "another_person"
    return None


def _persons(found: Any) -> set[str]:
    return {str(one) for one in found} if isinstance(found, list) else {str(found)}
