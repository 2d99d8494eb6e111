"""The report of a run: tables for people, the same as JSON, and the one last line.

Neighbours: ``account`` and ``figures`` have everything that is said here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from demo.account import Account, AgreementAccount
from demo.case_account import CaseAccount
from demo.figures import Rate, masked, percentile, sample_lines

__all__ = ["Run", "as_json", "show", "write"]

FORMAT = 1
"""Version of ``report.json``; it changes when a key goes away or changes its meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything that is known of a run.

    Attributes:
        seed: decides all that happens.
        seconds: step -> how long it took.
        registers: what each recipient of the register rebuilt: words, and whether it equals the source.
        account: the account of events and deliveries.
        cases: the account of the cases.
        refused: entries that the contracts refused at the counters.
        slips: entries with a slip of the pen, all of which had to be refused.
        reasons: reason -> records in quarantine.
        rates: stage -> how fast it went.
        memory: process -> its largest resident memory in bytes.
    """

    seed: int
    seconds: Mapping[str, float]
    registers: Sequence[tuple[str, bool]]
    account: Account
    cases: CaseAccount
    refused: int
    slips: int
    reasons: Mapping[str, int]
    rates: Mapping[str, Rate]
    memory: Mapping[str, int]

    @property
    def adds_up(self) -> bool:
        """Whether everything is as it must be."""
        whole = self.account.adds_up and not self.cases.unsettled and self.cases.cases == self.cases.reports
        return whole and self.refused == self.slips and all(equal for _, equal in self.registers)

    @property
    def totals(self) -> dict[str, int]:
        """All events of the run, the answers to cases included."""
        counts = {name: getattr(self.account, name) for name in _TOTALS}
        counts["published"] += self.cases.answers
        counts["quarantined"] += self.cases.quarantined
        return counts

    def last_line(self) -> str:
        """The run in one line."""
        return f"demo: {' '.join(f'{name}={count}' for name, count in self.totals.items())} {self.cases.last_words()}"


_TOTALS = ("published", "delivered", "filtered", "quarantined", "lost", "duplicated")


def show(run: Run, console: Console) -> None:
    """Print the report; the last line is the account in one line."""
    console.print(_agreements(run.account))
    console.print(_samples(run.account))
    console.print(_rates(run))
    memory = ", ".join(f"{name} {size / 2**20:,.0f}" for name, size in run.memory.items())
    console.print(f"memory, MiB: {memory}", markup=False)
    console.print("time: " + ", ".join(f"{step} {seconds:.1f} s" for step, seconds in run.seconds.items()), markup=False)
    for words, equal in run.registers:
        console.print(f"{'equal' if equal else 'NOT EQUAL':>9}  {words}", markup=False)
    console.print(
        f"{run.refused} entries with a slip were refused at the counters (of {run.slips}); in quarantine: "
        + (", ".join(f"{reason} {count}" for reason, count in sorted(run.reasons.items())) or "nothing"),
        markup=False,
    )
    for line in _cases(run.cases):
        console.print(line, markup=False)
    for problem in problems(run):
        console.print(f"[red]does not add up:[/red] {problem}")
    console.print(run.last_line(), markup=False, soft_wrap=True)


def problems(run: Run) -> list[str]:
    """Everything that is not as it must be, in words."""
    account, found = run.account, []
    for one in account.agreements:
        wrong = [f"{getattr(one, name)} {name}" for name in _WRONG if getattr(one, name)]
        if wrong or not one.adds_up:
            found.append(f"{one.right.agreement}: {', '.join(wrong) or 'the counts do not add up'}")
    for name, words in _STRAYS.items():
        if count := getattr(account, name):
            found.append(f"{count} {words}")
    if run.refused != run.slips:
        found.append(f"{run.refused} entries were refused at the counters, {run.slips} had a slip")
    for case, wrong_there in list(run.cases.problems.items())[:_MOST_CASES]:
        found.append(f"case {masked('identity_number', case)}: {'; '.join(wrong_there)}")
    if (more := run.cases.unsettled - _MOST_CASES) > 0:
        found.append(f"{more} more cases are not as they must be")
    if run.cases.cases != run.cases.reports:
        found.append(f"{run.cases.cases} cases were opened, of {run.cases.reports} there is one report")
    return found + [f"register: {words}" for words, equal in run.registers if not equal]


_MOST_CASES = 20  # told one by one; where there are more, they have a common reason


_WRONG = ("lost", "duplicated", "undue", "differing", "disordered")
_STRAYS = {
    "unpublished": "committed events are on no topic",
    "repeated": "records on topics repeat an event",
    "unknown": "events on topics or with ministries come from no source",
    "unquarantined": "broken records are not in quarantine",
    "wrongly_quarantined": "records are in quarantine and should not be",
}


def write(run: Run, path: Path) -> None:
    """Leave the report as JSON in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_json(run) + "\n", "utf-8")


