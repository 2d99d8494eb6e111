"""The bus as an AsyncAPI 3.0 document: who sends and who receives what, over which topics, in which Avro schemas.

The whole bus, or one recipient's view of it, which holds what its agreements grant and nothing more, or one contract with the
deliveries made from it. Neighbours: ``bus`` says what is meant; the topics' settings and the delivery schemas are those that
``hutong apply`` makes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from hutong.agreements.agreement import Agreement, Copy
from hutong.contracts.avro import Schema, kind
from hutong.contracts.contract import Contract
from hutong.contracts.departments import Department
from hutong.control.rows import row_text
from hutong.event import CONTENT_TYPE, REPLAY_HEADER, source_of
from hutong.export.bus import Bus, words

__all__ = ["AVRO", "document", "portable"]

Json = dict[str, Any]

AVRO = "application/vnd.apache.avro;version=1.9.0"
"""How AsyncAPI calls an Avro schema."""

_BINDING = "0.5.0"
_NUMBERS = ("retention.ms", "max.message.bytes")  # of the topic's settings, those that the binding has a place for

_REPLAYED = {
    REPLAY_HEADER: "Only on what a replay delivers again: the replay's id.",
    "hutong_replayed_at": "Only on what a replay delivers again: when.",
}

_HEADERS: Json = {
    "type": "object",
    "description": "CloudEvents 1.0, Kafka protocol binding, binary content mode; every value is UTF-8 text.",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"],
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {
            "type": "string",
            "minLength": 1,
            "description": "Unique within ce_source; the same on every delivery of the event.",
        },
        "ce_source": {"type": "string", "format": "uri", "description": "The publishing department."},
        "ce_type": {"type": "string", "description": "The contract's name."},
        "ce_time": {"type": "string", "format": "date-time", "description": "When the change happened."},
        "content-type": {"type": "string", "const": CONTENT_TYPE},
        "ce_corrects": {"type": "string", "description": "Id of the event of the same contract that this one puts right."},
        "traceparent": {"type": "string", "description": "W3C trace context, where the publisher has one."},
        "tracestate": {"type": "string", "description": "W3C trace context, vendors' part."},
    },
}


def document(bus: Bus) -> Json:
    """The document. Its version is a fingerprint of its content: another version means that something else is agreed."""
    made: Json = {
        "defaultContentType": CONTENT_TYPE,
        "servers": dict(_servers(bus)),
        "channels": {},
        "operations": {},
        "components": {
            "messages": {},
            "schemas": {"event_headers": _HEADERS},
            "correlationIds": {
                "event": {"location": "$message.header#/ce_id", "description": "The event, on all its deliveries."}
            },
            "securitySchemes": {
                "scram": {"type": "scramSha512", "description": "SASL/SCRAM-SHA-512; each department is a user."}
            },
        },
    }
    if bus.recipient is None:  # what a publisher sends is more than a recipient is granted
        for contract in bus.contracts:
            _publish(made, bus, contract)
    for topic, agreements in bus.channels.items():
        _receive(made, bus, topic, agreements)
    text = json.dumps(made, sort_keys=True, ensure_ascii=False)
    return {"asyncapi": "3.0.0", "info": _info(bus, hashlib.sha256(text.encode()).hexdigest()[:12])} | made


def _info(bus: Bus, version: str) -> Json:
    about = "Typed change events from the department that knows to those that hold an agreement."
    title, owner = "Hutong, all departments", None
    if bus.contract:
        contract = bus.catalogue.contracts[bus.contract]
        title, owner = contract.title, bus.department(contract.department)
        about = contract.document.description.purpose
    if bus.recipient:
        owner = bus.department(bus.recipient)
        title = f"Deliveries to {words(owner.name)}" + (f": {title}" if bus.contract else "")
    info: Json = {"title": title, "version": version, "description": about}
    return info | ({"contact": _contact(owner)} if owner else {})


def _contact(owner: Department) -> Json:
    contact: Json = {"name": words(owner.head)}
    if owner.contact.startswith(("http://", "https://")):
        contact["url"] = owner.contact
    elif "@" in owner.contact:
        contact["email"] = owner.contact
    return contact


def _servers(bus: Bus) -> Iterator[tuple[str, Json]]:
    kafka: Json = {"bindingVersion": _BINDING}
    if bus.registry_url:
        kafka = {"schemaRegistryUrl": bus.registry_url, "schemaRegistryVendor": "confluent"} | kafka
    for number, host in enumerate(bus.brokers, 1):
        server: Json = {
            "host": host,
            "protocol": "kafka-secure" if bus.secure else "kafka",
            "description": "Apache Kafka. Readers take isolation.level=read_committed.",
            "bindings": {"kafka": kafka},
        }
        if bus.secure:
            server["security"] = [{"$ref": "#/components/securitySchemes/scram"}]
        yield "bus" if len(bus.brokers) == 1 else f"broker-{number}", server


def _publish(made: Json, bus: Bus, contract: Contract) -> None:
    """The contract's channel, a message for each of its versions, and the sending of them."""
    publisher, ids = bus.department(contract.department), []
    for schema in contract.versions:
        id_ = f"v{schema.version}"
        ids.append(id_)
        message = _message(bus, f"{contract.topic}-value", schema.schema, f"The key: {', '.join(schema.key)}.")
        message |= {
            "name": f"{contract.name}.{id_}",
            "title": f"{contract.title}, version {schema.version}",
            "summary": contract.document.event.description,
            "headers": _headers(contract),
            "tags": _tags(contract.department, contract.sharing),
        }
        made["components"]["messages"][f"{contract.name}.{id_}"] = message
    about = contract.document.description
    made["channels"][contract.topic] = {
        "address": contract.topic,
        "title": contract.title,
        "description": "\n\n".join(filter(None, (about.purpose, about.limitations, about.usage))),
        "messages": {id_: {"$ref": f"#/components/messages/{contract.name}.{id_}"} for id_ in ids},
        "tags": _tags(contract.department, contract.sharing),
        "bindings": _channel_binding(bus, contract.topic),
        "x-hutong-owner": _owner(publisher),
    }
    made["operations"][f"{contract.name}.publish"] = {
        "action": "send",
        "channel": {"$ref": f"#/channels/{contract.topic}"},
        "title": f"{words(publisher.name)} publishes: {contract.title}",
        "messages": [{"$ref": f"#/channels/{contract.topic}/messages/{id_}"} for id_ in ids],
        "tags": _tags(contract.department),
        "bindings": {"kafka": {"bindingVersion": _BINDING}},
    }


