"""What one recipient gets, as an Open Data Contract (ODCS v3.1): one document per agreement, derived from its fields.

Each property says which fields of the event it is made from and how, so that a steward sees what was left out on the way.
Neighbours: ``origins`` knows that, ``odcs`` describes the contract that this is cut from.
"""

from __future__ import annotations

from typing import Any

from hutong.agreements.agreement import Agreement, Constant
from hutong.agreements.projection import record_name
from hutong.contracts.avro import Parsed, Schema, is_null, kind, parse
from hutong.contracts.matching import logical_type
from hutong.contracts.rules import ATTRIBUTE
from hutong.export.bus import Bus, words
from hutong.export.odcs import options, owner, role, servers, valid_values
from hutong.export.origins import Origin, conditions, in_words, origins, type_words

__all__ = ["delivery_document"]

Json = dict[str, Any]


def delivery_document(bus: Bus, agreement: Agreement) -> Json:
    """The document of an agreement's deliveries."""
    contract, reader = bus.catalogue.contracts[agreement.contract], bus.reader(agreement)
    rows = "; ".join(one.text for one in conditions(agreement, reader))
    facts = {
        "recipient": agreement.recipient,
        "agreement": agreement.id,
        "contract": contract.name,
        "legalBasis": agreement.legal_basis,
        "sharing": contract.sharing,
        "validFrom": agreement.valid.from_.isoformat(),
        "validUntil": agreement.valid.until.isoformat() if agreement.valid.until else None,
    }
    made: Json = {
        "apiVersion": contract.document.api_version,
        "kind": "DataContract",
        "id": agreement.id,
        "name": words(agreement.title) or agreement.id,
        "version": f"{reader.version}.0.0",
        "status": contract.document.status,
        "tags": [agreement.recipient, contract.department, contract.sharing],
        "description": {
            "purpose": agreement.purpose,
            "limitations": f"Only events where {rows}." if rows else "All events of the contract.",
            "usage": f"Legal basis: {agreement.legal_basis}. No other use.",
        },
        "servers": servers(bus, agreement.topic),
        "team": owner(bus.department(contract.department)),
        "roles": [role(bus, agreement)],
        "slaProperties": bus.catalogue.sources["contract", contract.name].data.get("slaProperties", []),
        "customProperties": [{"property": name, "value": value} for name, value in facts.items() if value],
        "schema": [_object(bus, agreement)],
    }
    if domain := bus.catalogue.sources["contract", contract.name].data.get("domain"):
        made["domain"] = domain
    return made


def _object(bus: Bus, agreement: Agreement) -> Json:
    contract, delivery = bus.catalogue.contracts[agreement.contract], parse(bus.grant(agreement).delivery_schema)
    known = {one.path: one for one in origins(agreement, bus.reader(agreement), delivery)}
    properties = _Properties(bus, contract.topic, delivery, known)
    parts = [path if shown else f"the pseudonym of {path}" for path, shown in bus.key(agreement)]
    return {
        "name": record_name(agreement.id),
        "physicalName": agreement.topic,
        "logicalType": "object",
        "physicalType": "topic",
        "description": contract.document.event.description,
        "dataGranularityDescription": f"One record per change event that is granted; the key is {', '.join(parts)}.",
        "properties": properties.of(delivery.root, "", ()),
    }


class _Properties:
    """Writes the fields of a delivery schema as properties."""

    def __init__(self, bus: Bus, source: str, parsed: Parsed, known: dict[str, Origin]) -> None:
        self.bus, self.source, self.parsed, self.known = bus, source, parsed, known

    def of(self, record: Any, prefix: str, above: tuple[str, ...]) -> list[Json]:
        """A record's fields."""
        return [self.property(field, prefix + field["name"], (*above, record["name"])) for field in record["fields"]]

    def property(self, field: Json, path: str, above: tuple[str, ...]) -> Json:
        """One field, with what is inside it."""
        branches = [one for one in self.branches(field["type"]) if not is_null(one)]
        kinds = {logical_type(one) for one in branches}
        made: Json = {
            "name": field["name"],
            "description": field.get("doc") or "",
            "logicalType": kinds.pop() if len(kinds) == 1 else "object",
            "physicalType": type_words(self.parsed, field["type"]),
            "physicalName": path,
            "required": len(branches) == len(self.branches(field["type"])),
        }
        facts = field.get(ATTRIBUTE) or {}
        if "classification" in facts:
            made["classification"] = facts["classification"]
        made |= self.origin(path)
        if found := options(self.parsed, field["type"]):
            made["logicalTypeOptions"] = found
        if rules := valid_values(self.bus, self.parsed, field):
            made["quality"] = rules
        return made | self.inside(branches, path, above)

    def origin(self, path: str) -> Json:
        """How the value comes about."""
        one = self.known.get(path)
        if one is None:
            return {}
        made: Json = {} if isinstance(one.grant, Constant) else {"transformSourceObjects": [self.source]}
        if not one.is_copy:
            made |= {"transformLogic": in_words(one.grant), "tags": [one.grant.transform]}
        if one.fields and (not one.is_copy or one.fields != (path,)):
            made["transformDescription"] = f"From the event's {' and '.join(one.fields)}."
        return made

    def inside(self, branches: list[Schema], path: str, above: tuple[str, ...]) -> Json:
        """The parts of a record, of the items of an array, of the values of a map, or of the records of a union."""
        records = [one for one in branches if kind(one) == "record"]
        if len(records) > 1:
            parts = [(one, one["name"].rpartition(".")[2]) for one in records]
            return {"properties": [self.branch(one, name, f"{path}.{name}", above) for one, name in parts]}
        found: Json = {}
        for one in branches:
            if kind(one) == "record" and one["name"] not in above:
                found["properties"] = self.of(one, f"{path}.", above)
            elif kind(one) == "map":
                below = self.inside(self.branches(one["values"]), path, above)
                found |= below.get("items", below)  # an object has properties alone, of whatever the map's values hold
                found = {key: value for key, value in found.items() if key == "properties"}
            elif kind(one) == "array":
                found["items"] = self.item(one["items"], path, above)
        return found

    def branch(self, record: Any, name: str, path: str, above: tuple[str, ...]) -> Json:
        """One record of a union of several."""
        inner = [] if record["name"] in above else self.of(record, f"{path}.", above)
        about = {"name": name, "description": record.get("doc") or "", "logicalType": "object"}
        return about | {"physicalType": f"record {name}", "required": False} | ({"properties": inner} if inner else {})

    def item(self, items: Schema, path: str, above: tuple[str, ...]) -> Json:
        """What an array holds."""
        branches = [one for one in self.branches(items) if not is_null(one)]
        kinds = {logical_type(one) for one in branches}
        made: Json = {"logicalType": kinds.pop() if len(kinds) == 1 else "object", "physicalType": type_words(self.parsed, items)}
        return made | self.inside(branches, path, above)

    def branches(self, schema: Schema) -> list[Schema]:
        """The resolved branches of a type."""
        schema = self.parsed.resolve(schema)
        return [self.parsed.resolve(one) for one in schema] if isinstance(schema, list) else [schema]
