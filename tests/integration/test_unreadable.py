"""A department sends what nobody can unpack: twenty kilobytes that stand for 150 megabytes. The line moves on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer

from hutong import Publisher
from hutong.event import Attributes, header, source_of
from hutong.home import Home
from hutong.kafka.scan import Scan
from hutong.kafka.settings import Settings
from hutong.recovery.record import headers_of
from tests.behaviour.line import MOVED, move
from tests.integration.routers import Start, await_true, hutong
from tests.integration.test_router import STATISTICS, ends, ids, read

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]

TOPIC, QUARANTINE = f"pub.{MOVED}", f"quarantine.{MOVED}"


def settings(home: Home, principal: str) -> Settings:
    return Settings.resolve(principal, {"HUTONG_HOME": str(home.root)})


def send_bombs(home: Home, partition: int, count: int) -> list[tuple[int, int]]:
    """Events that are sent together with an ordinary client; their partitions and offsets."""
    places: list[tuple[int, int]] = []
    large = {"message.max.bytes": 1_000_000_000, "queue.buffering.max.kbytes": 2_000_000, "linger.ms": 500}
    packed = {"compression.type": "zstd", "batch.size": 1_000_000_000}
    producer = Producer(settings(home, "dvv").client() | large | packed)
    headers = Attributes(id="bomb", source=source_of("dvv"), type=MOVED, time=datetime.now(UTC)).to_headers()
    for _ in range(count):
        producer.produce(
            TOPIC,
            bytes(150_000_000 // count),
            b"key",
            partition,
            headers=headers,  # type: ignore[arg-type]
            on_delivery=lambda error, one: places.append((one.partition() or 0, one.offset() or 0)) if error is None else None,
        )
    producer.flush(60)
    assert len(places) == count
    return sorted(places)


@pytest.mark.parametrize("native", ["1", pytest.param("0", marks=pytest.mark.long)], ids=["fast lane", "python"])
def test_what_nobody_can_unpack_is_quarantined_and_the_line_moves_on(home: Home, start: Start, native: str) -> None:
    """Events before and behind it arrive, on its partition and on others, each once; what is lost is known by its place."""
    since, quarantined = ends(home, STATISTICS), ends(home, QUARANTINE)
    with Publisher("dvv", settings=settings(home, "dvv")) as dvv:
        handles = [dvv.publish(move(n), MOVED) for n in range(1, 21)]
        partition = handles[0].result(30)[1]
    sent = [one.event_id for one in handles]
    together, alone = send_bombs(home, partition, 3), send_bombs(home, partition, 1)
    with Publisher("dvv", settings=settings(home, "dvv")) as dvv:
        sent += [dvv.publish(move(n), MOVED).event_id for n in range(1, 21)]
    router = start(f"n{native}", HUTONG_ROUTER_NATIVE=native).await_ready()
    await_true(lambda: len(read(home, STATISTICS, since)) >= len(sent), "all other events are delivered", 60)
    assert sorted(ids(read(home, STATISTICS, since))) == sorted(sent)
    noted = [
        (header(one.headers(), "hutong_reason"), header(one.headers(), "hutong_source"))
        for one in read(home, QUARANTINE, quarantined)
    ]
    assert sorted(noted) == sorted(
        (b"unreadable_batch", f"{TOPIC}/{partition}/{offset}".encode()) for partition, offset in (together[0], alone[0])
    )
    assert router.metric("hutong_router_quarantined_total", reason="unreadable_batch") == 4
    assert router.process.poll() is None


def test_commands_read_past_it(home: Home) -> None:
    """Looking for an event, and what lies in quarantine, do not stop before it."""
    with Publisher("dvv", settings=settings(home, "dvv")) as dvv:
        partition = dvv.publish(move(1), MOVED).result(30)[1]
        (place,) = send_bombs(home, partition, 1)
        behind = dvv.publish(move(1), MOVED)
        assert behind.result(30)[1:] > place
    scan = Scan(settings(home, "operator"))
    found = [header(headers_of(one), "ce_id") for one in scan.records(scan.stretches([TOPIC]))]
    assert behind.event_id.encode() in found
    assert scan.record((TOPIC, place[0]), place[1]) is None
    assert "unreadable_batch" in hutong(home, "quarantine", "list", codes=(0, 1))
