"""The agreements as OpenLineage events: each is a job that reads the contract's topic and writes the recipient's, field by field.

Static events alone (``JobEvent``, ``DatasetEvent``): what the bus is set up to do, not what it did today. Datasets are topics, as
OpenLineage names those of Kafka. Several agreements on one channel write records of different names to one topic: there a field
begins with its record's name. Neighbours: ``origins`` follows the fields, ``bus`` says which agreements are meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from hutong.agreements.agreement import Agreement
from hutong.agreements.projection import record_name
from hutong.contracts.avro import Parsed, Schema, is_null, kind, parse
from hutong.contracts.contract import Contract
from hutong.contracts.rules import ATTRIBUTE
from hutong.export.bus import Bus, words
from hutong.export.origins import Origin, conditions, in_words, origins, type_words

__all__ = ["NAMESPACE", "events"]

Json = dict[str, Any]

NAMESPACE = "hutong"
"""Of the jobs; the datasets' namespace is the bus's address."""

_SPEC = "https://openlineage.io/spec"
_FACETS = {
    "columnLineage": ("1-2-0", "ColumnLineageDatasetFacet"),
    "documentation": ("1-1-0", "DocumentationDatasetFacet"),
    "jobDocumentation": ("1-1-0", "DocumentationJobFacet"),
    "jobOwnership": ("1-0-1", "OwnershipJobFacet"),
    "jobTags": ("1-0-0", "TagsJobFacet"),
    "jobType": ("2-0-4", "JobTypeJobFacet"),
    "ownership": ("1-0-1", "OwnershipDatasetFacet"),
    "schema": ("1-2-0", "SchemaDatasetFacet"),
    "tags": ("1-0-0", "TagsDatasetFacet"),
}
"""Facet -> version and name of the schema that it follows."""


def events(bus: Bus, *, moment: datetime, producer: str) -> Iterator[Json]:
    """The events: the contracts' topics, the agreements, the recipients' topics.

    Args:
        bus: what is meant.
        moment: when the declarations were read.
        producer: URI of the program that says so.
    """
    writer = _Writer(bus, moment, producer)
    for contract in bus.contracts:
        yield writer.contract(contract)
    for agreement in bus.agreements:
        yield writer.job(agreement)
    for topic, agreements in bus.channels.items():
        yield writer.channel(topic, agreements)


class _Writer:
    def __init__(self, bus: Bus, moment: datetime, producer: str) -> None:
        self.bus, self.producer = bus, producer
        self.time = moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    @cached_property
    def shared(self) -> frozenset[str]:
        """The topics that several agreements write to, whichever are meant here."""
        topics = [one.topic for one in self.bus.catalogue.agreements.values()]
        return frozenset(topic for topic in topics if topics.count(topic) > 1)

    def contract(self, contract: Contract) -> Json:
        """A contract's topic."""
        parsed, about = contract.newest.parsed, contract.document.description
        facets = {
            "schema": self.facet("schema", fields=_fields(parsed, parsed.root, ())),
            "documentation": self.facet("documentation", description=about.purpose),
            "ownership": self.facet("ownership", owners=[self.owner(contract.department, "PUBLISHER")]),
            "tags": self.facet("tags", tags=[_tag("sharing", contract.sharing), *_classes(parsed)]),
        }
        return self.event("DatasetEvent", dataset=self.dataset(contract.topic, facets))

    def job(self, agreement: Agreement) -> Json:
        """An agreement."""
        contract = self.bus.catalogue.contracts[agreement.contract]
        until = agreement.valid.until
        tags = {
            "recipient": agreement.recipient,
            "legal_basis": agreement.legal_basis,
            "valid_from": agreement.valid.from_.isoformat(),
            "valid_until": until.isoformat() if until else "",
            "rows": "; ".join(one.text for one in conditions(agreement, self.bus.reader(agreement))),
        }
        owners = [self.owner(contract.department, "PUBLISHER"), self.owner(agreement.recipient, "RECIPIENT")]
        facets = {
            "jobType": self.facet("jobType", processingType="STREAMING", integration="HUTONG", jobType="AGREEMENT"),
            "documentation": self.facet("jobDocumentation", description=agreement.purpose),
            "ownership": self.facet("jobOwnership", owners=owners),
            "tags": self.facet("jobTags", tags=[_tag(key, value) for key, value in tags.items() if value]),
        }
        output = {"schema": self.schema([agreement]), "columnLineage": self.lineage([agreement])}
        return self.event(
            "JobEvent",
            job={"namespace": NAMESPACE, "name": agreement.id, "facets": facets},
            inputs=[self.dataset(contract.topic, {})],
            outputs=[self.dataset(agreement.topic, output)],
        )

    def channel(self, topic: str, agreements: list[Agreement]) -> Json:
        """A recipient's topic, with the lineage of all that is written to it."""
        titles = ", ".join(words(one.title) or one.id for one in agreements)
        facets = {
            "schema": self.schema(agreements),
            "columnLineage": self.lineage(agreements),
            "documentation": self.facet("documentation", description=f"Deliveries: {titles}."),
            "ownership": self.facet("ownership", owners=[self.owner(agreements[0].recipient, "RECIPIENT")]),
        }
        return self.event("DatasetEvent", dataset=self.dataset(topic, facets))

    def schema(self, agreements: list[Agreement]) -> Json:
        """What is on a topic."""
        fields: list[Json] = []
        for one in agreements:
            parsed = self.delivery(one)
            own = _fields(parsed, parsed.root, ())
            if one.topic in self.shared:
                about = words(one.title) or one.id
                own = [{"name": record_name(one.id), "type": "record", "description": about, "fields": own}]
            fields += own
        return self.facet("schema", fields=fields)

    def lineage(self, agreements: list[Agreement]) -> Json:
        """Which field of the event each field of a delivery is made from, and which fields decide what passes."""
        fields: Json = {}
        deciding: list[Json] = []
        for one in agreements:
            reader = self.bus.reader(one)
            source = self.bus.catalogue.contracts[one.contract].topic
            before = f"{record_name(one.id)}." if one.topic in self.shared else ""
            for origin in origins(one, reader, self.delivery(one)):
                inputs = [self.input(source, field, _direct(origin)) for field in origin.fields]
                fields[before + origin.path] = {"inputFields": inputs}
            for condition in conditions(one, reader):
                filtered = {"type": "INDIRECT", "subtype": "FILTER", "description": condition.text, "masking": False}
                deciding += [self.input(source, field, filtered) for field in condition.fields]
        return self.facet("columnLineage", fields=fields, dataset=deciding)

    def delivery(self, agreement: Agreement) -> Parsed:
        """The schema of an agreement's deliveries."""
        return parse(self.bus.grant(agreement).delivery_schema)

    def input(self, topic: str, field: str, transformation: Json) -> Json:
        """A field that something is made from."""
        return {"namespace": self.namespace, "name": topic, "field": field, "transformations": [transformation]}

    @property
    def namespace(self) -> str:
        """Of the topics."""
        return f"kafka://{self.bus.brokers[0]}"

    def dataset(self, topic: str, facets: Mapping[str, Json]) -> Json:
        """A topic."""
        return {"namespace": self.namespace, "name": topic, "facets": dict(facets)}

    def owner(self, code: str, type_: str) -> Json:
        """A department as an owner."""
        return {"name": f"department:{code}", "type": type_}

    def facet(self, which: str, **content: Any) -> Json:
        """A facet with what OpenLineage wants on each."""
        version, name = _FACETS[which]
        schema = f"{_SPEC}/facets/{version}/{name}.json#/$defs/{name}"
        return {"_producer": self.producer, "_schemaURL": schema, **content}

    def event(self, kind_: str, **content: Any) -> Json:
        """An event with what OpenLineage wants on each."""
        schema = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/{kind_}"
        return {"eventTime": self.time, "producer": self.producer, "schemaURL": schema, **content}


