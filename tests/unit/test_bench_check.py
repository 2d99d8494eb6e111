"""No wrong output gets a time: each way in which deliveries can be wrong is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.cases import CASES
from bench.check import Expected, Wrong
from bench.workload import Delivered, untraced
from tests.unit.test_bench_workload import declared_of

CASE = CASES["fan-out-3-small"].scaled(0.0001)
DECLARED = declared_of(CASE)


def right() -> list[Delivered]:
    """All deliveries of the case."""
    return [one for number in range(CASE.events) for one in DECLARED.workload.expected(number, DECLARED.by_region)]


def test_right_output_passes_in_any_order() -> None:
    """Topics are read side by side."""
    expected = Expected(DECLARED, copies=False)
    assert expected.total == CASE.events * 3
    assert expected.compare(reversed(right()), exactly_once=True) == 0


DOCTORED: dict[str, tuple[Callable[[Delivered], Delivered], str]] = {
    "value": (lambda one: one._replace(value=one.value[:-1] + b"\x02"), "value is"),
    "key": (lambda one: one._replace(key=b"P1"), "key is"),
    "header": (lambda one: one._replace(headers=(*one.headers[:4], *one.headers[5:])), "headers is"),
    "order of headers": (lambda one: one._replace(headers=one.headers[::-1]), "headers is"),
    "agreement": (
        lambda one: one._replace(headers=(*one.headers[:-1], ("ce_agreement", b"another"))),
        "nobody expects this delivery",
    ),
}


@pytest.mark.parametrize("what", DOCTORED)
def test_a_doctored_delivery_is_refused(what: str) -> None:
    """One of all, wrong in one part; the message says in which."""
    doctor, words = DOCTORED[what]
    found = right()
    found[500] = doctor(found[500])
    with pytest.raises(Wrong, match=words):
        Expected(DECLARED, copies=False).compare(found, exactly_once=True)


def test_a_delivery_on_another_destination_is_refused() -> None:
    """What one recipient may have is not another's."""
    found = right()
    found[0] = found[0]._replace(topic=found[1].topic)
    with pytest.raises(Wrong, match="topic is"):
        Expected(DECLARED, copies=False).compare(found, exactly_once=True)


def test_a_missing_delivery_is_refused() -> None:
    """Also where all the others are right."""
    with pytest.raises(Wrong, match="1 of 1000 deliveries are missing"):
        Expected(DECLARED, copies=False).compare(right()[1:], exactly_once=False)


def test_a_repetition_is_refused_where_exactly_once_is_promised() -> None:
    """Elsewhere it is counted."""
    expected, found = Expected(DECLARED, copies=False), right()
    with pytest.raises(Wrong, match="came twice"):
        expected.compare([*found, found[7]], exactly_once=True)
    assert expected.compare([*found, found[7]], exactly_once=False) == 1


def test_a_copy_is_no_delivery_and_a_delivery_no_copy() -> None:
    """The raw copy is held to the event's own bytes, and nobody else is."""
    copies = [
        one for number in range(CASE.events) for one in DECLARED.workload.copied(number, DECLARED.frame, DECLARED.by_region)
    ]
    assert Expected(DECLARED, copies=True).compare(copies, exactly_once=True) == 0
    with pytest.raises(Wrong, match="value is"):
        Expected(DECLARED, copies=True).compare(right(), exactly_once=True)
    with pytest.raises(Wrong, match="value is"):
        Expected(DECLARED, copies=False).compare(copies, exactly_once=True)


def test_a_routers_own_spans_are_not_held_against_it() -> None:
    """With them the header names another span of the same trace; any other difference is as wrong as ever."""
    found = right()
    for at, one in enumerate(found):
        spans = tuple(
            (name, value[:36] + b"%016x" % at + value[52:] if name == "traceparent" else value) for name, value in one.headers
        )
        found[at] = one._replace(headers=spans)
    expected = Expected(DECLARED, copies=False)
    with pytest.raises(Wrong, match="headers is"):
        expected.compare(found, exactly_once=True)
    assert expected.compare(map(untraced, found), exactly_once=True) == 0
    found[5] = found[5]._replace(
        headers=(*found[5].headers[:6], ("traceparent", b"00-" + b"f" * 32 + b"-" + b"f" * 16 + b"-01"), *found[5].headers[7:])
    )
    with pytest.raises(Wrong, match="headers is"):
        expected.compare(map(untraced, found), exactly_once=True)
