"""How a case ends: the figures worked out, the answers held against what was declared, and the report published.

Neighbours: ``step`` says when; ``answering`` has taken what is judged here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hutong.agreements.cel import plain
from hutong.flows.case import Question, rfc3339_ms
from hutong.flows.work import Work

__all__ = ["close"]


def close(work: Work, result: str) -> None:
    """End the case with what there is, and publish the report.

    Args:
        work: the case in hand.
        result: ``COMPLETE``, ``PARTIAL``, ``WITHDRAWN`` or ``REVOKED``.
    """
    case = work.case
    for question in case["questions"].values():
        if result == "WITHDRAWN":  # nobody may learn what the person no longer agrees to
            question["answer"] = None
    answers = work.answers()
    figures = _figures(work, answers)
    discrepancies, unjudged = _judge(work, {**work.context(answers=answers), "figures": figures})
    questions = case["questions"].values()
    report = {
        "result": result,
        "discrepancies": discrepancies,
        "unjudged": unjudged,
        "missing": [_named(one, "status", one["status"]) for one in questions if one["status"] not in ("answered", "withdrawn")],
        "confirmed": [_named(one, "at", rfc3339_ms(one["answered_ms"])) for one in questions if one["answer"] is not None],
        "conflicts": _conflicts(work),
        "at": rfc3339_ms(work.at_ms),
        "calendar_assumed": case["calendar_assumed"],
    }
    case["status"], case["closed_ms"], case["report"] = "closed", work.at_ms, {**report, "figures": figures}
    case["reports"] += 1
    context = {**work.context(answers=answers), "figures": figures, "report": report}
    if not work.emit(work.plan.outcome, context, "outcome", case["reports"]):
        # A figure that does not fit its contract must not cost the report: what was found is what people wait for.
        without = dict.fromkeys(figures)
        work.emit(work.plan.outcome, {**context, "figures": without}, "outcome", case["reports"])
    work.note("CLOSED", detail=result)


def _named(question: Question, name: str, value: Any) -> dict[str, Any]:
    return {"ask": question["ask"], "agency": question["agency"], "number": question["number"], name: value}


def _figures(work: Work, answers: Mapping[str, Any]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, value in work.plan.figures.items():
        context = {**work.context(answers=answers), "figures": figures}
        try:
            figures[name] = plain(value(context))
        except ValueError as error:
            figures[name] = None
            work.failed(f"figure {name}: {error}")
    return figures


def _judge(work: Work, context: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Discrepancies, and the rules that could not be judged."""
    found: list[dict[str, Any]] = []
    unjudged: list[str] = []
    answered = {one["ask"]: one["agency"] for one in work.case["questions"].values() if one["answer"] is not None}
    for rule in work.plan.rules:
        spec = rule.spec
        if not answered.keys() >= set(spec.needs):
            unjudged.append(spec.id)
            continue
        try:
            if rule.when(context):
                found.append(
                    {
                        **{"rule": spec.id, "ask": spec.source, "agency": answered.get(spec.source)},
                        **{f"words_{language}": text for language, text in spec.says.items()},
                        **{"declared": _text(rule.declared(context)), "found": _text(rule.found(context))},
                    }
                )
        except ValueError as error:
            unjudged.append(spec.id)
            work.failed(f"rule {spec.id}: {error}")
    return found, unjudged


def _conflicts(work: Work) -> list[dict[str, Any]]:
    """Where sources of the same fact say different things about it."""
    found = []
    for other in work.case["sources"][1:]:
        for name, value in other["kept"].items():
            said = work.case["sources"][0]["kept"].get(name)
            if said is not None and value is not None and said != value:
                found.append({"field": name, "declared": _text(said), "found": _text(value), "contract": other["contract"]})
    return found


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.2f}".rstrip("0").rstrip(".")
        case list() | tuple():
            return ", ".join(map(_text, value))
        case Mapping():
            return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
        case _:
            return str(value)
