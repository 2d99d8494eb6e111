"""Checks of agreements against everything else that is declared. Pure; the clock comes as an argument.

What the rows and fields of one agreement may be is ``delivery``'s to say; this adds the rules between declarations. Neighbours:
the catalogue calls these while it loads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import date
from typing import Any

from hutong.agreements.agreement import Agreement, Copy, Derive
from hutong.agreements.delivery import delivery_schema, problems
from hutong.agreements.grant import CodeLists
from hutong.contracts.avro import Parsed, Schema, field_paths, kind
from hutong.contracts.codelists import CodeList
from hutong.contracts.contract import Contract
from hutong.contracts.finding import Finding
from hutong.contracts.rules import ATTRIBUTE
from hutong.contracts.schema import EventSchema
from hutong.contracts.wellformed import Place
from hutong.errors import DeclarationError

__all__ = ["agreement_findings", "channel_findings", "expiry_finding", "plain_lists"]

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_BARE_FIELD = re.compile(r"\s*[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\s*", re.ASCII)


def agreement_findings(
    agreement: Agreement,
    contracts: Mapping[str, Contract],
    declared: Set[str],
    departments: Set[str] | None,
    code_lists: Mapping[str, CodeList],
) -> Iterator[Finding]:
    """Everything that is wrong with one agreement.

    Args:
        agreement: the agreement, right in itself.
        contracts: the contracts that are right.
        declared: names of all contracts, right or not: an agreement on one that is wrong is not blamed for it.
        departments: all codes, or None where the parties could not be read.
        code_lists: the code lists that are right.
    """
    if departments is not None and agreement.recipient not in departments:
        yield Finding(problem=f"departments.yaml has no department {agreement.recipient!r}", place=("recipient",))
    contract = contracts.get(agreement.contract)
    if contract is None:
        if agreement.contract not in declared:
            yield Finding(problem=f"there is no contract {agreement.contract!r} under contracts/", place=("contract",))
        return
    if contract.sharing == "not_shared":
        problem = f"{contract.name} is not_shared: it may not be granted to anybody; change its sharing, or remove the agreement"
        yield Finding(problem=problem, place=("contract",))
    if contract.only_for_purpose not in (None, agreement.purpose):
        problem = f"{contract.name} may be used for '{contract.only_for_purpose}' only; an agreement on it has that purpose"
        yield Finding(problem=problem, place=("purpose",))
    reader = contract.version(agreement.version)
    if reader is None:
        yield Finding(
            problem=f"{contract.name} has no v{agreement.version}; the newest is v{contract.newest.version}", place=("version",)
        )
        return
    for problem_ in problems(agreement, reader, plain_lists(code_lists)):
        yield Finding(problem=problem_.problem, place=place_of(problem_.field))
    yield from _sensitive_findings(agreement, reader)


def _sensitive_findings(agreement: Agreement, reader: EventSchema) -> Iterator[Finding]:
    fields = dict(field_paths(reader.parsed))
    for i, granted in enumerate(agreement.fields):
        if isinstance(granted, Copy) and granted.sensitive_basis is None and granted.field in fields:
            inside = list(dict.fromkeys(_sensitive(reader.parsed, fields[granted.field], granted.field, set())))
            if inside:
                what = "it is" if inside == [granted.field] else f"it holds {', '.join(inside)}, which is"
                problem = f"{what} sensitive and passed as is; state its own 'sensitive_basis', grant less, or transform it"
                yield Finding(problem=problem, place=("fields", i, "field"), field=granted.field)
        elif isinstance(granted, Derive) and _BARE_FIELD.fullmatch(granted.cel):
            path = granted.cel.strip()
            if path in fields and _classification(fields[path]) == "sensitive":
                problem = "the expression is a sensitive field itself; grant that field with its own 'sensitive_basis'"
                yield Finding(problem=problem, place=("fields", i, "cel"), field=path)


def _sensitive(parsed: Parsed, field: Mapping[str, Any], path: str, entered: set[str]) -> Iterator[str]:
    """Paths of the sensitive fields that a field is or holds, however deep, also inside a type that contains itself."""
    if _classification(field) == "sensitive":
        yield path
    else:
        yield from _sensitive_inside(parsed, field["type"], path, entered)


def _sensitive_inside(parsed: Parsed, schema: Schema, path: str, entered: set[str]) -> Iterator[str]:
    schema = parsed.resolve(schema)
    match kind(schema):
        case "union":
            for branch in schema:
                yield from _sensitive_inside(parsed, branch, path, entered)
        case "array" | "map":
            yield from _sensitive_inside(parsed, schema.get("items") or schema.get("values"), path, entered)
        case "record" if schema["name"] not in entered:
            entered.add(schema["name"])
            for inner in schema["fields"]:
                yield from _sensitive(parsed, inner, f"{path}.{inner['name']}", entered)


def _classification(field: Mapping[str, Any]) -> object:
    facts = field.get(ATTRIBUTE)
    return facts.get("classification") if isinstance(facts, Mapping) else None


def channel_findings(
    agreements: Sequence[Agreement], contracts: Mapping[str, Contract], code_lists: Mapping[str, CodeList]
) -> Iterator[tuple[str, Finding]]:
    """Agreements of one channel whose deliveries a reader could not tell apart, as (agreement id, finding).

    Args:
        agreements: agreements that are right in themselves.
        contracts: the contracts that they grant.
        code_lists: the code lists that they use.
    """
    lists = plain_lists(code_lists)
    seen: dict[tuple[str, str], str] = {}
    for agreement in sorted(agreements, key=lambda one: one.id):
        reader = contracts[agreement.contract].version(agreement.version)
        if reader is None:
            continue
        try:
            schema = delivery_schema(agreement, reader, lists)
        except DeclarationError:
            continue  # told of already
        name = ".".join(filter(None, (schema.get("namespace"), schema["name"])))
        first = seen.setdefault((agreement.topic, name), agreement.id)
        if first != agreement.id:
            problem = f"{first} delivers records of the same name ({name}) on this channel; give this agreement another channel"
            yield agreement.id, Finding(problem=problem, place=("channel",))


def plain_lists(code_lists: Mapping[str, CodeList]) -> CodeLists:
    """Code lists as grants carry them."""
    return {id_: [dict(entry) for entry in one.entries] for id_, one in code_lists.items()}


def expiry_finding(agreement: Agreement, today: date) -> Finding | None:
    """The finding that an agreement is no more in force, or None."""
    until = agreement.valid.until
    if until is None or until >= today:
        return None
    problem = f"the validity ended on {until}; renew it with its legal basis, or remove the agreement"
    return Finding(problem=problem, place=("valid", "until"))


def place_of(field: str) -> Place:
    """``fields[2].field`` as a place: ``("fields", 2, "field")``."""
    return tuple(int(number) if number else name for number, name in _STEP.findall(field))
