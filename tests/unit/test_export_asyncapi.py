"""The AsyncAPI document: whole, valid for the public parser, and no more than a recipient is granted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastavro.schema import parse_schema, to_parsing_canonical_form

from hutong.catalogue.load import load
from hutong.contracts.avro import field_paths, parse
from hutong.errors import ConfigurationError
from hutong.event import REPLAY_HEADER, Attributes
from hutong.export.asyncapi import AVRO, document, portable
from hutong.export.bus import PLACEHOLDER, Bus
from tests.declaring import FI
from tests.node import Node

SAMPLE = Path(__file__).parents[2] / "schemas"
PARSER = ("@asyncapi/parser@3.6.3", "@asyncapi/avro-schema-parser@3.0.24")
REGISTRY = "http://registry.example:8080/apis/ccompat/v7"

CHECK = """
const fs = require("fs");
const { Parser } = require("@asyncapi/parser");
const { AvroSchemaParser } = require("@asyncapi/avro-schema-parser");
(async () => {
  const parser = new Parser();
  parser.registerSchemaParser(AvroSchemaParser());
  const told = {};
  for (const file of process.argv.slice(1)) {
    const { document, diagnostics } = await parser.parse(fs.readFileSync(file, "utf8"));
    told[file] = {
      problems: diagnostics.map((one) => [one.severity, String(one.code), one.message, one.path.join("/")]),
      channels: document ? document.channels().all().length : null,
      sends: document ? document.operations().filterBySend().length : null,
      receives: document ? document.operations().filterByReceive().length : null,
      messages: document ? document.messages().all().length : null,
    };
  }
  process.stdout.write(JSON.stringify(told));
})();
"""
"""Prints what the public parser finds: severity 0 is an error, 1 a warning."""


@pytest.fixture(scope="module")
def bus() -> Bus:
    return Bus.of(load(SAMPLE), registry_url=REGISTRY, partitions=6)


def references(value: Any) -> Iterator[str]:
    """Every ``$ref`` outside Avro schemas."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for key, item in value.items():
            if key != "schema":
                yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_every_contract_is_sent_and_every_channel_received(bus: Bus) -> None:
    """The whole bus: a channel per topic with exactly the messages that travel on it, a sender or a receiver for each."""
    made = document(bus)
    assert made["asyncapi"] == "3.0.0"
    assert made["channels"].keys() == {one.topic for one in (*bus.contracts, *bus.agreements)}
    assert made["components"]["messages"].keys() == {
        *(f"{one.name}.v{schema.version}" for one in bus.contracts for schema in one.versions),
        *(one.id for one in bus.agreements),
    }
    actions = {(one["action"], one["channel"]["$ref"].removeprefix("#/channels/")) for one in made["operations"].values()}
    assert actions == {("send", one.topic) for one in bus.contracts} | {("receive", one.topic) for one in bus.agreements}
    for agreement in bus.agreements:
        assert agreement.id in made["channels"][agreement.topic]["messages"]
        facts = made["components"]["messages"][agreement.id]["x-hutong-agreement"]
        assert (facts["legalBasis"], facts["purpose"]) == (agreement.legal_basis, agreement.purpose)


@pytest.mark.parametrize("schemas", [SAMPLE, FI], ids=["sample", "fi"])
def test_references_lead_somewhere(schemas: Path) -> None:
    """Every ``$ref`` names a part of the document; an operation's messages are its channel's."""
    made = document(Bus.of(load(schemas)))
    for reference in references(made):
        here: Any = made
        for part in reference.removeprefix("#/").split("/"):
            here = here[part]
    for operation in made["operations"].values():
        assert all(one["$ref"].startswith(operation["channel"]["$ref"] + "/") for one in operation["messages"])


@pytest.mark.parametrize("schemas", [SAMPLE, FI], ids=["sample", "fi"])
def test_payloads_are_the_registered_schemas(schemas: Path) -> None:
    """Written with names and namespaces apart, an Avro schema is still the one that is registered."""
    bus = Bus.of(load(schemas))
    made = document(bus)["components"]["messages"]
    registered = {one.id: bus.grant(one).delivery_schema for one in bus.agreements}
    registered |= {f"{one.name}.v{schema.version}": schema.schema for one in bus.contracts for schema in one.versions}
    for name, schema in registered.items():
        payload = made[name]["payload"]
        assert payload["schemaFormat"] == AVRO
        assert payload["schema"] == portable(schema)
        assert to_parsing_canonical_form(parse_schema(payload["schema"])) == to_parsing_canonical_form(parse_schema(schema))
        assert not re.search(r'"name": "[^"]*\.', json.dumps(payload["schema"]))


