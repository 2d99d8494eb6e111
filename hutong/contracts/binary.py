"""Avro binary of single values, for the functions that ``encoder`` generates: numbers, lengths, memos of what comes often.

All of it gives fastavro's bytes. Neighbours: ``encoder`` writes the code that calls these; the extension calls
them too, through ``extension``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import MAX_PREC, Context
from functools import cache
from io import BytesIO
from typing import Any

import fastavro

from hutong.contracts.avro import Schema
from hutong.contracts.values import Check

__all__ = [
    "LENGTHS",
    "Dates",
    "Memo",
    "decimal_writer",
    "leaf_writer",
    "lengths",
    "text_writer",
    "varint_writer",
]

LENGTHS = 1024
"""Lengths that have their bytes in a table; longer texts are rare, and what their length costs is little beside them."""

_EPOCH = date(1970, 1, 1).toordinal()
_REMEMBERED = 65_536  # days of 180 years, or every region code there ever was


@cache
def varint_writer() -> Callable[[int], bytes]:
    """A writer of Avro's ``int`` and ``long``: fourteen bits at a time from two tables, which are made when first needed."""
    go_on = tuple(bytes((n & 127 | 128, n >> 7 | 128)) for n in range(1 << 14))
    end = tuple(bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(1 << 14))

    def varint(number: int) -> bytes:
        rest = number << 1 if number >= 0 else (~number << 1) | 1
        if rest < 1 << 14:
            return end[rest]
        if rest < 1 << 28:
            return go_on[rest & 16383] + end[rest >> 14]
        out = b""
        while rest >= 1 << 14:
            out += go_on[rest & 16383]
            rest >>= 14
        return out + end[rest]

    return varint


@cache
def lengths(lead: bytes) -> tuple[bytes, ...]:
    """Behind ``lead``, the bytes of every length below ``LENGTHS``."""
    varint = varint_writer()
    return tuple(lead + varint(n) for n in range(LENGTHS))


class Memo(dict[Any, bytes]):
    """Value -> its bytes, worked out at first sight; what the work raises is raised and not remembered.

    Args:
        write: value -> bytes.
    """

    def __init__(self, write: Callable[[Any], bytes]) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, value: Any) -> bytes:
        found = self._write(value)
        if len(self) < _REMEMBERED:
            self[value] = found
        return found


class Dates(Memo):
    """The memo of Avro's ``date``."""

    def __init__(self, lead: bytes) -> None:
        varint = varint_writer()
        super().__init__(lambda day: lead + varint(day.toordinal() - _EPOCH))


def text_writer(lead: bytes, check: Check) -> Callable[[str], bytes]:
    """A writer of ``string``, behind its check."""
    varint = varint_writer()

    def write(value: str) -> bytes:
        encoded: bytes = check(value).encode()
        return lead + varint(len(encoded)) + encoded

    return write


def decimal_writer(schema: Schema, lead: bytes, check: Check) -> Callable[[Any], bytes]:
    """A writer of a decimal in ``bytes``."""
    precision, scale, varint = schema["precision"], schema.get("scale", 0), varint_writer()
    exactly = Context(prec=MAX_PREC)  # the process's own context rounds to 28 digits

    def write(value: Any) -> bytes:
        value = check(value)
        if len(value.as_tuple().digits) > precision:
            raise ValueError("fastavro counts zeros in front too, and refuses these")
        unscaled = int(value.scaleb(scale, exactly))
        size = (unscaled.bit_length() + 8) // 8
        return lead + varint(size) + unscaled.to_bytes(size, "big", signed=True)

    return write


def leaf_writer(schema: Schema, lead: bytes, check: Check) -> Callable[[Any], bytes]:
    """A writer for any type that holds no other, by way of its check and fastavro."""

    def write(value: Any) -> bytes:
        out = BytesIO()
        out.write(lead)
        fastavro.schemaless_writer(out, schema, check(value))
        return out.getvalue()

    return write
