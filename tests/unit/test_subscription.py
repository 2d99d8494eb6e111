"""The subscription: order, commit after processing, repetitions, what cannot be read, and asyncio - on the in-memory bus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from hutong import AsyncSubscription, Subscription
from hutong.agreements.agreement import Agreement
from hutong.agreements.delivery import delivery_schema
from hutong.codegen.module import Root
from hutong.contracts.schema import EventSchema
from hutong.errors import ConfigurationError, MalformedEvent, NotAuthorised, RegistryUnavailable
from hutong.event import Attributes
from hutong.testing import Bus
from tests.samples import CHANNEL, CONTRACT, PERSON_REGISTERED, agreement, contract_root, generated, person

Model = generated(contract_root(PERSON_REGISTERED)).PersonRegistered
DELIVERY = delivery_schema(Agreement.model_validate(agreement()), EventSchema(PERSON_REGISTERED), {})
Delivered = generated(Root(title="D", schema=DELIVERY, base="Delivery", facts={"agreement": "persons-to-school"})).PersonsToSchool
TOPIC = f"sub.kin.school.{CHANNEL}"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 6, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bus(clock: Clock) -> Iterator[Bus]:
    with Bus(models=[Model], agreements=[agreement()], now=clock) as bus:
        yield bus


def publish(bus: Bus, *numbers: int, **options: Any) -> None:
    with bus.publisher("kin.registry") as publisher:
        for number in numbers:
            publisher.publish(person(number), CONTRACT, **options)


def numbers(subscription: Subscription[Any]) -> list[int]:
    return sorted(int(event.data["number"][2:]) for event in subscription)


def subscribe(**options: Any) -> Subscription[dict[str, Any]]:
    return Subscription("kin.school", CHANNEL, **({"idle_timeout": 0.0, "from_beginning": True} | options))


def test_an_event_arrives_as_its_agreement_makes_it(bus: Bus) -> None:
    """Attributes, key, place, and the granted fields only."""
    publish(bus, 1, id="e1")
    with subscribe() as subscription:
        event = subscription.poll()
        assert event is not None
        assert event.data["number"] == "A-1"
        assert event.data["person"]["name"] == "王**"
        assert event.data["person"]["born"] == 1949
        assert set(event.data) == {"number", "person"}
        assert (event.attributes.id, event.attributes.agreement, event.attributes.type) == ("e1", "persons-to-school", CONTRACT)
        assert (event.key, event.topic, event.timestamp) == ("A-1", TOPIC, datetime(2026, 6, 1, tzinfo=UTC))
        assert subscription.poll() is None


def test_a_model_makes_typed_data(bus: Bus) -> None:
    """``model`` is what codegen writes for the agreement; one of several is chosen by the record."""
    publish(bus, 1)
    for model in (Delivered, [Model, Delivered]):
        with Subscription(
            "kin.school", CHANNEL, model=model, from_beginning=True, group=f"kin.school.{id(model)}"
        ) as subscription:
            event = subscription.poll()
            assert event is not None
            assert event.data.person.name == "王**"


def test_a_model_of_another_record_is_refused(bus: Bus) -> None:
    """What the model cannot take is malformed, with its place."""
    publish(bus, 1)
    with (
        subscribe(model=[Model, Model]) as subscription,
        pytest.raises(MalformedEvent, match="none of the given models") as caught,
    ):
        subscription.poll()
    assert caught.value.place is not None
    assert caught.value.place[0] == TOPIC


def test_the_next_event_commits_the_one_before(bus: Bus) -> None:
    """What was in hand when the block failed comes again; what was done does not."""
    publish(bus, *range(1, 6))
    seen: list[str] = []
    with pytest.raises(ZeroDivisionError), subscribe() as subscription:  # noqa: PT012
        for event in subscription:
            seen.append(event.data["number"])
            if len(seen) == 3:
                _ = 1 / 0
    with subscribe() as subscription:
        rest = [event.data["number"] for event in subscription]
    assert seen[2] == rest[0]
    assert sorted(seen[:2] + rest) == [f"A-{n}" for n in range(1, 6)]


def test_leaving_the_loop_counts_the_last_event_as_processed(bus: Bus) -> None:
    """break, then close: the event in hand is done."""
    publish(bus, 1, 2)
    with subscribe() as subscription:
        first = next(iter(subscription))
    with subscribe() as subscription:
        assert [event.data["number"] for event in subscription] == [{"A-1": "A-2", "A-2": "A-1"}[first.data["number"]]]


def test_a_new_group_begins_at_the_end_unless_told_otherwise(bus: Bus, clock: Clock) -> None:
    """From now on, from the beginning, or since a time; a group that has a position goes on from it."""
    publish(bus, 1)
    clock.now += timedelta(hours=1)
    publish(bus, 2)
    with subscribe(from_beginning=False, group="kin.school.end") as subscription:
        publish(bus, 3)
        assert numbers(subscription) == [3]
    with subscribe(from_beginning=False, since=clock.now, group="kin.school.since") as subscription:
        assert numbers(subscription) == [2, 3]
    with subscribe(group="kin.school.end") as subscription:
        assert numbers(subscription) == []


def test_repetitions_are_left_out_by_source_and_id(bus: Bus) -> None:
    """The same id twice is handed out once, and counted; the memory is bounded."""
    for name in ("a", "b", "a"):
        publish(bus, 1, id=name)
    counted = REGISTRY.get_sample_value("hutong_duplicate_events_total", {"topic": TOPIC}) or 0
    with subscribe(group="kin.school.1") as subscription:
        assert [event.attributes.id for event in subscription] == ["a", "b"]
    assert REGISTRY.get_sample_value("hutong_duplicate_events_total", {"topic": TOPIC}) == counted + 1
    with subscribe(group="kin.school.2", remembered_ids=0) as subscription:
        assert len(list(subscription)) == 3
    with subscribe(group="kin.school.3", remembered_ids=1) as subscription:
        assert len(list(subscription)) == 3


def raw(bus: Bus, value: bytes | None, *, headers: list[tuple[str, bytes]] | None = None, key: bytes | None = b"A-1") -> None:
    attributes = Attributes(id="raw", source="urn:hutong:kin.registry", type=CONTRACT, time=datetime(2026, 1, 1, tzinfo=UTC))
    bus._log.append(TOPIC, key, value, attributes.to_headers() if headers is None else headers)


@pytest.mark.parametrize(
    ("value", "headers", "key", "reason"),
    [
        (None, None, b"k", "null_value"),
        (b"", None, b"k", "not_framed"),
        (b"\1\0\0\0\1xx", None, b"k", "not_framed"),
        (b"\0\0\0\x63\0xx", None, b"k", "unknown_schema"),
        (b"\0\0\0\0\2", None, b"k", "undecodable"),
        (b"\0\0\0\0\2\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", None, b"k", "undecodable"),
        (b"\0\0\0\0\2\x06A-1", [], b"k", "not_a_cloudevent"),
        (b"\0\0\0\0\2\x06A-1" + b"\0" * 2 + b"\x02a" + b"\x02" + b"tail", None, b"k", "undecodable"),
        (b"\0\0\0\0\2\x06A-1\0\0\0\0", None, b"\xff", "undecodable"),
    ],
)
def test_what_cannot_be_read_stops_or_is_skipped(
    bus: Bus, value: bytes | None, headers: list[tuple[str, bytes]] | None, key: bytes, reason: str
) -> None:
    """stop: the error has the place, and the next call meets the record again; skip: counted, and the line moves on."""
    raw(bus, value, headers=headers, key=key)
    publish(bus, 1)
    with subscribe(group="kin.school.stop") as subscription:
        for _ in range(2):
            with pytest.raises(MalformedEvent) as caught:  # noqa: PT012
                for event in subscription:
                    assert event.data["number"] == "A-1"
            assert caught.value.reason == reason
            assert caught.value.place is not None
            assert f"{TOPIC}[{caught.value.place[1]}] offset 0" in str(caught.value)
    with subscribe(group="kin.school.stop", on_undecodable="skip") as subscription:
        list(subscription)
    skipped = REGISTRY.get_sample_value("hutong_undecodable_events_total", {"topic": TOPIC}) or 0
    with subscribe(group="kin.school.skip", on_undecodable="skip") as subscription:
        assert numbers(subscription) == [1]
    assert REGISTRY.get_sample_value("hutong_undecodable_events_total", {"topic": TOPIC}) == skipped + 1


def test_a_registry_outage_raises_and_loses_nothing(bus: Bus) -> None:
    """The event whose schema could not be looked up is handed out by a later call."""
    publish(bus, 1)
    registry = bus.transport("kin.school").schemas()
    look_up = registry.by_id

    def away(schema_id: int) -> Any:
        raise RegistryUnavailable("away")

    with subscribe() as subscription:
        registry.by_id = away  # type: ignore[method-assign]
        with pytest.raises(RegistryUnavailable):
            subscription.poll()
        registry.by_id = look_up  # type: ignore[method-assign]
        assert subscription.poll() is not None


def test_members_of_a_group_share_the_partitions_and_hand_over(bus: Bus) -> None:
    """Every event is handed to one member; when a member leaves, the others go on where it was."""
    publish(bus, *range(1, 31))
    first, second = subscribe().join(), subscribe().join()
    some = [event.data["number"] for _ in range(5) if (event := first.poll())]
    theirs = [event.data["number"] for event in second]
    first.close()
    rest = [event.data["number"] for event in second]
    second.close()
    assert theirs
    assert sorted(some + theirs + rest) == sorted(f"A-{n}" for n in range(1, 31))


def test_a_recipient_may_commit_by_itself(bus: Bus) -> None:
    """Nothing is stored before ``commit``, not even on close; then exactly what was processed, or the last event too."""
    publish(bus, *range(1, 6))
    with subscribe(commit="manual") as subscription:
        assert len(list(subscription)) == 5
    with subscribe(commit="manual") as subscription:
        taken = [event.data["number"] for _ in range(3) if (event := subscription.poll())]
        subscription.commit()
    with subscribe(commit="manual") as subscription:
        again = [event.data["number"] for _ in range(2) if (event := subscription.poll())]
        subscription.commit(with_last=True)
    assert again[0] == taken[2]
    with subscribe() as subscription:
        assert len(list(subscription)) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"commit": "never"},
        {"since": datetime(2026, 1, 1)},
        {"since": datetime(2026, 1, 1, tzinfo=UTC), "from_beginning": True},
        {"on_undecodable": "ignore"},
        {"group": "kin.registry.theirs"},
        {"model": dict},
    ],
)
def test_options_that_make_no_sense_are_refused(bus: Bus, options: dict[str, Any]) -> None:
    """At once, before anything is read."""
    with pytest.raises(ConfigurationError):
        Subscription("kin.school", CHANNEL, **options)


def test_another_recipients_channel_cannot_be_read(bus: Bus) -> None:
    """Nor one that does not exist."""
    transport = bus.transport("kin.registry")
    with pytest.raises(NotAuthorised):
        Subscription("kin.school", CHANNEL, transport=transport).join()
    with pytest.raises(ConfigurationError, match="no such topic"):
        Subscription("kin.school", "nothing").join()


def test_a_closed_subscription_says_so(bus: Bus) -> None:
    """Closing twice does nothing."""
    subscription = subscribe()
    subscription.close()
    subscription.close()
    with pytest.raises(ConfigurationError, match="closed"):
        subscription.poll()


def test_asyncio_loses_no_event_when_a_poll_is_cancelled(bus: Bus) -> None:
    """A cancelled poll leaves its event to the next one."""

    async def main() -> None:
        async with AsyncSubscription("kin.school", CHANNEL, idle_timeout=0.2, from_beginning=True) as subscription:
            waiting = asyncio.create_task(subscription.poll(5))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await asyncio.to_thread(publish, bus, 1, 2, 3)
            found = sorted([event.data["number"] async for event in subscription])
            assert found == ["A-1", "A-2", "A-3"]
            await subscription.commit(with_last=True)

    asyncio.run(main())
