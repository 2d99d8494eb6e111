"""What must not be found where it does not belong: personal values in every form that a log, a page or a header could hold them.

Pure. Neighbours: ``personal`` has the places to look through.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote, quote_plus

__all__ = ["Found", "Needles"]

_SHORTEST = 6  # bytes; anything shorter stands somewhere by chance
_PIECE = 1 << 20


class Found(NamedTuple):
    """A value that was found. It says which without showing it.

    Attributes:
        what: what kind of value.
        number: its place among those of its kind.
        form: how it was written there.
    """

    what: str
    number: int
    form: str


class Needles:
    """Values to look for, all at once.

    Args:
        values: what kind of value -> identity numbers, names, telephone numbers, addresses.
    """

    def __init__(self, values: Mapping[str, Iterable[str]]) -> None:
        self._by_start: dict[bytes, list[tuple[bytes, Found]]] = {}
        self._longest = 0
        for what, some in values.items():
            for number, value in enumerate(dict.fromkeys(some)):
                if len(value.encode()) < _SHORTEST:
                    raise ValueError(f"{what} value {number} is too short to be told from chance")
                for form, written in _forms(value):
                    self._by_start.setdefault(written[:_SHORTEST], []).append((written, Found(what, number, form)))
                    self._longest = max(self._longest, len(written))

    def search(self, data: bytes) -> set[Found]:
        """All that stands somewhere in these bytes."""
        found: set[Found] = set()
        for begin in range(0, len(data), _PIECE):
            piece = data[begin : begin + _PIECE + self._longest]
            starts = {piece[at : at + _SHORTEST] for at in range(len(piece) - _SHORTEST + 1)}
            for start in starts & self._by_start.keys():
                found.update(one for written, one in self._by_start[start] if _stands_in(written, piece))
        return found


def _stands_in(written: bytes, piece: bytes) -> bool:
    """Whether it stands there; digits within more digits are another number, a time or an offset."""
    if not written.isdigit():
        return written in piece
    return re.search(rb"(?<![0-9])" + written + rb"(?![0-9])", piece) is not None


def _forms(value: str) -> Iterator[tuple[str, bytes]]:
    """How a value may be written, each way once."""
    raw = value.encode()
    seen: set[bytes] = set()
    for form, written in _all_forms(value, raw):
        if len(written) >= _SHORTEST and written not in seen:
            seen.add(written)
            yield form, written


def _all_forms(value: str, raw: bytes) -> Iterator[tuple[str, bytes]]:
    yield "as it is", raw
    yield "lower case", value.lower().encode()
    yield "upper case", value.upper().encode()
    yield "GB 18030", value.encode("gb18030")
    yield "UTF-16", value.encode("utf-16-be")
    escaped = json.dumps(value)[1:-1]
    yield "JSON escapes", escaped.encode()
    yield "JSON escapes, upper case", escaped.upper().replace("\\U", "\\u").encode()
    yield "JSON escapes, twice", json.dumps(escaped)[1:-1].encode()
    yield "bytes as Python writes them", repr(raw)[2:-1].encode()
    yield "bytes as Python writes them, in JSON", json.dumps(repr(raw)[2:-1])[1:-1].encode()
    yield "percent", quote(value, safe="").encode()
    yield "percent, lower case", quote(value, safe="").lower().encode()
    yield "percent, of a form", quote_plus(value).encode()
    yield "hexadecimal", raw.hex().encode()
    yield "hexadecimal, upper case", raw.hex().upper().encode()
    for hashed in ("md5", "sha1", "sha256"):  # numbers can be tried out, so a hash of one tells it
        yield hashed, hashlib.new(hashed, raw, usedforsecurity=False).hexdigest().encode()
    for offset in range(3):  # wherever it begins in what was encoded
        yield f"Base64 at {offset}", _base64(raw, offset)
        yield f"Base64 at {offset}, for addresses", _base64(raw, offset).translate(bytes.maketrans(b"+/", b"-_"))


def _base64(raw: bytes, offset: int) -> bytes:
    """The characters that only these bytes decide, whatever stands around them."""
    whole = base64.b64encode(bytes(offset) + raw)
    first = -(-offset * 8 // 6)
    last = (offset + len(raw)) * 8 // 6
    return whole[first:last]
