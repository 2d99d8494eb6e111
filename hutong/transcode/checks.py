"""The parts of the walk that are called, not generated: numbers, blocks, and the logical types' ranges.

Neighbours: ``walk`` writes calls of these; ``compiled`` reads numbers with them.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

__all__ = ["RANGES", "BadValue", "blocks", "decimal", "entries", "uuid_text", "varint"]

MAX_EMPTY_ITEMS = 64
"""Items of zero bytes (nulls, empty records) that an array may have: they cost time and memory that no byte pays for."""

RANGES = {
    ("date", "int"): (-719_162, 2_932_896, "a date is outside the years 1 to 9999"),
    ("time-millis", "int"): (0, 86_399_999, "a time of day is outside the day"),
    ("time-micros", "long"): (0, 86_399_999_999, "a time of day is outside the day"),
    ("timestamp-millis", "long"): (-62_135_596_800_000, 253_402_300_799_999, "a time is outside the years 1 to 9999"),
    ("timestamp-micros", "long"): (-62_135_596_800_000_000, 253_402_300_799_999_999, "a time is outside the years 1 to 9999"),
    ("local-timestamp-millis", "long"): (-62_135_596_800_000, 253_402_300_799_999, "a time is outside the years 1 to 9999"),
    ("local-timestamp-micros", "long"): (
        -62_135_596_800_000_000,
        253_402_300_799_999_999,
        "a time is outside the years 1 to 9999",
    ),
}
"""(logical type, type) -> smallest and largest number, and what is wrong beyond. Years 1 to 9999 are what ISO 8601 writes
without an agreement between the parties, and what readers' languages hold."""


class BadValue(Exception):
    """The bytes are no value of the schema; the message says why, without the value."""


def varint(data: bytes, position: int) -> tuple[int, int]:
    """A zig-zag number of at most 64 bits in its shortest form, and the position behind it."""
    shift = value = 0
    for byte in data[position : position + 10]:
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            if value >= 1 << 64:
                raise BadValue("a number has more than 64 bits")
            if byte == 0 and shift:
                raise BadValue("a number is not in its shortest form")
            return (value >> 1) ^ -(value & 1), position
        shift += 7
    raise BadValue("a number has more than 64 bits") if shift == 70 else IndexError


def blocks(data: bytes, position: int, depth: int, item: Callable[[bytes, int, int], int]) -> int:
    """An array's or map's blocks; the byte count of a negative block must be true."""
    size = len(data)
    empty = 0
    while True:
        count, position = varint(data, position)
        if count == 0:
            return position
        claimed = None
        if count < 0:
            claimed, position = varint(data, position)
            claimed += position
            count = -count
        for _ in range(count):
            before = position
            position = item(data, position, depth)
            if position > size:
                raise IndexError
            if position == before:
                empty += 1
                if empty > MAX_EMPTY_ITEMS:
                    raise BadValue(f"an array has more than {MAX_EMPTY_ITEMS} items without content")
        if claimed is not None and claimed != position:
            raise BadValue("a block's byte count is wrong")


def entries(data: bytes, position: int, depth: int, value: Callable[[bytes, int, int], int]) -> int:
    """A map's blocks; a key may come once, since one reader keeps the first of two values and another the last."""
    keys: set[bytes] = set()

    def entry(data: bytes, position: int, depth: int) -> int:
        length, position = varint(data, position)
        if length < 0:
            raise BadValue("a length is negative")
        key = data[position : position + length]
        if not key.isascii():
            key.decode()
        if key in keys:
            raise BadValue("a map has a key twice")
        keys.add(key)
        return value(data, position + length, depth)

    return blocks(data, position, depth, entry)


def decimal(unscaled: bytes, precision: int) -> None:
    """Whether a decimal's number has no more digits than its type says."""
    if abs(int.from_bytes(unscaled, "big", signed=True)) >= 10**precision:
        raise BadValue(f"a decimal has more than {precision} digits")


def uuid_text(text: bytes) -> None:
    """Whether a text is a UUID in the one form in which it is written: with hyphens, in lower case (RFC 9562, section 4)."""
    try:
        if len(text) == 36 and str(UUID(text.decode())) == text.decode():
            return
    except ValueError:
        pass
    raise BadValue("a UUID is not written in its usual form, in lower case")
