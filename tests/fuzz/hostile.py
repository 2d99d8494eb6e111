"""What hostile people write: texts, numbers and trees with traps, and ways to spoil a document, a text or headers.

Neighbours: ``mutations`` spoils Avro binary; the modules of ``surfaces`` draw from both.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

__all__ = ["LONG", "NUMBERS", "TEXTS", "anything", "headers", "spoilt", "spoilt_bytes", "spoilt_text"]

LONG = 20_000

TEXTS = [
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\n",
        "\r\n",
        "\x1b[2J\x1b]0;x\x07",
        "\u202egnp.exe",
        "\ufeff",
        "\u2028",
        "é",
        "e\u0301",
        "\U0001f600",
    ),
    *("null", "true", "NaN", "Infinity", "-0", "0x1F", "1e999", "1_000", "9" * 30, "9" * 5_000, "__class__", "__proto__", "${x}"),
    *(
        "../../../etc/passwd",
        "/dev/zero",
        "%s%s%s%n",
        "{0.__class__}",
        "';--",
        "<!ENTITY x>",
        "a" * LONG,
        "\ud800",
        "\udfff\ud800",
    ),
    *("urn:hutong:dvv", "dvv.person_moved", "pub.dvv", "string", "record", "a.b.c.d.e", ".", "..", "|", "\\", '"', "'", "`"),
    *("(a+)+$", "(a|a)*b", "[", "(?P<x>", "^(([a-z])+.)+[A-Z]([a-z])+$", "2026-02-30", "9999-12-31T23:59:60Z", "0000-00-00"),
]

NUMBERS: list[Any] = [
    *(0, -1, 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400, -(10**400)),
    *(0.5, -0.0, 1e308, 5e-324, float("inf"), float("-inf"), float("nan"), True, False, None),
]


def anything(rng: random.Random, depth: int = 3) -> Any:
    """A value as JSON or YAML may hold it, and more."""
    choice = rng.random()
    if depth and choice < 0.15:
        return [anything(rng, depth - 1) for _ in range(rng.choice((0, 1, 2, 5)))]
    if depth and choice < 0.3:
        return {rng.choice(TEXTS)[:100]: anything(rng, depth - 1) for _ in range(rng.choice((0, 1, 2, 5)))}
    if choice < 0.33:
        return _nested(rng)
    return rng.choice(TEXTS) if choice < 0.7 else rng.choice(NUMBERS)


def _nested(rng: random.Random) -> Any:
    made: Any = 0
    kind = rng.randrange(2)
    for _ in range(rng.choice((10, 65, 101, 200))):
        made = {"a": made} if kind else [made]
    return made


def spoilt(document: Any, rng: random.Random) -> Any:
    """A copy with one to three parts changed, taken away, doubled or moved."""
    made = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 2, 3))):
        made = _spoil(made, rng)
    return made


def _spoil(document: Any, rng: random.Random) -> Any:
    places = list(_places(document))
    if not places or rng.random() < 0.01:
        return anything(rng)
    holder, key = rng.choice(places)
    other, other_key = rng.choice(places)
    match rng.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        case 2 if isinstance(holder, dict):
            holder[rng.choice(TEXTS)[:200]] = holder.pop(key)
        case 3:
            holder[key] = copy.deepcopy(other[other_key])
        case 4:
            holder[key] = [copy.deepcopy(holder[key])] * rng.choice((1, 2, 50))
        case _:
            holder[key] = anything(rng)
    return document


def _places(document: Any) -> Any:
    if isinstance(document, dict):
        for key, value in document.items():
            yield document, key
            yield from _places(value)
    elif isinstance(document, list):
        for at, value in enumerate(document):
            yield document, at
            yield from _places(value)


_PIECES = [
    *(
        "&a ",
        "*a",
        "!!python/object/apply:os.system ['x']",
        "!!binary ",
        "!x ",
        "<<: ",
        "? ",
        "- ",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
    ),
    *(
        "[",
        "]",
        "{",
        "}",
        ": ",
        ", ",
        "#",
        "|",
        ">",
        '"',
        "'",
        "\t",
        "\r",
        "\n",
        "[" * 150,
        "{a: " * 120,
        "- " * 150,
        '{"a":' * 120,
    ),
    *(
        '"\\ud800"',
        '"\\x1b[31m"',
        '"\\u0000"',
        "\x85",
        "\u2028",
        "1e999",
        "9" * 5_000,
        "-",
        "0",
        "NaN",
        ".inf",
        "0o17",
        "null",
        "x" * 5_000,
    ),
]


def spoilt_text(text: str, rng: random.Random) -> str:
    """A document's text with pieces put in, taken out, doubled or put elsewhere."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, length = rng.randrange(len(text) + 1), rng.choice((1, 1, 3, 10, 80))
        match rng.randrange(5):
            case 0:
                text = text[:at] + text[at + length :]
            case 1:
                text = text[:at] + text[at : at + length] * 2 + text[at + length :]
            case 2:
                other = rng.randrange(len(text) + 1)
                text = text[:at] + text[other : other + length] + text[at:]
            case 3:
                text = text[:at] + rng.choice(TEXTS) + text[at + rng.choice((0, length)) :]
            case _:
                text = text[:at] + rng.choice(_PIECES) + text[at + rng.choice((0, length)) :]
    return text


