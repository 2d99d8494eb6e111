"""What can be wrong with a flow: each fault by itself, found with its file, line and field; and no file makes the check fail."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hutong.catalogue.collected import Collected
from hutong.catalogue.document import Document
from hutong.catalogue.load import read
from hutong.errors import DeclarationError
from hutong.flows.check import Surroundings, flow_findings
from hutong.flows.control import FlowRecord, key_name, plans_of
from hutong.flows.flow import Duration, Event, Flow
from tests.declaring import FI, Declarations
from tests.examples import examples

ROOT = Path(__file__).parents[2]
FLOW = "flows/claim-check.yaml"
QUESTIONS = "agreements/vero/claim-questions-to-tax.yaml"
PURPOSE = "purpose: Decide a claim for a benefit"


@pytest.fixture
def fi(tmp_path: Path) -> Declarations:
    return Declarations(tmp_path)


ONE_EDIT = [
    # the file itself
    ("id: claim-check", "id: claims", "id", "but the file is called"),
    ("prefix: CC", "prefix: cc", "prefix", "must have the form"),
    ("legal_basis: Made-up Act 1/2025, section 7\n", "", "legal_basis", "is required; add it"),
    ("deadline: {days: 30}", "deadline: {days: 30, hours: 1}", "deadline", "exactly one of"),
    ("deadline: {days: 30}", "deadline: {weeks: 4}", "deadline.weeks", "not known here"),
    ("deadline: {days: 30}", "deadline: {days: 99999}", "deadline.days", "less than or equal to"),
    ("deadline: {days: 30}", "dead_line: {days: 30}", "dead_line", "not known here"),
    ("does: open", "does: close", "events[0].does", "must be one of"),
    ("agency: vero", "agency: {path: a b}", "ask[0].agency.path", "must have the form"),
    ("agency: vero", "agency: ''", "ask[0].agency", "must not be empty"),
    ("declared: data.declared", "declared: {constant: [1]}", "rules[0].declared.constant", "must be text"),
    # parties and contracts
    ("owner: kela", "owner: kella", "owner", "no department 'kella'"),
    ("owner: kela", "owner: stat", "question.contract", "another's contract"),
    ("agency: vero", "agency: verro", "ask[0].agency", "no department 'verro'"),
    ("agency: vero", "agency: thl", "ask[0].answer[0].contract", "is not a contract of thl"),
    ("contract: kela.claim_filed", "contract: kela.claim_left", "events[0].contract", "no contract 'kela.claim_left'"),
    ("contract: vero.income_answered", "contract: vero.answered", "ask[0].answer[0].contract", "no contract 'vero.answered'"),
    (PURPOSE, "purpose: Curiosity", "purpose", "may be used for 'Decide a claim for a benefit' only"),
    # what makes a case
    ("does: open", "does: note", "events", "no event opens a case"),
    ("personal_key: true", "personal_key: false", "events[0].case", "hetu is personal"),
    ("case: hetu", "case: ssn", "events[0].case", "no field ssn"),
    ("case: hetu", "case: []", "events[0].case", "at least one path"),
    ("case: hetu", "case: hetu.day", "events[0].case", "hetu is a string, which no path goes through"),
    ("urgent: urgent}", "urgent: urgency}", "events[0].keep.urgent", "no field urgency"),
    ("when: yearly_income >= 0", "when: income >= 0", "events[0].when", "refers to income"),
    ("  - does: open", "  - {does: withdraw, contract: kela.claim_filed, case: hetu, person: hetu}\n  - does: open",
     "events[0].does", "has no 'people'"),
    ("ask:\n", "people: {each: hetu, id: item}\nask:\n", "people.each", "write data.hetu"),
    ("ask:\n", "people: {each: data.hetu, id: item, authorisation: true}\nask:\n", "people.authorisation", "ever authorise"),
    ("ask:\n", "people: {each: data.hetus, id: item}\nask:\n", "people.each", "nothing is called data.hetus"),
    ("ask:\n", "people: {each: data.hetu, id: event.x}\nask:\n", "people.id", "begins with event"),
    # questions
    ("  - id: income\n", "  - id: income\n    after: wages\n", "ask[0].after", "no question wages"),
    ("  - id: income\n", "  - id: income\n    after: income\n", "ask[0].after", "waits for itself"),
    ("  - id: income\n", "  - id: income\n    when: answer.income > 0\n", "ask[0].when", "refers to answer"),
    ("  - id: income\n", "  - id: income\n    each: data.list\n", "ask[0].each", "called data.list"),
    ("  - id: income\n", "  - id: income\n    each: data.urgent\n", "rules[0].found", "answers.income is a list"),
    ("    within: {days: 10}", "    within: {days: 10}\n    escalate: {after: {days: 5}, to: ministry}", "ask[0].escalate.to",
     "no department 'ministry'"),
    ("    within: {days: 10}", "    within: {days: 10}\n    escalate: {after: {days: 5}, to: stat}", "ask[0].escalate.to",
     "add 'progress'"),
    ("      - contract: vero.income_answered\n", "      - contract: vero.income_answered\n        persons: hetu\n",
     "ask[0].answer[0].persons", "has no 'people'"),
    ("      - contract: vero.income_answered\n", "      - contract: vero.income_answered\n        case: number\n",
     "ask[0].answer[0].case", "no field number"),
    ("      - contract: vero.income_answered\n", "      - contract: vero.income_answered\n        question: yearly_income\n",
     "ask[0].answer[0].question", "must be plain text"),
    ("{earned: yearly_income}", "{earned: income}", "ask[0].answer[0].keep.earned", "no field income"),
    # judgement
    ("needs: [income]", "needs: [income, wages]", "rules[0].needs[1]", "no question wages"),
    ("source: income", "source: wages", "rules[0].source", "no question wages"),
    ("found: answers.income.earned", "found: answers.income.paid", "rules[0].found", "no answer to income keeps paid"),
    ("when: answers.income.earned > data.declared", "when: answers.income.earned >", "rules[0].when", "does not compile"),
    ("{cel: answers.income.earned - data.declared}", "{cel: report.result}", "figures.difference", "refers to report"),
    ("{cel: answers.income.earned - data.declared}", "answers.wages.earned", "figures.difference", "called answers.wages"),
    # what is published
    ("    question_number: question.number\n", "", "question.fields", "lacks question_number"),
    ("question: {words: question.words_en, ", "question: {", "question.fields.question", "lacks question.words"),
    ("reminder: question.reminder}", "remind: question.reminder}", "question.fields.question.remind", "no field question.remind"),
    ("reminder: question.reminder}", "reminder: question.count}", "question.fields.question.reminder", "called question.count"),
    ("words: question.words_en", "words: question.words_sv", "question.fields.question.words", "called question.words_sv"),
    ("result: report.result", "outcome: report.result", "outcome.fields.outcome", "no field outcome"),
    ("result: report.result", "result: {code: report.result}", "outcome.fields.result", "is a string and no record"),
    ("result: report.result", "result: [report.result]", "outcome.fields.result", "a field's value is a path"),
    ("result: report.result", "result: answer.result", "outcome.fields.result", "begins with answer"),
    ("difference: figures.difference", "difference: figures.more", "outcome.fields.difference", "called figures.more"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "field", "words"), ONE_EDIT)
def test_each_fault_of_a_flow_is_found(fi: Declarations, old: str, new: str, field: str, words: str) -> None:
    """One edit: the error is told with the file, a line of the file, and the field."""
    fi.edit(FLOW, old, new)
    reading = fi.reading()
    found = [error for error in reading.errors if words in error.problem and error.field == field]
    assert [error.file for error in found] == [FLOW], [str(e) for e in reading.errors]
    assert reading.catalogue.flows == {}
    document = fi.text(FLOW).splitlines()
    last = field.rpartition(".")[2].partition("[")[0]
    assert found[0].line is not None
    assert "is required" in words or any(part in document[found[0].line - 1] for part in (last, "-", field.split(".")[0]))


def test_the_line_is_that_of_the_fault(fi: Declarations) -> None:
    """Deep in a file, and in the last of several lines."""
    line = fi.edit(FLOW, "    difference: figures.difference", "    difference: figures.more")
    assert fi.only_error().line == line


def test_every_fault_of_a_file_is_told_at_once(fi: Declarations) -> None:
    """Also several expressions that do not compile."""
    fi.edit(FLOW, "when: yearly_income >= 0", "when: income >= 0")
    fi.edit(FLOW, "when: answers.income.earned > data.declared", "when: 1 +")
    fi.edit(FLOW, "result: report.result", "result: answer.result")
    fi.edit(FLOW, "needs: [income]", "needs: [wages]")
    fi.edit(FLOW, "owner: kela", "owner: kella")
    fields = [error.field for error in fi.reading().errors]
    assert set(fields) == {
        *("owner", "question.contract", "outcome.contract"),
        *("events[0].when", "outcome.fields.result", "rules[0].needs[0]", "rules[0].when"),
    }
    assert len(fields) == 7


WARNINGS = [
    ("remind: [{days: 7}]", "remind: [{days: 7}, {days: 11}]", "ask[0].remind[1]", "due by then"),
    ("within: {days: 10}", "within: {days: 31}", "ask[0].within", "after the case's deadline"),
    ("  - id: income\n", "  - id: income\n    stage: undo\n", "ask[0].stage", "never asked"),
    ("ask:\n", "  - {does: refer, contract: kela.claim_filed, case: hetu}\nask:\n", "events[1].does", "rest for ever"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "field", "words"), WARNINGS)
def test_what_may_stay_is_a_warning(fi: Declarations, old: str, new: str, field: str, words: str) -> None:
    """The flow is right, and the steward is told."""
    fi.edit(FLOW, old, new)
    reading = fi.reading()
    assert [error.field for error in reading.warnings if words in error.problem] == [field], [str(e) for e in reading.warnings]
    assert reading.errors == ()
    assert list(reading.catalogue.flows) == ["claim-check"]


def test_a_question_that_nobody_gets_is_an_error(fi: Declarations) -> None:
    """Without an agreement, and with rows that let it not pass; how to write it is said."""
    line = fi.edit(QUESTIONS, "equals: vero", "equals: thl")
    error = fi.only_error()
    assert (error.file, error.field) == (FLOW, "ask[0].agency")
    assert "the rows of claim-questions-to-tax let none of them pass" in error.problem
    assert line > 1
    fi.remove(QUESTIONS)
    error = fi.only_error()
    assert "write agreements/vero/<id>.yaml (contract: kela.question_asked)" in error.problem
    assert "{field: agency, equals: vero}" in error.problem


def test_an_agency_that_gets_others_questions_is_told_of(fi: Declarations) -> None:
    """Where several are asked, each agreement has a row for its own."""
    fi.edit(QUESTIONS, "rows:\n  - {field: agency, equals: vero}\n", "")
    assert fi.reading().warnings == ()
    ask = yaml.safe_load(fi.text(FLOW))["ask"][0]
    second = {**ask, "id": "other", "agency": {"path": "data.hetu"}}
    fi.edit(FLOW, "\nfigures:", f"  - {second}\n\nfigures:")
    (warning,) = fi.reading().warnings
    assert "vero gets the questions to all others too" in warning.problem


def test_a_report_that_nobody_gets_is_a_warning(fi: Declarations) -> None:
    """It may be meant so, but hardly is."""
    fi.remove("agreements/thl/claims-to-health.yaml")
    (warning,) = fi.reading().warnings
    assert (warning.file, warning.field) == (FLOW, "outcome.contract")


def test_flows_are_told_apart_by_their_prefixes(fi: Declarations) -> None:
    """Two with one prefix would get each other's answers."""
    fi.write("flows/second.yaml", fi.text(FLOW).replace("id: claim-check", "id: second"))
    error = fi.only_error()
    assert (error.file, error.field) == ("flows/second.yaml", "prefix")
    fi.write("flows/third.yml", "id: third\n")
    assert [error.file for error in fi.reading().errors] == ["flows/second.yaml", "flows/third.yml"]


