"""Reads ``contracts/<department>/<event>/``: schemas, description, and whether both and all versions agree.

Neighbours: ``load`` calls this per folder; every rule itself is pure and lives in ``hutong.contracts``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from hutong.catalogue import files
from hutong.catalogue.collected import Collected
from hutong.catalogue.document import Document
from hutong.contracts.annotate import annotate
from hutong.contracts.avro import parse
from hutong.contracts.codelists import CodeList
from hutong.contracts.compatibility import Mode, evolution_problems
from hutong.contracts.contract import (
    Contract,
    ContractDocument,
    CustomProperty,
    Sharing,
    Sla,
    contract_name_problem,
    event_type_name,
    milliseconds,
)
from hutong.contracts.excess import excess
from hutong.contracts.finding import Finding
from hutong.contracts.matching import Version, field_findings, read_version
from hutong.contracts.rulebook import key_findings, key_of, rule_findings, rules_of
from hutong.contracts.schema import EventSchema, pub_topic
from hutong.contracts.wellformed import faults
from hutong.errors import DeclarationError

__all__ = ["read_contract"]

_NO_PURPOSE = "onlyForPurpose needs the text of the one purpose, as agreements and flows state it"
_AVSC = re.compile(r"v([1-9][0-9]{0,3})\.avsc")


def read_contract(
    directory: Path, department: str, event: str, code_lists: Mapping[str, CodeList], collected: Collected
) -> tuple[Contract, Document] | None:
    """The contract of one folder, or None with its errors remembered.

    Args:
        directory: the declarations' directory.
        department: name of the outer folder.
        event: name of the inner folder.
        code_lists: the code lists that are right.
        collected: where errors go.
    """
    folder = f"contracts/{department}/{event}"
    document, description = _description(directory, folder, collected)
    if problem := contract_name_problem(event):
        collected.error(DeclarationError(problem, file=folder))
        return None
    schemas = _schemas(directory, folder, department, event, collected)
    if document is None or description is None:
        return None
    failed = collected.findings(_head_findings(description, department, event, len(schemas)), document)
    if not schemas or not all(schemas):
        return None
    versions = [version for version, _ in filter(None, schemas)]
    places = {version.number: place for version, place in filter(None, schemas)}
    for finding in [
        *field_findings(description, versions, code_lists),
        *rule_findings(description, versions),
        *key_findings(description, versions),
        *_evolution_findings(description, versions),
    ]:
        failed |= collected.findings([finding], places[finding.version] if finding.version else document)
    return None if failed else (_contract(description, versions, code_lists), document)


def _description(directory: Path, folder: str, collected: Collected) -> tuple[Document | None, ContractDocument | None]:
    file = f"{folder}/contract.yaml"
    if not (directory / file).exists():
        collected.error(DeclarationError("the folder needs a contract.yaml that describes the contract", file=folder))
        return None, None
    with collected.step():
        document = files.read(directory, file)
        return document, collected.model(ContractDocument, document)
    return None, None


def _schemas(
    directory: Path, folder: str, department: str, event: str, collected: Collected
) -> list[tuple[Version, Document] | None]:
    """The versions in order; None in place of one that is wrong."""
    numbers = []
    for name in files.names(directory / folder):
        if match := _AVSC.fullmatch(name):
            numbers.append(int(match[1]))
        elif name.endswith((".avsc", ".yml", ".yaml")) and name != "contract.yaml":
            hint = "a contract's folder holds contract.yaml and v1.avsc, v2.avsc, ...; rename or remove this file"
            collected.error(DeclarationError(hint, file=f"{folder}/{name}"))
    numbers.sort()
    if numbers != list(range(1, len(numbers) + 1)) or not numbers:
        found = ", ".join(f"v{number}" for number in numbers) or "none"
        hint = f"versions must be v1.avsc, v2.avsc, ... without a gap, and here are: {found}; published versions stay"
        collected.error(DeclarationError(hint, file=folder))
        return []
    return [_version(directory, f"{folder}/v{number}.avsc", number, department, event, collected) for number in numbers]


def _version(
    directory: Path, file: str, number: int, department: str, event: str, collected: Collected
) -> tuple[Version, Document] | None:
    with collected.step():
        document = files.read(directory, file)
        found = [Finding(problem=f.problem, place=f.place, field=f.field) for f in faults(document.data)]
        if collected.findings(found or _name_findings(document.data, department, event), document):
            return None
        parsed = parse(document.data)
        if collected.findings(excess(document.data, parsed), document):
            return None
        return read_version(number, document.data, parsed), document
    return None


def _name_findings(schema: Any, department: str, event: str) -> list[Finding]:
    if not isinstance(schema, dict) or schema["type"] != "record":
        return [Finding(problem="an event's schema must be a record")]
    found = []
    for key, expected in (("name", event_type_name(event)), ("namespace", department)):
        if schema.get(key) != expected:
            found.append(Finding(problem=f"must be {expected!r}, as the folders' names say", place=(key,), field=key))
    return found


def _head_findings(description: ContractDocument, department: str, event: str, versions: int) -> list[Finding]:
    """What the document says of itself, against where it stands."""
    name = f"{department}.{event}"
    found = []

    def expect(place: tuple[str | int, ...], value: Any, expected: Any) -> None:
        if value != expected:
            found.append(Finding(problem=f"must be {expected!r}, as the folders' names say, and is {value!r}", place=place))

    expect(("id",), description.id, name)
    expect(("schema", 0, "name"), description.event.name, event)
    expect(("schema", 0, "physicalName"), description.event.physical_name, pub_topic(name))
    if versions and description.major != versions:
        problem = f"the newest schema is v{versions}.avsc, so the version must begin with {versions}."
        found.append(Finding(problem=problem, place=("version",)))
    place = ("customProperties",)
    if description.fact("department") != department:
        problem = f"needs {{property: department, value: {department}}}, the publishing department"
        found.append(Finding(problem=problem, place=place))
    for fact, choices in (("sharing", get_args(Sharing)), ("compatibility", get_args(Mode))):
        if description.fact(fact) not in choices:
            problem = f"needs {{property: {fact}, value: ...}} with one of {', '.join(choices)}"
            found.append(Finding(problem=problem, place=place))
    found += [Finding(problem=_NO_PURPOSE, place=place) for one in description.custom if _names_no_purpose(one)]
    for i, sla in enumerate(description.slas):
        if sla.property in ("retention", "latency") and milliseconds(sla) is None:
            problem = f"{sla.property} needs a value over 0 and a unit of s, m, h, d, w or y"
            found.append(Finding(problem=problem, place=("slaProperties", i)))
    return found


def _names_no_purpose(fact: CustomProperty) -> bool:
    return fact.property == "onlyForPurpose" and not (isinstance(fact.value, str) and fact.value.strip())


def _evolution_findings(description: ContractDocument, versions: list[Version]) -> list[Finding]:
    mode = description.fact("compatibility")
    if mode not in get_args(Mode):
        return []
    by_number = {version.number: version for version in versions}
    found = []
    for step in evolution_problems([(v.number, v.parsed) for v in versions], mode):
        newer = by_number[max(step.reader, step.writer)]
        older = by_number[min(step.reader, step.writer)]
        problem = f"{mode} compatibility is broken: v{step.reader} cannot read events of v{step.writer}: {step.problem.reason}"
        usage, at = newer.usages.get(step.problem.path), newer
        if usage is None and step.problem.path in older.usages:
            problem += f" (the field is in v{older.number})"
        place = at.definitions[usage.definition].place if usage else ()
        found.append(Finding(problem=problem, place=place, field=step.problem.path, version=newer.number))
    return found


def _contract(description: ContractDocument, versions: list[Version], code_lists: Mapping[str, CodeList]) -> Contract:
    rules, key, sharing = rules_of(description, code_lists), key_of(description), description.fact("sharing")
    retention = description.sla("retention") or Sla(property="retention")
    latency = milliseconds(description.sla("latency") or Sla(property="latency"))
    schemas = [annotate(version, rules, contract=description.id, key=key, sharing=sharing) for version in versions]
    return Contract(
        name=description.id,
        title=description.name,
        department=description.fact("department"),
        sharing=sharing,
        compatibility=description.fact("compatibility"),
        retention_ms=milliseconds(retention),
        freshness_s=latency / 1000 if latency else None,
        versions=tuple(EventSchema(schema) for schema in schemas),
        only_for_purpose=purpose.strip() if isinstance(purpose := description.fact("onlyForPurpose"), str) else None,
        document=description,
    )