def spoilt_bytes(content: bytes, rng: random.Random) -> bytes:
    """Bytes with some of them changed, taken out, doubled or random."""
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, length = rng.randrange(len(made) + 1), rng.choice((1, 1, 4, 30))
        match rng.randrange(4):
            case 0:
                del made[at : at + length]
            case 1:
                made[at:at] = made[at : at + length]
            case 2:
                made[at : at + length] = rng.randbytes(length)
            case _:
                made[at:at] = rng.choice((b"\0", b"\xff", b"\r\n", b"\n", b'"', b",", b"\xed\xa0\x80", b"\xc0\xaf", b"A" * LONG))
    return bytes(made)


Headers = list[tuple[str, bytes | None]]

_VALUES: list[bytes | None] = [
    None,
    b"",
    b"\0",
    b"\xff\xfe",
    b"1.0",
    b"x" * 1_024,
    b"x" * 1_025,
    b"x" * 20_000,
    b"\xed\xa0\x80",
    "é".encode(),
]
_NAMES = [
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_specversion",
    "content-type",
    "traceparent",
    "tracestate",
    "ce_agreement",
]
_STRANGE = [
    "",
    "CE_ID",
    "ce_corrects",
    "hutong_reason",
    "hutong_replay",
    "hutong_source",
    "x",
    "n" * 10_000,
    "\0",
    "é",
    "ce_id\n",
]
_TIMES = [
    b"2026",
    b"2026-01-01",
    b"2026-01-01T00:00:00",
    b"2026-01-01T24:00:00Z",
    b"0000-01-01T00:00:00Z",
    b"2026-01-01T00:00:00+25:00",
]
_MORE_TIMES = [
    b"99999-01-01T00:00:00Z",
    b"2026-01-01T00:00:00.1234567Z",
    b"2026-W01-1T00:00:00Z",
    "２０２６-01-01T00:00:00Z".encode(),
    b"20260101T000000Z",
]


def headers(good: Sequence[tuple[str, bytes]], rng: random.Random) -> Headers:
    """Headers with one to three things wrong, or more than anybody takes."""
    made: Headers = list(good)
    for _ in range(rng.choice((1, 1, 2, 3))):
        match rng.randrange(8):
            case 0 if made:
                del made[rng.randrange(len(made))]
            case 1 if made:
                made.insert(rng.randrange(len(made) + 1), rng.choice(made))  # the same once more
            case 2 if made:
                at = rng.randrange(len(made))
                made[at] = (made[at][0], rng.choice(_VALUES))
            case 3:
                made.append((rng.choice(_NAMES), rng.choice(_VALUES)))
            case 4:
                made.append((rng.choice(_STRANGE), rng.choice(_VALUES)))
            case 5:
                made = [(name, rng.choice((*_TIMES, *_MORE_TIMES)) if name == "ce_time" else value) for name, value in made]
            case 6:
                made += [(f"x{number}", b"x" * rng.choice((0, 1, 300))) for number in range(rng.choice((50, 64, 65, 1_000)))]
            case _:
                rng.shuffle(made)
    return made