def test_ids_of_questions_and_rules_are_unique(fi: Declarations) -> None:
    """A second one of the same name is told of at the second."""
    document = yaml.safe_load(fi.text(FLOW))
    document["ask"].append(copy.deepcopy(document["ask"][0]))
    document["rules"].append(copy.deepcopy(document["rules"][0]))
    fi.write(FLOW, yaml.safe_dump(document))
    assert [error.field for error in fi.reading().errors] == ["ask[1].id", "rules[1].id"]


def test_data_for_one_purpose_is_not_granted_for_another(fi: Declarations) -> None:
    """The agreement is wrong at its purpose, and the contract's own text must be one."""
    line = fi.edit(QUESTIONS, PURPOSE, "purpose: Made up for tests")
    error = next(error for error in fi.reading().errors if error.file == QUESTIONS)
    assert (error.line, error.field) == (line, "purpose")
    assert "may be used for 'Decide a claim for a benefit' only" in error.problem
    fi.edit(QUESTIONS, "purpose: Made up for tests", PURPOSE)
    contract = "contracts/vero/income_answered/contract.yaml"
    fi.edit(contract, "onlyForPurpose, value: Decide a claim for a benefit", "onlyForPurpose, value: ''")
    assert [(error.file, error.field) for error in fi.reading().errors] == [(contract, "customProperties")]


