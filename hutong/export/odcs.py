"""Each contract as a complete Open Data Contract (ODCS v3.1): what ``contract.yaml`` says, and what the bus knows besides.

What a department wrote stays as it is; only what it left out is added: where the data stands, who may read it, how Avro writes
each value, which values a code list allows. Neighbours: ``odcs_delivery`` does the same for what one recipient gets.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hutong.agreements.agreement import Agreement
from hutong.contracts.avro import Parsed, Schema, field_paths, is_null, kind, logical
from hutong.contracts.contract import Contract, described
from hutong.contracts.departments import Department
from hutong.contracts.rules import ATTRIBUTE
from hutong.export.bus import Bus, words

__all__ = ["contract_document", "options", "owner", "role", "servers", "valid_values"]

Json = dict[str, Any]

_FORMATS = {"int": "i32", "long": "i64", "float": "f32", "double": "f64"}


def contract_document(bus: Bus, contract: Contract) -> Json:
    """A contract's document, completed."""
    made: Json = copy.deepcopy(bus.catalogue.sources["contract", contract.name].data)
    publisher = bus.department(contract.department)
    for key, value in (
        ("tags", [contract.department, contract.sharing]),
        ("servers", servers(bus, contract.topic)),
        ("team", owner(publisher)),
        ("support", _support(publisher)),
        ("roles", [_writer(publisher), *(role(bus, one) for one in _readers(bus, contract))]),
        ("authoritativeDefinitions", [*_definitions(bus, contract)]),
    ):
        if value:
            made.setdefault(key, value)
    event = made["schema"][0]
    event.setdefault("dataGranularityDescription", f"One record per change event; the key is {', '.join(contract.newest.key)}.")
    _complete_properties(bus, contract, made)
    return made


def _readers(bus: Bus, contract: Contract) -> list[Agreement]:
    return [one for one in bus.agreements if one.contract == contract.name]


def servers(bus: Bus, topic: str) -> list[Json]:
    """Where a topic stands."""
    facts = {"topic": topic, "registry": bus.registry_url}
    return [
        {
            "server": "bus",
            "type": "kafka",
            "host": ",".join(bus.brokers),
            "format": "avro",
            "description": "Apache Kafka: Avro in the Confluent wire format, CloudEvents 1.0 in the headers.",
            "customProperties": [{"property": name, "value": value} for name, value in facts.items() if value],
        }
    ]


def owner(party: Department) -> Json:
    """The team that answers for the data."""
    member = {"username": party.contact, "name": words(party.head), "role": "owner"}
    return {"name": words(party.name), "members": [member]}


def _support(party: Department) -> list[Json]:
    contact = party.contact
    tool, url = ("email", f"mailto:{contact}") if "@" in contact and "://" not in contact else ("other", contact)
    return [{"channel": party.code, "tool": tool, "url": url, "scope": "issues"}]


def _writer(publisher: Department) -> Json:
    return {"role": publisher.code, "access": "write", "description": f"{words(publisher.name)} publishes."}


def role(bus: Bus, agreement: Agreement) -> Json:
    """A recipient's right, by its agreement."""
    until = agreement.valid.until
    facts = {
        "agreement": agreement.id,
        "recipient": agreement.recipient,
        "legalBasis": agreement.legal_basis,
        "purpose": agreement.purpose,
        "validFrom": agreement.valid.from_.isoformat(),
        "validUntil": until.isoformat() if until else None,
        "topic": agreement.topic,
    }
    contract = bus.catalogue.contracts[agreement.contract]
    return {
        "role": agreement.id,
        "access": "read",
        "description": f"{words(bus.department(agreement.recipient).name)}: {words(agreement.title) or agreement.id}",
        "firstLevelApprovers": words(bus.department(contract.department).head),
        "customProperties": [{"property": name, "value": value} for name, value in facts.items() if value],
    }


def _definitions(bus: Bus, contract: Contract) -> Iterator[Json]:
    if bus.registry_url:
        for schema in contract.versions:
            yield {
                "type": "implementation",
                "url": f"{bus.registry_url}/subjects/{contract.topic}-value/versions/{schema.version}",
                "description": f"The Avro schema of version {schema.version}, with its rules",
            }


def _complete_properties(bus: Bus, contract: Contract, made: Json) -> None:
    fields: dict[str, tuple[Parsed, Json]] = {}
    for version in contract.versions:  # the newest version that has a field speaks for it
        fields.update({path: (version.parsed, field) for path, field in field_paths(version.parsed)})
    key = contract.newest.key
    for one in described(contract.document):
        if one.path not in fields:
            continue  # a branch of a union of records
        target: Any = made
        for step in one.place:
            target = target[step]
        parsed, field = fields[one.path]
        target.setdefault("physicalName", one.path)
        if one.path in key:
            target.setdefault("partitioned", True)
            target.setdefault("partitionKeyPosition", key.index(one.path) + 1)
        if found := options(parsed, field["type"]) | target.get("logicalTypeOptions", {}):
            target["logicalTypeOptions"] = found
        if not any("invalidValues" in (rule.get("metric"), rule.get("rule")) for rule in target.get("quality", [])):
            target["quality"] = [*target.get("quality", []), *valid_values(bus, parsed, field)]
            if not target["quality"]:
                del target["quality"]


def options(parsed: Parsed, type_: Schema) -> Json:
    """What ODCS calls the options of a logical type, as far as the Avro type decides them."""
    schema = _only(parsed, type_)
    if schema is None:
        return {}
    meaning = logical(schema) or ""
    if "timestamp" in meaning:
        return {"timezone": not meaning.startswith("local-")}
    if meaning == "uuid":
        return {"format": "uuid"}
    return {"format": _FORMATS[kind(schema)]} if not meaning and kind(schema) in _FORMATS else {}


def valid_values(bus: Bus, parsed: Parsed, field: Json) -> list[Json]:
    """The rule that a value is one of a code list, or one of an enum's symbols."""
    facts = field.get(ATTRIBUTE) or {}
    schema = _only(parsed, field["type"])
    if schema is None:
        return []
    symbols = schema["symbols"] if kind(schema) == "enum" else facts.get("codes")
    if not symbols:
        return []
    code_list = bus.catalogue.code_lists.get(facts.get("codeList", ""))
    named = " ".join(filter(None, (words(code_list.title), code_list.standard))) if code_list else "the type's symbols"
    return [
        {
            "name": "only known values",
            "description": f"Every value is one of {named}.",
            "metric": "invalidValues",
            "arguments": {"validValues": list(symbols)},
            "mustBe": 0,
            "dimension": "conformity",
        }
    ]


def _only(parsed: Parsed, type_: Schema) -> Schema | None:
    """The one type of a value that may be null; None where there are several, or it is a list of values."""
    schema = parsed.resolve(type_)
    branches = [parsed.resolve(branch) for branch in schema if not is_null(branch)] if isinstance(schema, list) else [schema]
    if len(branches) != 1 or kind(branches[0]) in ("record", "array", "map"):
        return None
    return branches[0]