def _receive(made: Json, bus: Bus, topic: str, agreements: list[Agreement]) -> None:
    """A recipient's channel, a message for each agreement on it, and the receiving of them."""
    recipient, channel = agreements[0].recipient, agreements[0].channel_name
    for agreement in agreements:
        made["components"]["messages"][agreement.id] = _delivery(bus, agreement)
    party = bus.department(recipient)
    made["channels"][topic] = {
        "address": topic,
        "title": f"{words(party.name)}: {channel}",
        "description": "Deliveries under " + ", ".join(one.id for one in agreements) + ".",
        "messages": {one.id: {"$ref": f"#/components/messages/{one.id}"} for one in agreements},
        "tags": _tags(recipient),
        "bindings": _channel_binding(bus, topic),
        "x-hutong-owner": _owner(party),
    }
    group = {
        "type": "string",
        "description": "The group's name begins with the recipient's code.",
        "pattern": "^" + f"{recipient}.".replace(".", "\\.") + ".+$",
        "default": f"{recipient}.{channel}",
    }
    made["operations"][f"{recipient}.{channel}.receive"] = {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{topic}"},
        "title": f"{words(party.name)} receives: {channel}",
        "messages": [{"$ref": f"#/channels/{topic}/messages/{one.id}"} for one in agreements],
        "tags": _tags(recipient),
        "bindings": {"kafka": {"groupId": group, "bindingVersion": _BINDING}},
    }