def test_a_flow_is_not_blamed_for_a_contract_that_is_wrong(fi: Declarations) -> None:
    """The one error is the contract's; the flow waits until it is right."""
    fi.edit("contracts/vero/income_answered/v1.avsc", '"name": "IncomeAnswered"', '"name": "Income"')
    error = fi.only_error()
    assert error.file == "contracts/vero/income_answered/v1.avsc"
    assert fi.reading().catalogue.flows == {}


def test_a_record_of_a_flow_runs_as_the_flow_does(fi: Declarations) -> None:
    """What stands on the topic is the whole of it: plans are made of the records alone, with the key of the flow's name."""
    catalogue = fi.catalogue()
    flow = catalogue.flows["claim-check"]
    record = FlowRecord.of(flow, {name: one.newest.schema for name, one in catalogue.contracts.items()}, catalogue.timezone)
    assert FlowRecord.from_json(record.to_json()).to_json() == record.to_json()
    assert FlowRecord.from_json(record.to_json()).flow == flow
    asked: list[str] = []

    def secret_of(name: str) -> bytes:
        asked.append(name)
        return b"s" * 32

    plan = plans_of({"claim-check": record.to_json()}, secret_of)["claim-check"]
    assert asked == [key_name("claim-check")]
    assert plan.number("131052-308T").startswith("CC-")
    assert "131052" not in plan.number("131052-308T")
    for wrong in (b"{}", b"junk", record.to_json().replace(b'"format":1', b'"format":2')):
        with pytest.raises(DeclarationError, match="apply again"):
            plans_of({"claim-check": wrong}, secret_of)
    with pytest.raises(DeclarationError, match="Mars/Olympus"):
        plans_of({"claim-check": record.to_json().replace(b"Europe/Helsinki", b"Mars/Olympus")}, secret_of)


