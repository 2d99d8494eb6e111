"""Act three without a broker: all stories played on the in-memory bus, and an account that does not let itself be fooled."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from demo.account import Held, Quarantined
from demo.act_three import invent
from demo.case_account import REPORTS, CaseAccount, settle_cases
from demo.deceased import STORIES as DEATHS
from demo.families import STORIES as FAMILIES
from demo.play import Play
from demo.plot import Deed, Plot
from demo.rights import canonical, read_rights
from demo.workdays import DAY_MS, add_flows, without_flows
from hutong.catalogue.load import load
from hutong.flows.flow import Duration
from hutong.simulation.simulation import Simulation

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
MOMENT = datetime(2026, 3, 2, 1, tzinfo=UTC)
QUESTIONS = {"mca.verification.question_asked", "mca.information.question_asked"}


class Evidence:
    """A run of act three on the in-memory bus, as the account reads it."""

    def __init__(self, plots: Sequence[Plot]) -> None:
        self.plots = plots
        self.published: Counter[str] = Counter()
        self.held: list[Held] = []
        self.odd: list[Quarantined] = []
        rights = read_rights(SCHEMAS, lambda _: "00")
        self.questioned = {one.agreement: one.recipient for one in rights if one.contract in QUESTIONS}
        self.wanted = {*self.questioned, "verification-progress-to-audit", "case-progress-to-audit"}
        self.wanted |= {agreement for some in REPORTS.values() for agreement in some}
        self.channels = sorted({(one.recipient, one.channel) for one in rights if one.agreement in self.wanted})

    def settle(self) -> CaseAccount:
        return settle_cases(self.plots, self.published, self.questioned, self.held, self.odd)


def played(plots: Sequence[Plot]) -> Evidence:
    evidence, queue = Evidence(plots), list[tuple[Deed, dict[str, Any]]]()
    simulation = Simulation.of(SCHEMAS, MOMENT)
    play = Play(plots, lambda deed, data: queue.append((deed, data)), now=lambda: 0.0)
    with simulation.bus:
        inboxes = [
            simulation.bus.subscription(recipient, channel, from_beginning=True, remembered_ids=0)
            for recipient, channel in evidence.channels
        ]
        for _ in range(200):
            play.begin()
            while queue:
                deed, data = queue.pop(0)
                simulation.publish(deed.contract, json.loads(canonical(data)), id=deed.id)
                evidence.published[deed.id] += 1
            seen = sum(take(evidence, play, inbox) for inbox in inboxes)
            if play.finished and not seen:
                break
            if not seen and not queue:
                simulation.advance(by=Duration(working_days=1))
    evidence.odd = [
        Quarantined(contract=one.record.topic().removeprefix("pub."), reason=one.reason, id=id_of(one.record))
        for one in simulation.quarantined
    ]
    return evidence


def id_of(record: Any) -> str:
    return str(dict(record.headers())["ce_id"].decode())


def take(evidence: Evidence, play: Play, inbox: Any) -> int:
    count = 0
    while (event := inbox.poll(0)) is not None:
        count += 1
        about, data = event.attributes, canonical(event.data)
        if about.agreement in evidence.wanted:
            evidence.held.append(Held(agreement=about.agreement, id=about.id, key="", data=data, delivered_ms=0, received_ms=0))
        if "question_number" in event.data:
            play.question(event.data)
        elif "what" in event.data:
            play.progress(event.data)
    return count


@cache
def whole() -> Evidence:
    return played(invent(7, 60, 50, MOMENT))


def doctored(change: Callable[[list[Held]], list[Held]]) -> CaseAccount:
    evidence = Evidence(whole().plots)
    evidence.published, evidence.odd, evidence.held = whole().published, whole().odd, change(list(whole().held))
    return evidence.settle()


def of(agreement: str, **fields: Any) -> Callable[[Held], bool]:
    return lambda one: one.agreement == agreement and fields.items() <= json.loads(one.data).items()


def has_discrepancy(agreement: str) -> Callable[[Held], bool]:
    return lambda one: one.agreement == agreement and bool(json.loads(one.data)["discrepancies"])


def without(suits: Callable[[Held], bool]) -> Callable[[list[Held]], list[Held]]:
    """All but the first that suits."""

    def change(held: list[Held]) -> list[Held]:
        held.remove(next(one for one in held if suits(one)))
        return held

    return change


def with_again(suits: Callable[[Held], bool]) -> Callable[[list[Held]], list[Held]]:
    return lambda held: [*held, next(one for one in held if suits(one))]


def with_other(suits: Callable[[Held], bool], edit: Callable[[dict[str, Any]], object]) -> Callable[[list[Held]], list[Held]]:
    def change(held: list[Held]) -> list[Held]:
        at = next(at for at, one in enumerate(held) if suits(one))
        data = json.loads(held[at].data)
        edit(data)
        held[at] = replace(held[at], data=canonical(data))
        return held

    return change


def test_every_story_settles() -> None:
    """All that can go wrong with answers goes wrong, and every case has exactly the report that it must have."""
    account = whole().settle()
    assert dict(account.problems) == {}
    assert account.last_words() == f"cases=110 reports=110 refused={account.refused.total()} unsettled=0"
    assert account.stories.keys() == FAMILIES.keys() | DEATHS.keys() | {"plain"}
    assert account.refused.keys() == {"twice", "another_person", "not_asked", "closed", "withdrawn"}
    assert account.results.keys() == {"COMPLETE", "PARTIAL", "WITHDRAWN", "REVOKED"}
    assert account.quarantined == sum(plot.story == "unknown case" for plot in whole().plots)
    assert all((account.late, account.reminders, account.discrepancies, account.overpaid))


REPORT, AUDIT, ASKED = "verification-report-to-assistance", "death-concluded-to-audit", "verification-questions-to-tax"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without(of(REPORT)), "0 reports under verification-report-to-assistance"),
        (with_again(of(REPORT)), "report "),
        (with_again(of(AUDIT)), "2 reports under death-concluded-to-audit"),
        (without(of("death-concluded-to-insurance")), "0 reports under death-concluded-to-insurance"),
        (without(of(ASKED, reminder=0, withdrawn=False)), "asked were"),
        (with_again(of(ASKED, reminder=0, withdrawn=False)), "question "),
        (without(of(ASKED, withdrawn=True)), "taken back were"),
        (without(of("case-progress-to-audit", what="ANSWERED")), "steps' numbers have a gap"),
        (with_other(of("case-progress-to-audit", what="ANSWERED"), lambda one: one.update(what="NOTED")), "did not count once"),
        (with_other(of("verification-progress-to-audit", what="REFUSED"), lambda one: one.update(detail="x y")), "refused were"),
        (with_other(of("verification-progress-to-audit", what="ANSWERED_LATE"), lambda one: one.update(what="ANSWERED")), "late"),
        (with_other(of(REPORT, result="PARTIAL"), lambda one: one.update(result="COMPLETE")), "result is COMPLETE"),
        (with_other(of(REPORT), lambda one: one.update(found_income="1.00")), "found_income is"),
        (with_other(of(REPORT), lambda one: one["confirmed"].pop()), "confirmed is"),
        (with_other(of(AUDIT), lambda one: one.update(overpaid_total="0.01")), "overpaid_total is"),
        (with_other(of(AUDIT), lambda one: one.update(died_on="1999-01-01")), "died_on is"),
        (with_other(of(AUDIT), lambda one: one["sources"].reverse() or one["sources"].pop()), "sources is"),
        (with_other(has_discrepancy(AUDIT), lambda one: one["discrepancies"].pop()), "discrepancies is"),
        (with_other(of("death-concluded-to-ageing"), lambda one: one.update(overpaid_allowance="0.01")), "overpaid_allowance is"),
    ],
)
def test_a_doctored_run_is_found_out(change: Callable[[list[Held]], list[Held]], words: str) -> None:
    """Whatever is missing, there twice, or other than it must be: one case is unsettled, and it is said why."""
    account = doctored(change)
    assert account.unsettled == 1
    assert any(words in problem for problems in account.problems.values() for problem in problems)


def test_a_discrepancy_with_another_value_is_found_out() -> None:
    """Both values of a discrepancy count, and so does its source."""
    for field in ("declared", "found", "agency", "rule"):

        def edit(data: dict[str, Any], field: str = field) -> None:
            data["discrepancies"][0][field] = "1"

        for agreement in (REPORT, AUDIT):
            assert doctored(with_other(has_discrepancy(agreement), edit)).unsettled == 1


def test_a_case_that_nobody_opened_is_found_out() -> None:
    """A report about somebody else's case is one too many."""
    strange = Held(agreement=REPORT, id="x", key="", data=canonical({"case_number": "VER-X"}), delivered_ms=0, received_ms=0)
    account = doctored(lambda held: [*held, strange])
    assert (account.cases, dict(account.problems)) == (111, {"VER-X": ["nobody opened this case"]})