def as_json(run: Run) -> str:
    """The same as JSON."""
    account = run.account
    document = {
        "format": FORMAT,
        "adds_up": run.adds_up,
        "line": run.last_line(),
        "seed": run.seed,
        "seconds": {step: round(seconds, 2) for step, seconds in run.seconds.items()},
        "totals": run.totals | {name: getattr(account, name) for name in _STRAYS},
        "cases": _cases_as_json(run.cases),
        "problems": problems(run),
        "agreements": [_as_json(one) for one in account.agreements],
        "registers": [{"register": words, "equal": equal} for words, equal in run.registers],
        "refused_at_source": run.refused,
        "slips": run.slips,
        "quarantine": dict(sorted(run.reasons.items())),
        "rates": {stage: _rounded(rate) for stage, rate in run.rates.items()},
        "memory_bytes": dict(run.memory),
    }
    return json.dumps(document, ensure_ascii=False, indent=2)


def _as_json(one: AgreementAccount) -> dict[str, Any]:
    counts = ("published", "filtered", "delivered", "quarantined", *_WRONG)
    return {
        "agreement": one.right.agreement,
        "recipient": one.right.recipient,
        "contract": one.right.contract,
        **{name: getattr(one, name) for name in counts},
        "latency_ms": {"p50": percentile(one.latencies, 0.5), "p99": percentile(one.latencies, 0.99)},
        "sample": _sample(one),
    }


def _cases(cases: CaseAccount) -> list[str]:
    def counted(counts: Mapping[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"

    return [
        f"cases: {cases.cases}, ended {counted(cases.results)}; {cases.reminders} reminders, {cases.late} answers came late, "
        f"{cases.discrepancies} discrepancies; {cases.overpaid:,.2f} yuan were paid after deaths",
        f"refused answers: {counted(cases.refused)}; answers to no case, in quarantine: {cases.quarantined}",
        f"what was special: {counted(cases.stories)}",
    ]


def _cases_as_json(cases: CaseAccount) -> dict[str, Any]:
    counts = ("cases", "reports", "answers", "quarantined", "late", "reminders", "discrepancies", "unsettled")
    return {
        **{name: getattr(cases, name) for name in counts},
        **{name: dict(sorted(getattr(cases, name).items())) for name in ("refused", "stories", "results")},
        "overpaid": f"{cases.overpaid:.2f}",
    }


def _rounded(rate: Rate) -> dict[str, float]:
    return {name: round(value, 2) for name, value in asdict(rate).items()}


def _sample(one: AgreementAccount) -> list[str]:
    return sample_lines(one.right, *one.sample) if one.sample else []


def _agreements(account: Account) -> Table:
    title = "Each agreement: what the sources' books say, and what the ministry holds"
    table = Table(title=title, title_justify="left", box=box.SIMPLE, title_style="bold")
    table.add_column("", overflow="fold")
    for name in ("published", "filtered", "delivered", "quarantined", "p50 ms", "p99 ms"):
        table.add_column(name, justify="right", no_wrap=True)
    for recipient, some in _by_recipient(account):
        table.add_row(f"[bold]{recipient}[/bold]")
        for one in some:
            counts = (one.published, one.filtered, one.delivered, one.quarantined)
            latencies = [percentile(one.latencies, share) for share in (0.5, 0.99)]
            table.add_row(
                f"  {one.right.agreement}" + ("" if one.adds_up else " [red]DOES NOT ADD UP[/red]"),
                *(f"{count:,}" for count in counts),
                *("-" if value is None else f"{value:,}" for value in latencies),
            )
    return table


def _samples(account: Account) -> Table:
    title = "One event of each, at its source -> with its recipient (persons are masked for this report)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE, title_style="bold", show_header=False)
    table.add_column("", overflow="fold", ratio=2)
    table.add_column("", overflow="fold", ratio=5)
    for _, some in _by_recipient(account):
        for one in some:
            table.add_row(one.right.agreement, "\n".join(_sample(one)))
    return table


def _by_recipient(account: Account) -> list[tuple[str, list[AgreementAccount]]]:
    groups: dict[str, list[AgreementAccount]] = {}
    for one in sorted(account.agreements, key=lambda one: one.right.agreement):
        groups.setdefault(one.right.recipient, []).append(one)
    return sorted(groups.items())


def _rates(run: Run) -> Table:
    table = Table(title="How fast", title_justify="left", box=box.SIMPLE, title_style="bold")
    table.add_column("")
    for name in ("events", "events/s", "busiest second"):
        table.add_column(name, justify="right", no_wrap=True)
    for stage, rate in run.rates.items():
        table.add_row(stage, f"{rate.events:,}", f"{rate.mean:,.0f}", f"{rate.peak:,}")
    return table