READING = read(FI)
DOCUMENT: dict[str, Any] = yaml.safe_load((FI / FLOW).read_text(encoding="utf-8"))
AROUND = Surroundings(
    contracts=READING.catalogue.contracts,
    declared=frozenset(READING.catalogue.contracts),
    departments=frozenset(READING.catalogue.departments),
    agreements=list(READING.catalogue.agreements.values()),
)
WORDS = ["", "vero", "kela", "income", "item", "data", "data.hetu", "answers.income.earned", "hetu", "a.b.c", "1 +", "size(data)"]
WORDS += ["kela.benefit_decided", "dvv.family_changed", "outcome", "outcome.monthly", "amounts.may", "case_worker.unit", "score"]
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([*WORDS, *READING.catalogue.contracts]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    st.sampled_from(["path", "cel", "constant", "days", "working_days", "working_hours"]).flatmap(
        lambda name: st.sampled_from([*WORDS, 0, 1, 10**12, True]).map(lambda value: {name: value})
    ),
    st.just([]) | st.just({}),
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a document with each of its keys."""
    if not isinstance(value, (dict, list)):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]


def _paths(value: Any, here: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, one in entries for path in _paths(one, (*here, key)))]


@settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_mutation_of_a_flow_makes_the_check_fail(data: st.DataObject) -> None:
    """Whatever stands in the file, there are findings or none; what has no error runs as a whole."""
    document = copy.deepcopy(DOCUMENT)
    for _ in range(data.draw(st.integers(1, 4))):
        places = _places(document)
        holder, key = places[data.draw(st.integers(0, len(places) - 1))]
        deed = data.draw(st.sampled_from(["replace", "remove", "double", "swap"]))
        other, name = places[data.draw(st.integers(0, len(places) - 1))]
        if deed == "remove":
            del holder[key]
        elif deed == "double" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        elif deed == "swap":
            holder[key] = copy.deepcopy(other[name])
        else:
            holder[key] = data.draw(VALUES)
    collected = Collected()
    flow = collected.model(Flow, Document(file=FLOW, data=document, lines=dict.fromkeys(_paths(document, ()), 1)))
    if flow is None:
        assert collected.errors
        return
    findings = list(flow_findings(flow, AROUND))
    assert all(finding.problem for finding in findings)
    if not any(not finding.warning for finding in findings):
        schemas = {name: one.newest.schema for name, one in AROUND.contracts.items()}
        plans_of({flow.id: FlowRecord.of(flow, schemas, "UTC").to_json()}, lambda _: b"s")


def test_the_page_for_stewards_tells_of_every_part() -> None:
    """Each part of a flow, each deed of an event and each unit of a time span stands in docs/declarations.md, and no other."""
    page = (ROOT / "docs/declarations.md").read_text(encoding="utf-8").partition("\n## Flows\n")[2].partition("\n## ")[0]
    example = page.partition("```yaml\n")[2].partition("```")[0]
    told = set(re.findall(r"^([a-z_]+):", example, re.MULTILINE)) | set(re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE))
    parts = {name for one in told for name in (re.findall(r"`(\w+)`", one) or [one])}
    assert parts - {"answer"} == set(Flow.model_fields)
    row = next(line for line in page.splitlines() if line.startswith("| `events`"))
    assert set(re.findall(r"`(\w+)`", row)) - {"events", "case"} == set(get_args(Event.model_fields["does"].annotation))
    sentence = next(line for line in page.splitlines() if "A time span has one unit" in line)
    assert set(re.findall(r"`(\w+)`", sentence.partition("A time span")[2])) == set(Duration.model_fields)
