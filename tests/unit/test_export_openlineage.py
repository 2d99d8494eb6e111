"""The lineage events: taken by OpenLineage's own client as they are, and true to agreements and schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from openlineage.client import event_v2, facet_v2
from openlineage.client.serde import Serde

from hutong.agreements.agreement import Copy, Generalise, Mask, Pseudonymise
from hutong.catalogue.load import load
from hutong.export.bus import Bus
from hutong.export.openlineage import NAMESPACE, events
from tests.declaring import FI

SAMPLE = Path(__file__).parents[2] / "schemas"
MOMENT = datetime(2026, 11, 30, 8, tzinfo=UTC)
PRODUCER = "urn:hutong:export:test"
PLACE = "kafka://kafka.example:9092"

DATASET_FACETS: dict[str, Any] = {
    "columnLineage": facet_v2.column_lineage_dataset.ColumnLineageDatasetFacet,
    "documentation": facet_v2.documentation_dataset.DocumentationDatasetFacet,
    "ownership": facet_v2.ownership_dataset.OwnershipDatasetFacet,
    "schema": facet_v2.schema_dataset.SchemaDatasetFacet,
    "tags": facet_v2.tags_dataset.TagsDatasetFacet,
}
JOB_FACETS: dict[str, Any] = {
    "documentation": facet_v2.documentation_job.DocumentationJobFacet,
    "jobType": facet_v2.job_type_job.JobTypeJobFacet,
    "ownership": facet_v2.ownership_job.OwnershipJobFacet,
    "tags": facet_v2.tags_job.TagsJobFacet,
}


@cache
def bus(schemas: Path) -> Bus:
    return Bus.of(load(schemas))


@cache
def told(schemas: Path) -> tuple[dict[str, Any], ...]:
    return tuple(events(bus(schemas), moment=MOMENT, producer=PRODUCER))


def jobs(schemas: Path) -> dict[str, dict[str, Any]]:
    return {one["job"]["name"]: one for one in told(schemas) if "job" in one}


def datasets(schemas: Path) -> dict[str, dict[str, Any]]:
    return {one["dataset"]["name"]: one["dataset"] for one in told(schemas) if "dataset" in one}


def paths(fields: list[dict[str, Any]], prefix: str = "") -> Iterator[str]:
    """Every field of a schema facet as a dotted path."""
    for field in fields:
        yield prefix + field["name"]
        yield from paths(field.get("fields", []), f"{prefix}{field['name']}.")


class Client:
    """Builds events of the public client's classes, which refuse what they do not know."""

    def event(self, one: dict[str, Any]) -> Any:
        if "dataset" in one:
            made = event_v2.DatasetEvent(
                eventTime=one["eventTime"], producer=one["producer"], dataset=self.dataset(event_v2.StaticDataset, one["dataset"])
            )
        else:
            facets = {name: self.facet(JOB_FACETS[name], facet) for name, facet in one["job"]["facets"].items()}
            made = event_v2.JobEvent(
                eventTime=one["eventTime"],
                producer=one["producer"],
                job=event_v2.Job(namespace=one["job"]["namespace"], name=one["job"]["name"], facets=facets),
                inputs=[self.dataset(event_v2.InputDataset, each) for each in one["inputs"]],
                outputs=[self.dataset(event_v2.OutputDataset, each) for each in one["outputs"]],
            )
        return made

    def dataset(self, kind: Any, one: dict[str, Any]) -> Any:
        facets = {name: self.facet(DATASET_FACETS[name], facet) for name, facet in one["facets"].items()}
        return kind(namespace=one["namespace"], name=one["name"], facets=facets)

    def facet(self, kind: Any, one: dict[str, Any]) -> Any:
        content = {name: value for name, value in one.items() if not name.startswith("_")}
        match kind.__name__:
            case "ColumnLineageDatasetFacet":
                lineage = facet_v2.column_lineage_dataset
                fields = {
                    path: lineage.Fields(inputFields=[self.input(each) for each in value["inputFields"]])
                    for path, value in content["fields"].items()
                }
                content = {"fields": fields, "dataset": [self.input(each) for each in content["dataset"]]}
            case "SchemaDatasetFacet":
                content = {"fields": [self.field(each) for each in content["fields"]]}
            case "OwnershipDatasetFacet":
                content = {"owners": [facet_v2.ownership_dataset.Owner(**each) for each in content["owners"]]}
            case "OwnershipJobFacet":
                content = {"owners": [facet_v2.ownership_job.Owner(**each) for each in content["owners"]]}
            case "TagsDatasetFacet":
                content = {"tags": [facet_v2.tags_dataset.TagsDatasetFacetFields(**each) for each in content["tags"]]}
            case "TagsJobFacet":
                content = {"tags": [facet_v2.tags_job.TagsJobFacetFields(**each) for each in content["tags"]]}
        return kind(**content, producer=one["_producer"])

    def field(self, one: dict[str, Any]) -> Any:
        inner = [self.field(each) for each in one["fields"]]
        return facet_v2.schema_dataset.SchemaDatasetFacetFields(**(one | {"fields": inner}))

    def input(self, one: dict[str, Any]) -> Any:
        lineage = facet_v2.column_lineage_dataset
        changes = [lineage.Transformation(**each) for each in one["transformations"]]
        return lineage.InputField(**(one | {"transformations": changes}))