def _direct(origin: Origin) -> Json:
    subtype = "IDENTITY" if origin.is_copy else "TRANSFORMATION"
    return {"type": "DIRECT", "subtype": subtype, "description": in_words(origin.grant), "masking": origin.hides}


def _tag(key: str, value: str, field: str | None = None) -> Json:
    return {"key": key, "value": value, "source": "HUTONG"} | ({"field": field} if field else {})


def _classes(parsed: Parsed) -> Iterator[Json]:
    """How far each top-level field may go."""
    for field in parsed.root["fields"]:
        facts = field.get(ATTRIBUTE) or {}
        if "classification" in facts:
            yield _tag("classification", facts["classification"], field["name"])


def _fields(parsed: Parsed, record: Any, above: tuple[str, ...]) -> list[Json]:
    """A record's fields, each with those inside it; a type that contains itself is entered once on each way down."""
    above = (*above, record["name"])
    return [
        {
            "name": field["name"],
            "type": type_words(parsed, field["type"]),
            "description": field.get("doc") or "",
            "fields": _inside(parsed, field["type"], above),
        }
        for field in record["fields"]
    ]


def _inside(parsed: Parsed, schema: Schema, above: tuple[str, ...]) -> list[Json]:
    schema = parsed.resolve(schema)
    match kind(schema):
        case "record":
            return [] if schema["name"] in above else _fields(parsed, schema, above)
        case "array":
            return _inside(parsed, schema["items"], above)
        case "map":
            return _inside(parsed, schema["values"], above)
        case "union":
            branches = [parsed.resolve(branch) for branch in schema if not is_null(branch)]
            records = [one for one in branches if kind(one) == "record"]
            if len(records) < 2:
                return [field for one in branches for field in _inside(parsed, one, above)]
            return [
                {
                    "name": name,
                    "type": f"record {name}",
                    "description": one.get("doc") or "",
                    "fields": _inside(parsed, one, above),
                }
                for one in records
                for name in [one["name"].rpartition(".")[2]]
            ]
    return []
