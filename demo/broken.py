"""A careless raw producer: somebody with a department's password and no SDK, who writes garbage to the department's own topic.

Every kind of garbage that the router must put into quarantine, each once; how many were written is the source's own count.
Neighbours: ``act_two`` runs this, ``account`` expects each record in quarantine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

from confluent_kafka import Producer

from hutong.event import Attributes, new_event_id, source_of
from hutong.kafka.settings import Settings

__all__ = ["broken_records", "write_broken"]

_Record = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]


def broken_records(contract: str, sound: bytes) -> Iterator[_Record]:
    """Key, value and headers of each broken record; ``sound`` is the frame of the contract's schema."""
    department = contract.rpartition(".")[0]

    def headers(source: str = department) -> list[tuple[str, bytes]]:
        now = datetime.now(UTC)
        return Attributes(id=new_event_id(), source=source_of(source), type=contract, time=now).to_headers()

    yield b"1", b'{"name": "JSON instead of Avro"}', headers()  # wrong magic byte
    yield b"2", b"\x00\x7f\xff\xff\xff" + b"data", headers()  # a schema id that the registry does not have
    yield b"3", sound + b"\x02", headers()  # ends in the middle
    yield b"4", sound + b"\xff" * 40, headers()  # lengths beyond every limit
    yield b"5", None, headers()  # no value
    yield None, sound + b"\x02", headers()  # no key
    yield b"7", sound + b"\x02", headers(source="nobody.knows")  # says that it comes from somebody else
    yield b"8", sound + b"\x02", []  # says nothing about itself
    yield b"9", b"", headers()  # empty


def write_broken(settings: Settings, contract: str, frame: bytes) -> list[str]:
    """Write them all to a contract's topic.

    Returns:
        The event id that each says it has, empty where it says none; only of those that the brokers took.
    """
    producer = Producer(settings.client() | {"acks": "all"})
    taken: list[str] = []

    for key, value, headers in broken_records(contract, frame):
        event_id = dict(headers).get("ce_id", b"").decode()
        producer.produce(f"pub.{contract}", value, key, headers=list(headers), on_delivery=partial(_settled, taken, event_id))
    producer.flush(30)
    return taken


def _settled(taken: list[str], event_id: str, error: object, _: object) -> None:
    if error is None:
        taken.append(event_id)