def plain(value: Any) -> Any:
    """Without what is empty, which the client leaves out."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item not in (None, [], {})}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("schemas", [SAMPLE, FI], ids=["sample", "fi"])
def test_the_public_client_says_the_same(schemas: Path) -> None:
    """Every event, rebuilt from OpenLineage's own classes and written by its own serialiser, is the event that we wrote."""
    for one in told(schemas):
        assert plain(json.loads(Serde.to_json(Client().event(one)))) == plain(one)


@pytest.mark.parametrize("schemas", [SAMPLE, FI], ids=["sample", "fi"])
def test_each_agreement_is_a_job_between_two_topics(schemas: Path) -> None:
    """From the contract's topic to the recipient's, owned by both; each topic that is named is a dataset."""
    known = datasets(schemas)
    assert jobs(schemas).keys() == {one.id for one in bus(schemas).agreements}
    assert known.keys() == {one.topic for one in (*bus(schemas).contracts, *bus(schemas).agreements)}
    for agreement in bus(schemas).agreements:
        job = jobs(schemas)[agreement.id]
        (source,), (target,) = job["inputs"], job["outputs"]
        assert (source["name"], target["name"]) == (f"pub.{agreement.contract}", agreement.topic)
        assert {source["namespace"], target["namespace"], job["job"]["namespace"]} == {PLACE, NAMESPACE}
        owners = {(one["type"], one["name"]) for one in job["job"]["facets"]["ownership"]["owners"]}
        department = agreement.contract.rpartition(".")[0]
        assert owners == {("PUBLISHER", f"department:{department}"), ("RECIPIENT", f"department:{agreement.recipient}")}


@pytest.mark.parametrize("schemas", [SAMPLE, FI], ids=["sample", "fi"])
def test_lineage_leads_from_fields_to_fields(schemas: Path) -> None:
    """Both ends of every edge are in the schema facets of their datasets, and every field with a value has an edge."""
    known = datasets(schemas)
    for agreement in bus(schemas).agreements:
        facets = jobs(schemas)[agreement.id]["outputs"][0]["facets"]
        there = set(paths(known[f"pub.{agreement.contract}"]["facets"]["schema"]["fields"]))
        old = bus(schemas).reader(agreement).version != bus(schemas).catalogue.contracts[agreement.contract].newest.version
        here = set(paths(facets["schema"]["fields"]))
        assert facets["columnLineage"]["fields"].keys() <= here
        assert here <= set(paths(known[agreement.topic]["facets"]["schema"]["fields"]))
        edges = [one for field in facets["columnLineage"]["fields"].values() for one in field["inputFields"]]
        for edge in (*edges, *facets["columnLineage"]["dataset"]):
            assert edge["field"] in there or old, f"{agreement.id}: {edge['field']}"


def test_masking_is_said_where_the_recipient_learns_less() -> None:
    """Masked, pseudonymous and generalised values are marked; copies are identities."""
    for agreement in bus(SAMPLE).agreements:
        fields = jobs(SAMPLE)[agreement.id]["outputs"][0]["facets"]["columnLineage"]["fields"]
        changes = [each for field in fields.values() for one in field["inputFields"] for each in one["transformations"]]
        assert all(each["type"] == "DIRECT" for each in changes)
        hidden = sum(isinstance(one, (Mask, Pseudonymise, Generalise)) for one in agreement.fields)
        assert sum(each["masking"] for each in changes) == hidden, agreement.id
        copies = sum(isinstance(one, Copy) for one in agreement.fields)
        assert sum(each["subtype"] == "IDENTITY" for each in changes) >= copies


def test_row_conditions_are_filters() -> None:
    """What decides which events pass stands on the dataset, as OpenLineage wants it."""
    for agreement in bus(SAMPLE).agreements:
        lineage = jobs(SAMPLE)[agreement.id]["outputs"][0]["facets"]["columnLineage"]
        assert bool(lineage["dataset"]) is bool(agreement.rows), agreement.id
        assert all(each["subtype"] == "FILTER" for one in lineage["dataset"] for each in one["transformations"])


def test_fields_of_a_shared_channel_are_told_apart() -> None:
    """Two agreements on one topic: each field begins with its record's name, whichever part of the bus is exported."""
    name = "sub.mohrss.insurance.deaths"
    fields = datasets(SAMPLE)[name]["facets"]["schema"]["fields"]
    assert {one["name"] for one in fields} >= {"CremationToPension", "DeathDeclaredToPension"}
    narrow = Bus.of(bus(SAMPLE).catalogue, contract="mca.funeral.cremation_recorded", recipient="mohrss.insurance")
    made = list(events(narrow, moment=MOMENT, producer=PRODUCER))
    lineage = next(one for one in made if "job" in one)["outputs"][0]["facets"]["columnLineage"]["fields"]
    assert "CremationToPension.deceased.name" in lineage


def test_time_is_written_in_utc() -> None:
    """An instant of another zone is the same instant."""
    made = events(bus(FI), moment=datetime.fromisoformat("2026-11-30T16:00:00+08:00"), producer=PRODUCER)
    assert next(made)["eventTime"] == "2026-11-30T08:00:00Z"
