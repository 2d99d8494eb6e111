"""Ways to spoil Avro binary: what a broken, an outdated or a hostile writer may put on a topic."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from hutong.transcode.leaves import long_bytes

__all__ = ["mutated"]

_HUGE = [
    *(long_bytes(number) for number in (-(2**63), 2**63 - 1, 2**62, 2**40, 2**32, 2**31, -(2**31), 100_000, -100_000, -64, 64)),
    b"\xff" * 9 + b"\x01",  # 64 bits
    b"\xff" * 10,  # more than that
    b"\x80\x00",  # not the shortest form
]
_LONGEST = 3_000


def mutated(body: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A value with one mutation to three, not much longer than it was."""
    made = bytearray(body)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice(_MUTATIONS)(made, others, rng)
        del made[max(_LONGEST, len(body)) :]
    return bytes(made)


def _place(made: bytearray, rng: random.Random) -> int:
    return rng.randrange(len(made) + 1)


def _flip(made: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    if made:
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)


def _set(made: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    if made:
        made[rng.randrange(len(made))] = rng.randrange(256)


def _step(made: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    """The next number, symbol, branch or length."""
    if made:
        at = rng.randrange(len(made))
        made[at] = (made[at] + rng.choice((-2, 2))) % 256


def _cut(made: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    del made[_place(made, rng) :]


def _remove(made: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    at = _place(made, rng)
    del made[at : at + rng.randint(1, 8)]


def _insert(made: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    at = _place(made, rng)
    made[at:at] = rng.randbytes(rng.randint(1, 8))


def _huge(made: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    """A length, count or number that is not so."""
    at = _place(made, rng)
    made[at : at + rng.randint(0, 1)] = rng.choice(_HUGE)


def _nest(made: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    """Many times the same: levels of a recursive type, or items of nothing."""
    at = _place(made, rng)
    made[at:at] = rng.choice((b"\x02", b"\x00", b"\x04", b"\x02\x02", b"\x00\x02")) * rng.choice((10, 65, 70, 1_000))


def _repeat(made: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    at = _place(made, rng)
    made[at:at] = made[at : at + rng.randint(1, 30)]


def _splice(made: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    """The front of this value and the end of another."""
    other = rng.choice(others)
    del made[_place(made, rng) :]
    made.extend(other[rng.randrange(len(other) + 1) :])


def _noise(made: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    made[:] = rng.randbytes(rng.randint(0, 60))


_Mutation = Callable[[bytearray, Sequence[bytes], random.Random], None]
_MUTATIONS: list[_Mutation] = [
    *[_flip, _set, _step] * 8,
    *[_cut, _remove, _insert, _huge, _nest, _repeat, _splice] * 2,
    _noise,
]