def test_headers_are_those_that_events_carry(bus: Bus) -> None:
    """What ``Attributes`` writes has every header that the document requires, and none that it does not know."""
    made = document(bus)
    shared, agreement = made["components"]["schemas"]["event_headers"], bus.agreements[0]
    own = made["components"]["messages"][agreement.id]["headers"]
    department = agreement.contract.rpartition(".")[0]
    attributes = Attributes(
        id="1",
        source=f"urn:hutong:{department}",
        type=agreement.contract,
        time=datetime.now(UTC),
        agreement=agreement.id,
        traceparent="00-1-2-3",
        tracestate="a=b",
        corrects="0",
    )
    headers = {name: value.decode() for name, value in attributes.to_headers()}
    known = {**shared["properties"], **own["properties"]}
    assert {*shared["required"], *own["required"]} <= headers.keys()
    assert headers.keys() | {REPLAY_HEADER, "hutong_replayed_at"} == known.keys()
    assert all(known[name].get("const", value) == value for name, value in headers.items())


def test_a_recipients_view_holds_what_it_is_granted_and_nothing_more() -> None:
    """No topic of a publisher, no other recipient, and no field of an event that the agreements leave out."""
    catalogue = load(SAMPLE)
    for recipient in {one.recipient for one in catalogue.agreements.values()}:
        bus = Bus.of(catalogue, recipient=recipient)
        made = document(bus)
        assert all(name.startswith(f"sub.{recipient}.") for name in made["channels"])
        assert {one["action"] for one in made["operations"].values()} == {"receive"}
        messages = made["components"]["messages"]
        assert messages.keys() == {one.id for one in bus.agreements}
        for agreement in bus.agreements:
            paths = {path for path, _ in field_paths(parse(messages[agreement.id]["payload"]["schema"]))}
            assert paths == {path for path, _ in field_paths(parse(bus.grant(agreement).delivery_schema))}
        text = json.dumps(made, ensure_ascii=False)
        others = {one.id for one in catalogue.agreements.values() if one.recipient != recipient}
        assert not {name for name in others if f'"{name}"' in text}


def test_a_contracts_view_is_that_contract_with_its_deliveries(bus: Bus) -> None:
    """One publisher's channel, and the channels of those who get its events, with those messages alone."""
    narrow = Bus.of(bus.catalogue, contract="mca.funeral.cremation_recorded")
    made = document(narrow)
    assert made["info"]["contact"]["email"] == narrow.department("mca.funeral").contact
    granted = {one.id for one in narrow.catalogue.agreements_on("mca.funeral.cremation_recorded")}
    versions = {f"mca.funeral.cremation_recorded.v{number}" for number in (1, 2)}
    assert made["components"]["messages"].keys() == granted | versions


def test_topics_are_as_apply_makes_them(bus: Bus) -> None:
    """Retention, clean-up and partitions in the bindings are those of the control plane."""
    for topic, channel in document(bus)["channels"].items():
        binding, wanted = channel["bindings"]["kafka"], bus.wanted.topics[topic]
        assert (binding["topic"], binding["partitions"]) == (topic, wanted.partitions)
        config = {"cleanup.policy": binding["topicConfiguration"]["cleanup.policy"][0]}
        config |= {key: str(value) for key, value in binding["topicConfiguration"].items() if key != "cleanup.policy"}
        assert config.items() <= wanted.config.items()


def test_keys_say_what_is_hidden(bus: Bus) -> None:
    """A delivery's key is told as the plan makes it: a part that is not granted is a pseudonym."""
    messages = document(bus)["components"]["messages"]
    shown = messages["cremation-to-pension"]["bindings"]["kafka"]["key"]["description"]
    hidden = messages["divisions-generalised"]["bindings"]["kafka"]["key"]["description"]
    assert (shown, hidden) == ("The key: certificate_number.", "The key: pseudonym of code.")


def test_the_version_changes_with_the_content_alone(bus: Bus) -> None:
    """The same declarations give the same document; another retention or agreement gives another version."""
    assert document(bus) == document(Bus.of(load(SAMPLE), registry_url=REGISTRY, partitions=6))
    assert document(bus)["info"]["version"] != document(Bus.of(bus.catalogue, registry_url=REGISTRY))["info"]["version"]


