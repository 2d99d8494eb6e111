"""The account of the cases: what had to become of each, against the questions, the progress and the reports that recipients hold.

Pure, and it believes no counter of the bus: one report with exactly the right words and amounts, each question once with
its agency, every refused answer refused for its reason, nothing twice. Neighbours: ``verdict`` says what a report must be,
``account`` does the same for deliveries.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from demo.account import Held, Quarantined
from demo.plot import VERIFICATION, Deed, Plot
from demo.verdict import expected

__all__ = ["REPORTS", "CaseAccount", "settle_cases"]

REPORTS: Mapping[str, Mapping[str, str | None]] = {
    "low-income-verification": {"verification-report-to-assistance": None},
    "death": {
        "death-concluded-to-audit": None,
        "death-concluded-to-ageing": "overpaid_allowance",
        "death-concluded-to-assistance": "overpaid_assistance",
        "death-concluded-to-disability": "overpaid_subsidy",
        "death-concluded-to-insurance": "overpaid_pension",
    },
}
"""Flow -> agreements under which its report is received; with the one amount that a department gets, or None where all."""

_PROGRESS = ("verification-progress-to-audit", "case-progress-to-audit")
_CONFIRMS = ("ANSWERED", "ANSWERED_LATE")


@dataclass(slots=True, kw_only=True)
class CaseAccount:
    """The cases of a run.

    Attributes:
        cases: cases that were opened.
        reports: cases' reports that somebody received, each once.
        answers: answers that agencies published, repetitions too.
        refused: why -> answers that were refused on their case.
        quarantined: answers to no case, in quarantine.
        stories: story -> how many cases had it.
        results: result -> how many cases ended so.
        late: answers that came after they were due.
        reminders: reminders that agencies got.
        overpaid: what was paid after deaths, in yuan.
        discrepancies: how many there were.
        problems: key of a case, or what it is about -> what is wrong with it.
    """

    cases: int = 0
    reports: int = 0
    answers: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    quarantined: int = 0
    stories: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    late: int = 0
    reminders: int = 0
    overpaid: Decimal = Decimal(0)
    discrepancies: int = 0
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def unsettled(self) -> int:
        """Cases that are not as they must be, and whatever belongs to none."""
        return len(self.problems)

    def last_words(self) -> str:
        """The cases as the end of the demo's last line."""
        refused = self.refused.total()
        return f"cases={self.cases} reports={self.reports} refused={refused} unsettled={self.unsettled}"


@dataclass(slots=True)
class _File:
    """What recipients hold of one case: (agreement, event id, data) of each delivery."""

    questions: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    progress: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    reports: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)


def settle_cases(
    plots: Sequence[Plot],
    published: Mapping[str, int],
    questioned: Mapping[str, str],
    held: Iterable[Held],
    odd: Iterable[Quarantined],
) -> CaseAccount:
    """Compare what had to happen with what the recipients hold.

    Args:
        plots: the cases.
        published: event id -> on how many records of the published topics it lies.
        questioned: agreement that grants questions -> the agency that receives them.
        held: what the recipients of questions, progress and reports hold.
        odd: what lies in quarantine of the answers' contracts.
    """
    account = CaseAccount()
    files, numbers = _files(questioned, held)
    for plot in plots:
        number = f"VER-{plot.key}" if plot.flow == VERIFICATION else numbers.get(plot.key, "")
        _settle_one(account, plot, published, questioned, files.pop(number, _File()))
    for number in files:
        account.problems[number].append("nobody opened this case")
    account.cases += len(files)
    _quarantine(account, [deed for plot in plots for deed in plot.deeds if deed.fate == "unknown_case"], list(odd))
    return account


def _files(questioned: Mapping[str, str], held: Iterable[Held]) -> tuple[dict[str, _File], dict[str, str]]:
    """Everything by case number, and identity number of whom it is about first -> number of the case."""
    files: dict[str, _File] = defaultdict(_File)
    numbers: dict[str, str] = {}
    reports = {agreement for some in REPORTS.values() for agreement in some}
    for one in held:
        data = json.loads(one.data)
        entry = (one.agreement, one.id, data)
        if one.agreement in questioned:
            files[data["case_number"]].questions.append(entry)
            numbers[data["persons"][0]["identity_number"]] = data["case_number"]
        elif one.agreement in _PROGRESS:
            files[data["case_number"]].progress.append(entry)
        elif one.agreement in reports:
            files[data["case_number"]].reports.append(entry)
    return dict(files), numbers


def _quarantine(account: CaseAccount, unknown: Sequence[Deed], odd: Sequence[Quarantined]) -> None:
    due = Counter((deed.contract, "unknown_case", deed.id) for deed in unknown)
    found = Counter((one.contract, one.reason, one.id) for one in odd)
    account.quarantined = (due & found).total()
    for what, count in ((due - found) + (found - due)).items():
        account.problems[what[2]].append(f"{what[0]}: {what[1]} in quarantine, {count} too few or too many")


def _settle_one(
    account: CaseAccount, plot: Plot, published: Mapping[str, int], questioned: Mapping[str, str], file: _File
) -> None:
    problems = [*_published(account, plot, published), *_asked(account, plot, questioned, file)]
    problems += [*_progressed(account, plot, file), *_reported(account, plot, file)]
    account.stories[plot.story] += 1
    account.cases += bool(file.progress)
    if problems:
        account.problems[plot.key] += problems


