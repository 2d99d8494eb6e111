"""One suite for the in-memory bus and the real one: what a department publishes is what each ministry may see of it.

``tests/integration/test_straight_line.py`` runs every test of this file on the embedded broker.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count
from time import sleep, time_ns
from typing import Any

import pytest

from hutong import AsyncPublisher, AsyncSubscription
from hutong.errors import ConfigurationError, ContractViolation, NotAuthorised, UnknownContract
from hutong.event import Attributes, source_of
from tests.behaviour.line import MOVED, Line, collect, eventually, move, unique

_numbers = count(time_ns() // 1000)  # unique over runs: a real bus may be used twice


def publish(line: Line, *events: dict[str, Any], **options: Any) -> list[str]:
    with line.publisher("dvv") as publisher:
        handles = [publisher.publish(event, MOVED, **options) for event in events]
        return [handle.event_id for handle in handles]


def test_each_recipient_gets_what_its_agreement_grants(line: Line) -> None:
    """Fields, transforms and attributes, through nested arrays, from one event to two ministries."""
    number = next(_numbers)
    with line.subscription("kela", "population") as kela, line.subscription("stat", "moves-for-statistics") as stat:
        (event_id,) = publish(line, move(number))
        (benefit,) = collect(kela, 1)
        (statistic,) = collect(stat, 1)
    assert benefit.data["notice_number"] == number
    assert benefit.data["members"][0]["birth_year"] == 1952
    assert "received_at" not in benefit.data
    assert benefit.attributes.agreement == "moves-to-benefits"
    assert statistic.data["region"] == "000"
    assert statistic.data["month"] == "2026-05"
    assert statistic.data["household_size"] == 1
    assert statistic.data["country"] == "FI"
    assert len(statistic.data["members"][0]["person"]) == 64
    assert benefit.attributes.id == statistic.attributes.id == event_id
    assert benefit.attributes.source == source_of("dvv")


def test_a_correction_names_what_it_corrects(line: Line) -> None:
    """The recipient of the wrong event and of the right one can tell them together."""
    number = next(_numbers)
    with line.subscription("kela", "population") as kela:
        (wrong,) = publish(line, move(number))
        (right,) = publish(line, move(number), corrects=wrong)
        first, second = collect(kela, 2)
    assert (first.attributes.id, first.attributes.corrects) == (wrong, None)
    assert (second.attributes.id, second.attributes.corrects) == (right, wrong)


def test_rows_that_are_not_granted_do_not_arrive(line: Line) -> None:
    """The next event of the same key arrives, the one before it does not."""
    number = next(_numbers)
    with line.subscription("kela", "population") as kela:
        publish(line, move(number, municipality="853"), move(number, municipality="092"))
        assert [event.data["municipality"] for event in collect(kela, 1)] == ["092"]
        assert kela.poll(0.3) is None


def test_events_of_one_key_arrive_in_order(line: Line) -> None:
    """Many events over several keys: each key in the order of publishing, nothing lost, nothing twice."""
    keys = [next(_numbers) for _ in range(5)]
    events = [move(keys[i % 5], to_address={"street": str(i), "postal_code": "00100", "country": "FI"}) for i in range(300)]
    with line.subscription("kela", "population") as kela:
        publish(line, *events)
        received = collect(kela, 300)
        assert kela.poll(0.3) is None
    assert len(received) == 300
    for i, key in enumerate(keys):
        streets = [int(e.data["to_address"]["street"]) for e in received if e.data["notice_number"] == key]
        assert streets == list(range(i, 300, 5))


def test_nothing_of_a_refused_event_arrives(line: Line) -> None:
    """A violation names the path; the event after it arrives."""
    number = next(_numbers)
    with line.subscription("kela", "population") as kela, line.publisher("dvv") as publisher:
        with pytest.raises(ContractViolation) as caught:
            publisher.publish(move(number, members=[{"hetu": "x", "role": "BOSS"}]), MOVED)
        assert caught.value.path.startswith("members[0].")
        publisher.publish(move(number), MOVED).result(30)
        assert [event.data["notice_number"] for event in collect(kela, 1)] == [number]


def test_what_a_department_may_not_publish(line: Line) -> None:
    """Another's contract, and one that is not there."""
    with line.publisher("kela") as publisher, pytest.raises(NotAuthorised):
        publisher.publish(move(1), MOVED)
    with line.publisher("dvv") as publisher, pytest.raises(UnknownContract):
        publisher.publish(move(1), "dvv.nothing_here")


def test_what_a_recipient_may_not_read(line: Line) -> None:
    """A channel that it has not, and a group that is another's."""
    with pytest.raises((NotAuthorised, ConfigurationError)):
        line.subscription("stat", "population").join(20)
    with pytest.raises(ConfigurationError):
        line.subscription("stat", "moves-for-statistics", group="kela.x")


