"""A case in the terminal: what happened when, who has answered and who has not, and what came of it.

Neighbours: ``hutong cases`` shows cases of the bus with this, ``hutong flow test`` those of a scenario.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hutong.cli._text import padded
from hutong.flows.case import Case, Entry, Question
from hutong.language import chosen, said

__all__ = ["MASK", "entry_line", "is_late", "masked", "moment", "show_case"]

MASK = "***"
"""Stands for everything that an event told of a person."""

_STYLES = {
    **dict.fromkeys(("OPENED", "CONFIRMED", "AUTHORISED", "ANSWERED", "RESUMED"), "green"),
    **dict.fromkeys(("REMINDED", "REFERRED", "ANSWERED_LATE", "NOTED"), "yellow"),
    **dict.fromkeys(("LATE", "ESCALATED", "REFUSED", "REVOKED", "WITHDRAWN", "AUTHORISATION_WITHDRAWN", "RULE_FAILED"), "red"),
}
_STATUS_STYLES = {"answered": "green", "late": "red", "failed": "red", "withdrawn": "dim"}


def moment(at_ms: int | None, zone: ZoneInfo) -> str:
    """A moment as people of the bus's zone write it, to the minute."""
    return "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, zone).strftime("%Y-%m-%d %H:%M")


def is_late(question: Question, now_ms: int) -> bool:
    """Whether an answer is overdue, be it that nobody has noticed yet."""
    return question["status"] == "late" or (question["status"] == "open" and question["due_ms"] < now_ms)


def masked(case: Case) -> dict[str, Any]:
    """The case without what events told of persons: names and structure stay, values go."""
    questions = {
        number: {**question, "item": _masked(question["item"]), "answer": _masked(question["answer"])}
        for number, question in case["questions"].items()
    }
    shown: dict[str, Any] = {**case, "questions": questions}
    if not case["number"].endswith(f"-{case['key']}"):  # the number hides the key, so the key says who it is
        shown["key"] = MASK
    shown["data"] = _masked(case["data"])
    shown["sources"] = [{**one, "kept": _masked(one["kept"])} for one in case["sources"]]
    shown["held"] = [{**one, "person": _masked(one["person"]), "kept": _masked(one["kept"])} for one in case["held"]]
    people = enumerate(case["people"].values(), 1)
    shown["people"] = {f"person {at}": {**one, "item": _masked(one["item"])} for at, one in people}
    if (report := case["report"]) is not None:
        told = {
            name: [_without(one, ("declared", "found")) for one in report.get(name, ())]
            for name in ("discrepancies", "conflicts")
        }
        shown["report"] = {**report, **told, "figures": _masked(report.get("figures", {}))}
    return shown


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _masked(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return value if value is None else MASK


def _without(entry: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _masked(value) if name in names else value for name, value in entry.items()}


def entry_line(entry: Entry, zone: ZoneInfo) -> Text:
    """One line of a timeline."""
    more = [part for part in (entry["ask"], entry["agency"], entry["detail"]) if part]
    what = padded(said(entry["what"].lower().replace("_", " ")), 14)
    return Text.assemble(
        (moment(entry["at_ms"], zone), "dim"), "  ", (what, _STYLES.get(entry["what"], "bold")), "  ", "  ".join(more)
    )


def show_case(console: Console, case: Mapping[str, Any], zone: ZoneInfo, title: str = "") -> None:
    """Print a case.

    Args:
        console: where.
        case: a case, masked or not.
        zone: whose wall time is shown.
        title: the flow's.
    """
    opened, due, closed = (moment(case[name], zone) for name in ("opened_ms", "due_ms", "closed_ms"))
    console.print(Text.assemble((case["number"], "bold"), f"  {case['flow']}", f" ({title})" if title else ""))
    ends = said("closed {at}", at=closed) if closed else said("ends {at} with what there is", at=due)
    line = said("{status}; key {key}; opened {at}, {ends}", status=said(case["status"]), key=case["key"], at=opened, ends=ends)
    if case["calendar_assumed"]:
        line += said("; ") + said("working days of a year that is not announced yet are taken from its weekdays")
    console.print(line, markup=False)
    for entry in case["timeline"]:
        console.print(Text("  ") + entry_line(entry, zone))
    if case["questions"]:
        console.print(_questions(case, zone))
    if case["data"]:
        console.print(Text.assemble((f"{said('data')}  ", "bold"), _plain(case["data"])))
    for name, person in case["people"].items():
        console.print(Text.assemble((f"{said('person')}  ", "bold"), f"{name}: {_person(person, zone)}"))
    if case["report"]:
        _show_report(console, case["report"])


def _questions(case: Mapping[str, Any], zone: ZoneInfo) -> Table:
    heads = (said("question"), said("agency"), said("status"), said("asked"), said("due"), said("answered"), said("reminded"))
    table = Table(*heads, said("answer"), box=None, pad_edge=False)
    for one in case["questions"].values():
        table.add_row(
            Text(one["number"].removeprefix(f"{case['number']}-") + ("" if one["required"] else f" ({said('optional')})")),
            Text(one["agency"]),
            Text(said(one["status"]), style=_STATUS_STYLES.get(one["status"], "yellow")),
            *(moment(one[name], zone) for name in ("asked_ms", "due_ms", "answered_ms")),
            str(one["reminded"] or ""),
            Text("" if one["answer"] is None else _plain(one["answer"])),
        )
    return table


def _person(person: Mapping[str, Any], zone: ZoneInfo) -> str:
    if person["withdrawn_ms"] is not None:
        return said("took the authorisation back {at}", at=moment(person["withdrawn_ms"], zone))
    if person["authorised_ms"] is not None:
        return said("authorised {at}", at=moment(person["authorised_ms"], zone))
    return said("has not authorised")


def _show_report(console: Console, report: Mapping[str, Any]) -> None:
    console.print(Text.assemble((f"{said('report')}  ", "bold"), report["result"]))
    for one in report["discrepancies"]:
        words = one.get(f"words_{chosen()}") or one.get("words_en") or one["rule"]
        told = said(
            "{rule}: {words}; declared {declared}, {agency} has {found}",
            rule=one["rule"],
            words=words,
            declared=one["declared"] or said("nothing"),
            agency=one["agency"],
            found=one["found"] or said("nothing"),
        )
        console.print(Text.assemble((f"  {said('discrepancy')}  ", "red"), told))
    for one in report["conflicts"]:
        values = {name: one[name] for name in ("field", "declared", "found", "contract")}
        told = said("{field}: {declared}, and {found} by {contract}", **values)
        console.print(Text.assemble((f"  {said('conflict')}  ", "red"), told))
    for one in report["missing"]:
        told = said("{ask} of {agency} ({status})", ask=one["ask"], agency=one["agency"], status=said(one["status"]))
        console.print(Text.assemble((f"  {said('missing')}  ", "yellow"), told))
    for name in report["unjudged"]:
        console.print(Text.assemble((f"  {said('not judged')}  ", "yellow"), name))
    for name, value in report["figures"].items():
        console.print(Text.assemble((f"  {said('figure')}  ", "bold"), f"{name}: {_plain(value)}"))


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items()) or said("nothing")
    if isinstance(value, list):
        return f"[{'; '.join(map(_plain, value))}]"
    return said("none") if value is None else str(value)