def test_groups_are_those_that_the_rules_of_access_let_in(bus: Bus) -> None:
    """The pattern takes the subscription's own group, and no other department's."""
    for operation in document(bus)["operations"].values():
        if operation["action"] == "receive":
            group = operation["bindings"]["kafka"]["groupId"]
            recipient = operation["tags"][0]["name"]
            assert re.search(group["pattern"], group["default"])
            assert re.search(group["pattern"], f"{recipient}.second")
            assert not re.search(group["pattern"], f"x{recipient}.second")
            assert not re.search(group["pattern"], recipient.replace(".", "x") + ".second")


def test_the_bus_is_where_it_is_said_to_be() -> None:
    """A server per broker; no registry, no words about its schema ids; no password of a registry's address."""
    catalogue = load(FI)
    plain = document(Bus.of(catalogue, secure=False))
    assert plain["servers"]["bus"]["host"] == PLACEHOLDER
    assert plain["servers"]["bus"]["protocol"] == "kafka"
    assert "security" not in plain["servers"]["bus"]
    assert "schemaId" not in json.dumps(plain)
    made = document(Bus.of(catalogue, brokers="a:1, b:2", registry_url="https://user:secret@registry.example/x/"))
    assert {name: one["host"] for name, one in made["servers"].items()} == {"broker-1": "a:1", "broker-2": "b:2"}
    assert made["servers"]["broker-1"]["bindings"]["kafka"]["schemaRegistryUrl"] == "https://registry.example/x"
    assert "secret" not in json.dumps(made)


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ({"recipient": "mca.ageingg"}, "no department mca.ageingg; do you mean mca.ageing"),
        ({"contract": "nope"}, "no contract nope"),
        ({"recipient": "spc.court"}, "spc.court has no agreement; name a department that receives"),
        (
            {"recipient": "mca.ageing", "contract": "mca.divisions.division_changed"},
            "no agreement on mca.divisions.division_changed",
        ),
    ],
)
def test_a_view_of_nothing_is_refused(bus: Bus, view: dict[str, str], words: str) -> None:
    """A misspelt name is no empty document."""
    with pytest.raises(ConfigurationError, match=words):
        Bus.of(bus.catalogue, **view)


def spoilt(bus: Bus) -> dict[str, Any]:
    """Documents with one fault each: the parser must find it, or its silence about ours says nothing."""
    avro, reference, binding, version = (document(bus) for _ in range(4))
    next(iter(avro["components"]["messages"].values()))["payload"]["schema"].pop("fields")
    next(iter(reference["operations"].values()))["channel"]["$ref"] += "x"
    next(iter(binding["channels"].values()))["bindings"]["kafka"]["partitions"] = -1
    version["info"].pop("version")
    return {"avro": avro, "reference": reference, "binding": binding, "version": version}


@pytest.mark.timeout(300)  # the first time, npm installs the parser
def test_the_public_parser_finds_no_fault(tmp_path: Path) -> None:
    """``@asyncapi/parser``, which takes every Avro schema apart too, accepts the whole bus and a recipient's view of it."""
    node = Node.with_packages(*PARSER)
    buses = {"whole": Bus.of(load(SAMPLE), registry_url=REGISTRY, partitions=6), "fi": Bus.of(load(FI))}
    buses["recipient"] = Bus.of(buses["whole"].catalogue, recipient="mohrss.insurance")
    broken = spoilt(Bus.of(buses["fi"].catalogue, contract="dvv.person_moved"))
    made = {name: document(bus) for name, bus in buses.items()} | broken
    files = {name: tmp_path / f"{name}.json" for name in made}
    for name, one in made.items():
        files[name].write_text(json.dumps(one, ensure_ascii=False), encoding="utf-8")
    told = json.loads(node.run(CHECK, *map(str, files.values())))
    for name, bus in buses.items():
        found = told[str(files[name])]
        assert [one for one in found["problems"] if one[0] <= 1] == [], name
        sends = 0 if bus.recipient else len(bus.contracts)
        assert (found["channels"], found["sends"], found["receives"]) == (sends + len(bus.channels), sends, len(bus.channels))
    for name in broken:
        assert [one for one in told[str(files[name])]["problems"] if one[0] == 0], f"{name} should have been found"