def test_attributes_travel_unchanged(line: Line) -> None:
    """Id, time and trace context of the publisher are those of the delivery."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    moment = datetime(2026, 5, 4, 3, 2, 1, 5000, tzinfo=UTC)
    name = unique()
    with line.subscription("kela", "population") as kela:
        publish(line, move(next(_numbers)), id=name, time=moment, traceparent=trace)
        (event,) = collect(kela, 1)
    assert (event.attributes.id, event.attributes.time, event.attributes.traceparent) == (name, moment, trace)


def test_a_repeated_id_is_handed_out_once(line: Line) -> None:
    """The publisher tried again; the recipient does not notice."""
    number, name = next(_numbers), unique()
    with line.subscription("kela", "population") as kela:
        publish(line, move(number), id=name)
        publish(line, move(number), id=name)
        publish(line, move(number + 1))
        assert sorted(event.data["notice_number"] for event in collect(kela, 2)) == [number, number + 1]
        assert kela.poll(0.3) is None


def test_a_group_goes_on_after_what_it_has_processed(line: Line) -> None:
    """Processed events do not come again, the one in hand at a crash does."""
    group = f"kela.{unique()}"
    number = next(_numbers)
    with line.subscription("kela", "population", group=group) as kela:
        publish(line, *(move(number, to_address=move(0)["to_address"] | {"street": str(i)}) for i in range(5)))
        seen = [event.data["to_address"]["street"] for event in collect(kela, 2)]
    with pytest.raises(ZeroDivisionError), line.subscription("kela", "population", group=group) as kela:  # noqa: PT012
        seen += [event.data["to_address"]["street"] for event in collect(kela, 1)]
        _ = 1 / 0
    with line.subscription("kela", "population", group=group) as kela:
        rest = [event.data["to_address"]["street"] for event in collect(kela, 3)]
    assert seen == ["0", "1", "2"]
    assert rest == ["2", "3", "4"]


def test_a_new_group_can_begin_at_a_time(line: Line) -> None:
    """since: what was delivered before is not handed out."""
    before, after = next(_numbers), next(_numbers)
    with line.subscription("kela", "population") as kela:
        publish(line, move(before))
        (event,) = collect(kela, 1)
        sleep(0.01)
        publish(line, move(after))
        (later,) = collect(kela, 1)
    since = event.timestamp + timedelta(milliseconds=1)
    assert later.timestamp >= since
    with line.subscription("kela", "population", since=since) as kela:
        (first,) = collect(kela, 1)
    assert first.data["notice_number"] == after
    assert before != after


def test_from_beginning_reads_what_is_kept(line: Line) -> None:
    """A group that joins late gets it all."""
    number = next(_numbers)
    publish(line, move(number))
    with line.subscription("kela", "population", from_beginning=True) as kela:
        assert eventually(lambda: any(event.data.get("notice_number") == number for event in collect(kela, 1000, 0.1)))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda value, headers: (b"\1" + value[1:], headers), "not_framed"),
        (lambda value, headers: (b"\0\x7f\xff\xff\xff" + value[5:], headers), "unknown_schema"),
        (lambda value, headers: (value[:-3], headers), "undecodable"),
        (
            lambda value, headers: (
                value,
                [("ce_source", b"urn:hutong:kela") if k == "ce_source" else (k, v) for k, v in headers],
            ),
            "forged_source",
        ),
        (lambda value, headers: (value, headers[:2]), "not_a_cloudevent"),
    ],
    ids=["magic", "schema", "truncated", "forged", "headers"],
)
def test_a_record_that_is_no_event_is_quarantined_and_the_line_moves_on(line: Line, spoil: Any, reason: str) -> None:
    """Its reason is on it; the events around it arrive."""
    number = next(_numbers)
    value, headers = valid_record(line, number)
    bad_value, bad_headers = spoil(value, headers)
    with line.subscription("kela", "population") as kela:
        line.append(f"pub.{MOVED}", str(number).encode(), bad_value, bad_headers)
        publish(line, move(number))
        assert [event.data["notice_number"] for event in collect(kela, 1)] == [number]
        assert kela.poll(0.3) is None
    assert eventually(lambda: reason in " ".join(line.quarantined(MOVED, str(number).encode())))


def valid_record(line: Line, number: int) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The bytes that the SDK would send."""
    from hutong.contracts.framing import frame

    attributes = Attributes(id=unique(), source=source_of("dvv"), type=MOVED, time=datetime.now(UTC))
    with line.publisher("dvv") as publisher:
        publisher.prepare(move(number), MOVED)
        prepared = publisher._lines[MOVED]
    assert prepared.schema is not None
    schema_id = int.from_bytes(prepared.frame[1:], "big")
    return frame(schema_id) + prepared.schema.encode(prepared.schema.check(move(number))), attributes.to_headers()


def test_asyncio_does_the_same(line: Line) -> None:
    """Publish and receive within one event loop."""
    number = next(_numbers)

    async def main() -> list[int]:
        with line.publisher("dvv") as sync, line.subscription("kela", "population") as other:
            transports = sync._transport, other._transport
        publisher = AsyncPublisher("dvv", transport=transports[0])
        subscription = AsyncSubscription("kela", "population", transport=transports[1], group=f"kela.{unique()}")
        async with publisher, subscription:
            await asyncio.gather(*(publisher.publish(move(number + i), MOVED) for i in range(20)))
            found: list[int] = []
            async for event in subscription:
                found.append(event.data["notice_number"])
                if len(found) == 20:
                    break
            return found

    assert sorted(asyncio.run(asyncio.wait_for(main(), 60))) == list(range(number, number + 20))
