"""What a Subscription does with deliveries that a replay has made, on the in-memory bus."""

from __future__ import annotations

from hutong.memory import MemoryRecord
from hutong.testing import Bus
from tests.samples import CHANNEL, CONTRACT, PERSON_REGISTERED, agreement, contract_root, generated, person

Model = generated(contract_root(PERSON_REGISTERED)).PersonRegistered
TOPIC = f"sub.kin.school.{CHANNEL}"


def deliver_again(bus: Bus, record: MemoryRecord, replay: str) -> None:
    """As a replay does: the same delivery with the replay's mark."""
    bus.append(TOPIC, record.key(), record.value(), [*record.headers(), ("hutong_replay", replay.encode())])


def test_a_period_is_handed_out_again_and_quarantine_once() -> None:
    """A period's events come though they were seen, once for each replay; an event out of quarantine comes if it was not seen."""
    with Bus(models=[Model], agreements=[agreement()]) as bus:
        with bus.publisher("kin.registry") as publisher:
            publisher.publish(person(1), CONTRACT)
        (record,) = bus.records(TOPIC)
        for replay in ("quarantine-1", "period-1", "period-1", "period-2", "quarantine-2"):
            deliver_again(bus, record, replay)
        with bus.subscription("kin.school", CHANNEL, idle_timeout=0.0, from_beginning=True) as subscription:
            assert [event.attributes.replay for event in subscription] == [None, "period-1", "period-2"]
        with bus.subscription("kin.school", CHANNEL, idle_timeout=0.0, from_beginning=True, group="kin.school.raw") as everything:
            everything_there = [event.attributes.id for event in everything]
        assert len(set(everything_there)) == 1
