"""Reads a directory of declarations: all that is right as a ``Catalogue``, and all that is wrong as errors with file and line.

Neighbours: ``contracts``, ``agreements`` and ``flows`` read their folders, ``hutong check`` shows the errors, everything else
wants none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from hutong.agreements.agreement import Agreement, sub_topic
from hutong.agreements.check import agreement_findings, channel_findings
from hutong.catalogue import files
from hutong.catalogue.agreements import read_agreements
from hutong.catalogue.catalogue import Catalogue, Reading
from hutong.catalogue.collected import Collected
from hutong.catalogue.contracts import read_contract
from hutong.catalogue.document import Document
from hutong.catalogue.flows import read_flows
from hutong.contracts.codelists import CodeList, is_code_list_id
from hutong.contracts.contract import Contract, described
from hutong.contracts.departments import Departments
from hutong.contracts.finding import Finding
from hutong.contracts.schema import pub_topic
from hutong.errors import DeclarationError
from hutong.flows.check import Surroundings

__all__ = ["load", "read"]

Contracts = dict[str, tuple[Contract, Document]]
Agreements = dict[str, tuple[Agreement, Document]]


def load(directory: Path | str) -> Catalogue:
    """Read declarations that are expected to be right.

    Raises:
        DeclarationError: one is wrong; the first one, and how many more there are.
        ConfigurationError: there is no such directory.
    """
    reading = read(directory)
    if reading.errors:
        first, more = reading.errors[0], len(reading.errors) - 1
        rest = f" (and {more} more: run 'hutong check')" if more else ""
        raise DeclarationError(f"{first.problem}{rest}", file=first.file, line=first.line, field=first.field)
    return reading.catalogue


def read(directory: Path | str) -> Reading:
    """Read declarations, whatever their state.

    Raises:
        ConfigurationError: there is no such directory.
    """
    root = files.opened(Path(directory))
    collected = Collected()
    departments, parties = _departments(root, collected)
    code_lists = _code_lists(root, collected)
    contracts, declared = _contracts(root, departments, {id_: one for id_, (one, _) in code_lists.items()}, collected)
    agreements = _agreements(root, departments, contracts, declared, code_lists, collected)
    flows = read_flows(root, _surroundings(departments, contracts, declared, agreements), collected)
    _topic_clashes(contracts, agreements, collected)
    _unused_code_lists(code_lists, contracts, declared, agreements, collected)
    sources: dict[tuple[str, str], Document] = {}
    if parties:
        sources["department", ""] = parties
    sources.update({("contract", name): document for name, (_, document) in contracts.items()})
    sources.update({("code_list", name): document for name, (_, document) in code_lists.items()})
    sources.update({("agreement", name): document for name, (_, document) in agreements.items()})
    sources.update({("flow", name): document for name, (_, document) in flows.items()})
    catalogue = Catalogue(
        timezone=departments.timezone if departments else "UTC",
        departments=departments.by_code() if departments else {},
        contracts={name: one for name, (one, _) in sorted(contracts.items())},
        code_lists={id_: one for id_, (one, _) in sorted(code_lists.items())},
        agreements={id_: one for id_, (one, _) in sorted(agreements.items())},
        flows={id_: one for id_, (one, _) in sorted(flows.items())},
        sources=sources,
    )
    return Reading(catalogue=catalogue, errors=collected.errors, warnings=collected.warnings)


def _departments(root: Path, collected: Collected) -> tuple[Departments | None, Document | None]:
    with collected.step():
        document = files.read(root, "departments.yaml")
        departments = collected.model(Departments, document)
        if departments is None:
            return None, None
        problems = [Finding(problem=text, place=("departments", i, key)) for i, key, text in departments.problems()]
        collected.findings(problems, document)
        return departments, document
    return None, None


def _code_lists(root: Path, collected: Collected) -> dict[str, tuple[CodeList, Document]]:
    found: dict[str, tuple[CodeList, Document]] = {}
    for name in files.names(root / "codelists"):
        if not name.endswith((".yaml", ".yml")):
            continue
        with collected.step():
            document = files.read(root, f"codelists/{name}")
            code_list = collected.model(CodeList, document)
            if code_list is None:
                continue
            problems = [Finding(problem=text, place=("entries", i)) for i, text in code_list.problems()]
            if f"{code_list.id}.yaml" != name or not is_code_list_id(code_list.id):
                text = "the id is lower-case letters, digits, - and ., and the file is called <id>.yaml"
                problems.append(Finding(problem=text, place=("id",)))
            if not collected.findings(problems, document):
                found[code_list.id] = (code_list, document)
    return found


def _contracts(
    root: Path, departments: Departments | None, code_lists: Mapping[str, CodeList], collected: Collected
) -> tuple[Contracts, frozenset[str]]:
    """The contracts that are right, and the names of all that are declared."""
    found: Contracts = {}
    declared: set[str] = set()
    codes = {one.code for one in departments.departments} if departments else None
    for department in files.folders(root / "contracts"):
        if codes is not None and department not in codes:
            text = "departments.yaml has no such department; correct the folder's name or declare it"
            collected.error(DeclarationError(text, file=f"contracts/{department}"))
        for event in files.folders(root / "contracts" / department):
            name = f"{department}.{event}"
            declared.add(name)
            if contract := read_contract(root, department, event, code_lists, collected):
                found[name] = contract
    return found, frozenset(declared)


def _agreements(
    root: Path,
    departments: Departments | None,
    contracts: Contracts,
    declared: frozenset[str],
    code_lists: Mapping[str, tuple[CodeList, Document]],
    collected: Collected,
) -> Agreements:
    found = read_agreements(root, collected)
    good_contracts = {name: one for name, (one, _) in contracts.items()}
    good_lists = {id_: one for id_, (one, _) in code_lists.items()}
    codes = frozenset(one.code for one in departments.departments) if departments else None
    right: Agreements = {}
    for id_, (agreement, document) in found.items():
        findings = agreement_findings(agreement, good_contracts, declared, codes, good_lists)
        if not collected.findings(findings, document) and agreement.contract in good_contracts:
            right[id_] = (agreement, document)
    for id_, finding in channel_findings([one for one, _ in right.values()], good_contracts, good_lists):
        collected.findings([finding], right[id_][1])
    return right


def _surroundings(
    departments: Departments | None, contracts: Contracts, declared: frozenset[str], agreements: Agreements
) -> Surroundings:
    return Surroundings(
        contracts={name: one for name, (one, _) in contracts.items()},
        declared=declared,
        departments=frozenset(one.code for one in departments.departments) if departments else None,
        agreements=[one for one, _ in agreements.values()],
    )


def _topic_clashes(contracts: Contracts, agreements: Agreements, collected: Collected) -> None:
    """Kafka refuses two topics whose names differ in ``.`` and ``_`` alone."""
    topics: dict[str, Document] = {pub_topic(name): document for name, (_, document) in contracts.items()}
    topics.update({sub_topic(one.recipient, one.channel_name): document for one, document in agreements.values()})
    seen: dict[str, str] = {}
    for topic, document in sorted(topics.items()):
        first = seen.setdefault(topic.replace(".", "_"), topic)
        if first != topic:
            text = f"the topic {topic} would clash with {first}: Kafka takes '.' and '_' for the same; rename one"
            collected.error(document.error(text))


def _unused_code_lists(
    code_lists: Mapping[str, tuple[CodeList, Document]],
    contracts: Contracts,
    declared: frozenset[str],
    agreements: Agreements,
    collected: Collected,
) -> None:
    if len(contracts) < len(declared):
        return  # a contract that could not be read may use any of them
    used = set(_used_code_lists(contracts, agreements))
    for id_, (_, document) in code_lists.items():
        if id_ not in used:
            collected.warning(document.error("no contract and no agreement uses this code list", ("id",)))


def _used_code_lists(contracts: Contracts, agreements: Agreements) -> Iterator[str]:
    for contract, _ in contracts.values():
        for one in described(contract.document):
            for description in (one.description, one.description.items):
                if description and description.fact("codeList"):
                    yield str(description.fact("codeList"))
    for agreement, _ in agreements.values():
        for granted in agreement.fields:
            if granted.transform == "map":
                yield granted.code_list