def test_quarantine_and_publication_are_held_against_the_plots() -> None:
    """An answer that is not where it must be is missed, in quarantine and on its topic."""
    evidence = Evidence(whole().plots)
    evidence.held, evidence.published = whole().held, whole().published
    assert evidence.settle().unsettled == len(whole().odd)
    evidence.odd = [*whole().odd, Quarantined(contract="sta.tax.income_answered", reason="undecodable", id="x")]
    assert set(evidence.settle().problems) == {"x"}
    answer = whole().plots[0].deeds[1]
    evidence.odd, evidence.published = whole().odd, whole().published + Counter([answer.id])
    assert set(evidence.settle().problems) == {whole().plots[0].key}


def test_a_slow_bus_gets_no_more_cases_than_it_can_serve() -> None:
    """So many begin; while none of them goes on, no other does, however long that takes."""
    begun, now = list[str](), [0.0]
    play = Play(invent(7, 200, 0, MOMENT), lambda deed, _: begun.append(deed.contract), now=lambda: now[0])
    for moment in (0.0, 1.0, 30.0):
        now[0] = moment
        play.begin()
    assert play.begun == 60
    assert begun.count("mca.assistance.application_accepted") == 60


def test_a_working_day_is_a_fraction_of_a_second(tmp_path: Path) -> None:
    """No span of the two flows is counted in days any more, each comes in its order, and the rest is as declared."""
    copy = without_flows(SCHEMAS, tmp_path / "schemas")
    assert load(copy).flows == {}
    add_flows(SCHEMAS, copy)
    catalogue = load(copy)
    for name in DAY_MS:
        flow = catalogue.flows[name]
        for ask in flow.ask:
            spans = [*ask.remind, ask.within, *([ask.escalate.after] if ask.escalate else []), flow.deadline]
            seconds = [span.seconds or 0 for span in spans]
            assert 0 < seconds[0] < seconds[1] < seconds[2] < seconds[3] < seconds[4] == 15
    assert catalogue.flows["correction"] == load(SCHEMAS).flows["correction"]


def test_the_seed_decides() -> None:
    """The same seed is the same world, another seed another one."""
    assert invent(7, 12, 12, MOMENT) == invent(7, 12, 12, MOMENT) != invent(8, 12, 12, MOMENT)
