"""A published record is a valid CloudEvent for the public SDK."""

from __future__ import annotations

from datetime import UTC, datetime

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event

from hutong.testing import Bus
from tests.samples import CONTRACT, PERSON_REGISTERED, contract_root, generated, person

Model = generated(contract_root(PERSON_REGISTERED)).PersonRegistered


def test_the_public_sdk_reads_a_published_record() -> None:
    """Binary content mode: attributes from the headers, the Avro bytes as data, the Kafka key as partition key."""
    bus, moment = Bus(models=[Model]), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with bus.publisher("kin.registry") as publisher:
        publisher.publish(person(), CONTRACT, id="e1", time=moment)
    (record,) = bus.records(f"pub.{CONTRACT}")
    event = from_kafka_event(KafkaMessage(headers=dict(record.headers()), key=record.key(), value=record.value() or b""))
    assert event.get_attributes() == {
        "specversion": "1.0",
        "id": "e1",
        "source": "urn:hutong:kin.registry",
        "type": CONTRACT,
        "time": moment,
        "datacontenttype": "application/avro",
        "partitionkey": "A-1",
    }
    assert event.get_data() == record.value()
