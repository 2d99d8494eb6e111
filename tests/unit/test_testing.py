"""The in-memory bus: what a department's own tests may rely on."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from hutong import Publisher, Subscription
from hutong.errors import ConfigurationError, DeclarationError, UnknownContract
from hutong.testing import Bus
from tests.declaring import FI
from tests.samples import CHANNEL, CONTRACT, PERSON_REGISTERED, agreement, contract_root, generated, person

Model = generated(contract_root(PERSON_REGISTERED)).PersonRegistered


def application() -> None:
    """What a department's code does: it makes its own publisher, and knows nothing of tests."""
    with Publisher("kin.registry") as publisher:
        publisher.publish(person(), CONTRACT)


def test_an_application_that_makes_its_own_clients_uses_the_bus() -> None:
    """Within the block there is no Kafka; outside it there is again."""
    with Bus(models=[Model], agreements=[agreement()]) as bus, bus.subscription("kin.school", CHANNEL) as channel:
        application()
        with Subscription("kin.school", CHANNEL, group="kin.school.2", from_beginning=True) as other:
            assert other.poll() is not None
        event = channel.poll()
        assert event is not None
        assert event.data["number"] == "A-1"
    with pytest.raises(ConfigurationError, match="nothing says where the bus is"):
        application()


def test_validity_follows_the_bus_clock() -> None:
    """Before the first day and after the last one nothing is delivered; days begin in the bus's time zone."""
    moment = datetime(2026, 5, 31, 15, 59, tzinfo=UTC)
    bus = Bus(
        models=[Model],
        agreements=[agreement(valid={"from": date(2026, 6, 1), "until": date(2026, 6, 1)})],
        timezone="Asia/Shanghai",
        now=lambda: moment,
    )
    delivered = []
    for step in (timedelta(), timedelta(minutes=1), timedelta(hours=23, minutes=59), timedelta(minutes=1)):
        moment += step
        with bus.publisher("kin.registry") as publisher:
            publisher.publish(person(), CONTRACT)
        delivered.append(len(bus.records(f"sub.kin.school.{CHANNEL}")))
    assert delivered == [0, 1, 2, 2]


def test_agreements_come_and_go_while_it_runs() -> None:
    """What was delivered stays."""
    bus = Bus(models=[Model])
    with bus.publisher("kin.registry") as publisher:
        publisher.publish(person(1), CONTRACT)
        bus.grant(agreement())
        publisher.publish(person(2), CONTRACT)
        bus.revoke("persons-to-school")
        publisher.publish(person(3), CONTRACT)
    assert [record.key() for record in bus.records(f"sub.kin.school.{CHANNEL}")] == [b"A-2"]
    assert sorted(data["number"] for _, data in bus.published(CONTRACT)) == ["A-1", "A-2", "A-3"]


def test_pseudonyms_are_stable_and_keyed_by_agreement() -> None:
    """The same person is the same pseudonym under one agreement, another one under another."""
    other = agreement(id="persons-to-pool", channel="pool")
    bus = Bus(models=[Model], agreements=[agreement(), other])
    with bus.publisher("kin.registry") as publisher:
        publisher.publish(person(1), CONTRACT)
        publisher.publish(person(2), CONTRACT)
    found = []
    for channel in (CHANNEL, "pool"):
        with bus.subscription("kin.school", channel, from_beginning=True, idle_timeout=0.0) as subscription:
            found.append({event.data["person"]["identity_number"] for event in subscription})
    assert [len(one) for one in found] == [1, 1]
    assert found[0] != found[1]


def test_what_cannot_be_transformed_is_quarantined_with_its_reason() -> None:
    """Whole, and with the agreement that failed; other agreements' deliveries are not touched."""
    broken = agreement(
        id="by-code",
        channel="codes",
        fields=[{"field": "number"}, {"field": "region", "transform": "map", "code_list": "regions", "to": "name"}],
    )
    bus = Bus(
        models=[Model],
        agreements=[broken, agreement()],
        code_lists={"regions": [{"symbol": "140000", "code": "14", "name": "Shanxi"}]},
    )
    with bus.publisher("kin.registry") as publisher:
        publisher.publish(person(), CONTRACT)
    (one,) = bus.quarantined(CONTRACT)
    assert (one.reason, one.agreement, one.record.key()) == ("transform_failed", "by-code", b"A-1")
    assert len(bus.records(f"sub.kin.school.{CHANNEL}")) == 1
    assert bus.quarantined("kin.registry.other") == []


def test_a_directory_of_declarations_is_all_that_is_needed() -> None:
    """Contracts, agreements, code lists and time zone as ``hutong check`` reads them."""
    bus = Bus(FI)
    assert "sub.kela.population" in bus._log.topics
    assert bus._zone.key == "Europe/Helsinki"


def test_wrong_declarations_are_said() -> None:
    """An agreement on what is not there, and one that does not suit its contract."""
    with pytest.raises(UnknownContract, match=r"kin\.registry\.nothing"):
        Bus(models=[Model], agreements=[agreement(contract="kin.registry.nothing")])
    with pytest.raises(DeclarationError):
        Bus(models=[Model], agreements=[agreement(fields=[{"field": "nothing"}])])
