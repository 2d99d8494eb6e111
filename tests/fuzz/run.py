"""Mutated values through the extension, each that it takes through the reference too, and what there is to say of them.

The extension may hand any value back. What it takes must be what the reference takes, and its deliveries must have the
reference's bytes. Only where the value has a form that fastavro would not have written (an array in several blocks, a decimal
with a byte too many) may the bytes differ, since copied fields keep their form: then the data must be equal.
"""

from __future__ import annotations

import io
import random
import time
from dataclasses import dataclass
from typing import Any

import fastavro

from hutong.agreements.plan import Plan
from hutong.contracts.framing import FRAME_BYTES, frame
from hutong.errors import MalformedEvent
from tests.fuzz.corpus import Target
from tests.fuzz.mutations import mutated

__all__ = ["MAX_SECONDS", "Difference", "Summary", "run"]

MAX_SECONDS = 0.05
"""Processor time of one call, over values of at most some thousand bytes; a usual one takes some microseconds."""

_FRAME = frame(7)


class Difference(Exception):
    """The two transcoders do not agree, or a call took too long."""


@dataclass(slots=True)
class Summary:
    """What became of the values.

    Attributes:
        values: how many there were.
        taken: those that the extension did.
        deliveries: what it made of them.
        reformed: deliveries that are equal as data, of values in a form of their own.
        slowest: the longest call, in seconds of processor time.
        growth: the most bytes of deliveries per byte of value and plan.
    """

    values: int = 0
    taken: int = 0
    deliveries: int = 0
    reformed: int = 0
    slowest: float = 0.0
    growth: float = 0.0


def run(targets: list[Target], count: int, rng: random.Random, summary: Summary) -> None:
    """Mutate and compare so many values.

    Raises:
        Difference: with all that is needed to see it again.
    """
    for _ in range(count):
        target = rng.choice(targets)
        at = rng.randrange(len(target.bodies))
        body = target.bodies[at]
        if rng.random() > 0.02:  # a few stay as they are
            body = mutated(body, target.bodies, rng)
        try:
            _compare(target, target.keys[at], _FRAME + body, summary)
        except Difference as difference:
            raise Difference(f"{difference}\n{target.event.schema}\nkey {target.keys[at]!r}\nvalue {body.hex()}") from None


def _compare(target: Target, key: bytes, value: bytes, summary: Summary) -> None:
    began = time.thread_time()
    made = target.native.native.transcode(key, value, 1, 1)
    seconds = time.thread_time() - began
    summary.values += 1
    summary.slowest = max(summary.slowest, seconds)
    if seconds > MAX_SECONDS:
        raise Difference(f"a call took {seconds:.3f} s")
    if made is None:
        return
    summary.taken += 1
    plans = target.native.plans
    mine = sorted(((plans[number].agreement, out_key, out) for number, out_key, out in made), key=_first)
    try:
        outputs, failures = target.reference.transcode(key, value, (1, 1))
    except MalformedEvent as error:
        raise Difference(f"the extension took what is malformed: {error}") from None
    if failures:
        raise Difference(f"the extension took what fails: {failures[0]}")
    theirs = sorted(((o.plan.agreement, o.key, o.value) for o in outputs), key=_first)
    summary.deliveries += len(mine)
    if plans:
        summary.growth = max(summary.growth, sum(len(out) for *_, out in mine) / len(value) / len(plans))
    if mine != theirs:
        summary.reformed += _equal_as_data(target, value, mine, theirs)


def _first(delivery: tuple[str, bytes, bytes]) -> str:
    return delivery[0]


def _equal_as_data(target: Target, value: bytes, mine: list[Any], theirs: list[Any]) -> int:
    """How many deliveries differ in their form alone."""
    body = value[FRAME_BYTES:]
    if target.event.encode(target.event.decode(body)) == body:
        raise Difference("the value has its usual form, and the deliveries are not equal")
    plans = {plan.agreement: plan for plan in target.native.plans}
    differing = 0
    if [one[:2] for one in mine] != [one[:2] for one in theirs]:
        raise Difference("other agreements or keys")
    for (agreement, _, first), (_, _, second) in zip(mine, theirs, strict=True):
        if first != second:
            differing += 1
            if _data(plans[agreement], first) != _data(plans[agreement], second):
                raise Difference(f"the data under {agreement} are not equal")
    return differing


def _data(plan: Plan, value: bytes) -> str:
    """As text, in which a number that is none is equal to itself."""
    body = io.BytesIO(value[FRAME_BYTES:])
    data = fastavro.schemaless_reader(body, plan.delivery.root, None, return_record_name=True)
    return f"{data!r} {body.read()!r}"