def _published(account: CaseAccount, plot: Plot, published: Mapping[str, int]) -> list[str]:
    due = Counter(deed.id for deed in plot.deeds)
    account.answers += sum(published.get(deed.id, 0) > 0 for deed in plot.deeds if deed.fate != "source")
    return [f"event {id_} is published {published.get(id_, 0)} times" for id_, n in due.items() if published.get(id_, 0) != n]


def _asked(account: CaseAccount, plot: Plot, questioned: Mapping[str, str], file: _File) -> list[str]:
    """Each question once with its agency and nobody else, taken back where it had to be, and no event twice."""
    problems = _twice(file.questions, "question")
    first, recalled = Counter[tuple[str, str]](), Counter[str]()
    for agreement, _, data in file.questions:
        ask = data["question_number"].removeprefix(f"{data['case_number']}-")
        if data["withdrawn"]:
            recalled[ask] += 1
        elif data["reminder"]:
            account.reminders += 1
        else:
            first[ask, questioned[agreement]] += 1
    if first != Counter(plot.asked.items()):
        problems.append(f"asked were {sorted(first.elements())}, should be {sorted(plot.asked.items())}")
    if recalled != Counter(plot.recalled):
        problems.append(f"taken back were {sorted(recalled.elements())}, should be {sorted(plot.recalled)}")
    return problems


def _progressed(account: CaseAccount, plot: Plot, file: _File) -> list[str]:
    """The steps are numbered without a gap, and say of each answer what had to become of it."""
    problems = _twice(file.progress, "step")
    steps = sorted(file.progress, key=lambda one: one[2]["number"])
    if [data["number"] for _, _, data in steps] != list(range(1, len(steps) + 1)):
        problems.append("the steps' numbers have a gap")
    whats = Counter((data["what"], data["ask"]) for _, _, data in steps)
    refused = Counter((data["detail"] or "").partition(" ")[0] for _, _, data in steps if data["what"] == "REFUSED")
    account.refused += refused
    account.late += sum(count for (what, _), count in whats.items() if what == "ANSWERED_LATE")
    if refused != plot.refused():
        problems.append(f"refused were {dict(refused)}, should be {dict(plot.refused())}")
    for ask in plot.answers():
        if sum(whats[what, ask] for what in _CONFIRMS) != 1:
            problems.append(f"the answer to {ask} did not count once")
    tardy = {deed.ask for deed in plot.deeds if deed.fate == "counts" and ("LATE", deed.ask) in deed.after}
    problems += [f"the answer to {ask} was late, and is not said to be" for ask in tardy if not whats["ANSWERED_LATE", ask]]
    if whats["RULE_FAILED", None] or whats["CLOSED", None] != 1:
        problems.append(f"steps were {sorted({what for what, _ in whats})}")
    return problems


def _reported(account: CaseAccount, plot: Plot, file: _File) -> list[str]:
    problems = _twice(file.reports, "report")
    due = expected(plot)
    received = Counter(agreement for agreement, _, _ in file.reports)
    for agreement in REPORTS[plot.flow]:
        if received[agreement] != 1:
            problems.append(f"{received[agreement]} reports under {agreement}")
    if len({id_ for _, id_, _ in file.reports}) == 1:
        account.reports += 1
    for agreement, _, data in file.reports:
        amount = REPORTS[plot.flow].get(agreement)
        fields = due if amount is None else {name: due[name] for name in ("result", "missing", "confirmed", "died_on", amount)}
        said = _said(data)
        problems += [
            f"{agreement}: {name} is {said[name]}, should be {value}" for name, value in fields.items() if said[name] != value
        ]
        if amount is None:
            account.results[data["result"]] += 1
            account.discrepancies += len(data.get("discrepancies", ()))
            account.overpaid += Decimal(data.get("overpaid_total") or 0)
    return problems


def _said(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a report says, in the shapes of ``verdict``."""
    said = {name: _SHAPES.get(name, lambda value: value)(value) for name, value in report.items()}
    amounts = [name for name in report if name.startswith("overpaid_") or name.endswith("_income")]
    return said | {name: None if report[name] is None else Decimal(report[name]) for name in amounts}


_SHAPES: Mapping[str, Callable[[Any], Any]] = {
    "missing": lambda some: sorted((one["ask"], one["agency"], one["status"]) for one in some),
    "confirmed": lambda some: sorted((one["ask"], one["agency"]) for one in some),
    "discrepancies": lambda some: sorted((one["rule"], one["ask"], one["agency"], one["declared"], one["found"]) for one in some),
    "unjudged": sorted,
    "sources": lambda some: [(one["contract"], one["id"]) for one in some],
    "actions": lambda some: sorted(
        (one["agency"], *(str(one[name]) for name in ("action", "benefit_number", "monthly_amount", "paid_until")))
        for one in some
    ),
}


def _twice(deliveries: Sequence[tuple[str, str, Any]], what: str) -> list[str]:
    counts = Counter((agreement, id_) for agreement, id_, _ in deliveries)
    return [f"{what} {id_} came {count} times under {agreement}" for (agreement, id_), count in counts.items() if count > 1]