def _delivery(bus: Bus, agreement: Agreement) -> Json:
    contract, grant = bus.catalogue.contracts[agreement.contract], bus.grant(agreement)
    parts = [path if shown else f"pseudonym of {path}" for path, shown in bus.key(agreement)]
    message = _message(bus, grant.subject, grant.delivery_schema, f"The key: {', '.join(parts)}.")
    until = agreement.valid.until
    facts: Json = {
        "contract": agreement.contract,
        "version": bus.reader(agreement).version,
        "legalBasis": agreement.legal_basis,
        "purpose": agreement.purpose,
        "validFrom": agreement.valid.from_.isoformat(),
        "validUntil": until.isoformat() if until else None,
        "rows": [row_text(row) for row in agreement.rows],
        "sensitive": {
            one.field: one.sensitive_basis for one in agreement.fields if isinstance(one, Copy) and one.sensitive_basis
        },
    }
    return message | {
        "name": agreement.id,
        "title": words(agreement.title) or agreement.id,
        "summary": agreement.purpose,
        "description": f"Legal basis: {agreement.legal_basis}",
        "headers": _headers(contract, ce_agreement=agreement.id),
        "tags": _tags(contract.department, contract.sharing),
        "x-hutong-agreement": facts,
    }


def _message(bus: Bus, subject: str, schema: Schema, key: str) -> Json:
    binding: Json = {"key": {"type": "string", "description": key}}
    if bus.registry_url:
        binding |= {
            "schemaIdLocation": "payload",
            "schemaIdPayloadEncoding": "confluent",
            "schemaLookupStrategy": "TopicNameStrategy" if subject.endswith("-value") else "TopicRecordNameStrategy",
        }
    return {
        "contentType": CONTENT_TYPE,
        "payload": {"schemaFormat": AVRO, "schema": portable(schema)},
        "correlationId": {"$ref": "#/components/correlationIds/event"},
        "bindings": {"kafka": binding | {"bindingVersion": _BINDING}},
    }


def _headers(contract: Contract, **agreement: str) -> Json:
    const = {"ce_source": source_of(contract.department), "ce_type": contract.name}
    own = {name: {"type": "string", "const": value} for name, value in (const | agreement).items()}
    replayed = {name: {"type": "string", "description": text} for name, text in _REPLAYED.items()} if agreement else {}
    return {
        "type": "object",
        "allOf": [{"$ref": "#/components/schemas/event_headers"}],
        "required": [*own],
        "properties": own | replayed,
    }


def _channel_binding(bus: Bus, topic: str) -> Json:
    config = bus.wanted.topics[topic].config
    settings: Json = {name: int(config[name]) for name in _NUMBERS if name in config}
    binding: Json = {"topic": topic, "topicConfiguration": {"cleanup.policy": config["cleanup.policy"].split(",")} | settings}
    if bus.partitions:
        binding["partitions"] = bus.partitions
    return {"kafka": binding | {"bindingVersion": _BINDING}}


def _tags(*names: str) -> list[Json]:
    return [{"name": name} for name in names]


def _owner(party: Department) -> Json:
    return {"department": party.code, "name": words(party.name), "head": words(party.head), "contact": party.contact}


def portable(schema: Schema) -> Schema:
    """The same schema with each type's name and namespace apart, as AsyncAPI's own schema of Avro wants them."""
    if isinstance(schema, list):
        return [portable(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {"type", "items", "values"}
    made = {key: portable(value) if key in inner else value for key, value in schema.items()}
    if "fields" in made:
        made["fields"] = [portable(field) for field in made["fields"]]
    namespace, dot, name = str(made.get("name", "")).rpartition(".")
    if dot and kind(made) in ("record", "enum", "fixed"):
        made |= {"name": name, "namespace": namespace}
    return made
