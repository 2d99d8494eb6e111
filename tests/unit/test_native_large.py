"""Large values in hostile shapes: what a call costs follows the value's bytes, whatever its lengths and counts claim."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hutong.contracts.framing import frame
from hutong.transcode.leaves import long_bytes
from hutong.transcode.native.transcoder import NativeTranscoder, extension
from tests.fuzz.agreements import event_schema, native, plan, versions
from tests.fuzz.memory import at_most

pytestmark = pytest.mark.skipif(extension is None, reason="the extension hutong_native is not built")

SIZE = 900_000
MAX_SECONDS = 1.0  # of processor time; each of these takes a twentieth of that or less, and years where it grows with a square

TREE = {
    "type": "record",
    "name": "t.T",
    "fields": [{"name": "x", "type": ["null", "string"]}, {"name": "below", "type": {"type": "array", "items": "t.T"}}],
}
FIELDS = [
    {"name": "texts", "type": {"type": "array", "items": "string"}},
    {"name": "map", "type": {"type": "map", "values": "string"}},
    {"name": "grid", "type": {"type": "array", "items": {"type": "array", "items": {"type": "array", "items": "string"}}}},
    {"name": "nulls", "type": {"type": "array", "items": "null"}},
    {"name": "trees", "type": {"type": "array", "items": TREE}},
    {"name": "text", "type": "string"},
]
EMPTY = {"texts": b"\0", "map": b"\0", "grid": b"\0", "nulls": b"\0", "trees": b"\0", "text": b"\0"}


def transcoder() -> NativeTranscoder:
    event = event_schema({"type": "record", "name": "t.R", "fields": FIELDS})
    mask = {"transform": "mask", "keep_first": 1}
    first = plan("a", event, [{"field": name, "as": name, **mask} for name in ("texts", "map", "grid", "text")], [])
    second = plan("b", event, [{"field": "trees.x", **mask}, {"field": "nulls"}, {"field": "trees", "as": "all"}], [])
    assert first is not None
    assert second is not None
    made = native(event, versions(event, [first, second]))
    assert made.plans == [first, second]
    return made


def value(**parts: bytes) -> bytes:
    return frame(7) + b"\0" + b"".join((EMPTY | parts)[field["name"]] for field in FIELDS)


def block(count: int, body: bytes) -> bytes:
    return long_bytes(count) + body + b"\0"


def nested(levels: int) -> bytes:
    """A tree that goes down so far, one below the other, and at each level has many leaves."""
    below = b"\0"
    for _ in range(levels):
        leaves = SIZE // 64 // 2
        below = block(leaves + 1, b"\0\0" * leaves + b"\0" + below)
    return below


TAKEN = {
    "empty texts": value(texts=block(SIZE, b"\0" * SIZE)),
    "a block for each text": value(texts=b"\2\0" * (SIZE // 2) + b"\0"),
    "a map of as many keys": value(map=block(SIZE // 8, b"".join(b"\x0c%06d\0" % number for number in range(SIZE // 8)))),
    "empty lists of lists": value(grid=block(SIZE, b"\0" * SIZE)),
    "lists of one list of one text": value(grid=block(SIZE // 6, b"\2\2\2x\0\0" * (SIZE // 6))),
    "one list in one list": value(grid=block(1, block(1, block(SIZE // 2, b"\2x" * (SIZE // 2))))),
    "a wide and deep tree": value(trees=nested(20)),
    "one text": value(text=long_bytes(SIZE) + b"x" * SIZE),
    "one text of three bytes a character": value(text=long_bytes(SIZE // 3 * 3) + "文".encode() * (SIZE // 3)),
}
REFUSED = {
    "nulls without end": value(nulls=block(2**62, b"")),
    "nulls in many blocks": value(nulls=b"\2" * SIZE + b"\0"),
    "a negative count without end": value(nulls=long_bytes(-(2**63)) + b"\0\0"),
    "a text without end": value(text=long_bytes(2**62)),
    "texts without end": value(texts=long_bytes(2**62) + b"\0" * SIZE),
    "a tree without end": value(trees=b"\2\0" * (SIZE // 2)),
    "a block of a false length": value(texts=long_bytes(-SIZE) + long_bytes(2**62) + b"\0" * SIZE + b"\0"),
}


def call(made: NativeTranscoder, data: bytes) -> Any:
    """The result, within its time."""
    best = MAX_SECONDS
    for _ in range(3):
        began = time.thread_time()
        result = made.native.transcode(b"", data, 1, 1)
        best = min(best, time.thread_time() - began)
    assert best < MAX_SECONDS / 4
    return result


@pytest.mark.parametrize("name", TAKEN)
def test_a_valid_value_of_any_shape_takes_its_time(name: str) -> None:
    """Taken, in linear time, and into deliveries of the value's own size."""
    made = transcoder()
    deliveries = call(made, TAKEN[name])
    assert deliveries is not None
    assert len(deliveries) == 2
    assert sum(len(out) for *_, out in deliveries) < 4 * len(TAKEN[name])


@pytest.mark.parametrize("name", REFUSED)
def test_a_false_length_costs_nothing(name: str) -> None:
    """Handed back at once, and nothing was set aside for what is not there."""
    made = transcoder()
    with at_most(32 * 2**20):
        assert call(made, REFUSED[name]) is None
