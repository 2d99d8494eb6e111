"""Wider, narrower or changed: what a plan says of an agreement's rows, held against every event of a small world."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from hutong.agreements.agreement import CelRow, FieldRow
from hutong.agreements.rows import compile_row
from hutong.contracts.avro import parse
from hutong.control.rows import compare_rows, row_text

EVENT = {"type": "record", "name": "E", "fields": [{"name": "n", "type": "int"}, {"name": "s", "type": "string"}]}
EVENTS = [{"n": n, "s": s} for n in range(6) for s in ("", "a", "ab", "abc", "b")]


def random_rows(rng: random.Random) -> Iterator[FieldRow]:
    for _ in range(rng.randint(0, 3)):
        yield rng.choice(
            [
                FieldRow(field="n", equals=rng.randint(0, 5)),
                FieldRow(field="s", equals=rng.choice(["a", "ab", "b"])),
                FieldRow(field="n", **{"in": tuple(rng.sample(range(6), rng.randint(1, 3)))}),
                FieldRow(field="s", prefix=rng.choice(["a", "ab", "b"])),
                FieldRow(field="n", at_least=rng.randint(0, 3), at_most=rng.randint(3, 5)),
                FieldRow(field="n", at_least=rng.randint(0, 5)),
            ]
        )


def passing(rows: tuple[FieldRow, ...]) -> set[int]:
    parsed = parse(EVENT)
    tests = [compile_row(row, parsed) for row in rows]

    def passes(event: Mapping[str, Any]) -> bool:
        return all(test(event) for test in tests)

    return {i for i, event in enumerate(EVENTS) if passes(event)}


def test_wider_and_narrower_are_never_wrong() -> None:
    """Whatever the comparison claims holds for every event; where it cannot tell, it says "changed"."""
    rng = random.Random(7)
    claims: dict[str | None, int] = {}
    for _ in range(3000):
        old, new = tuple(random_rows(rng)), tuple(random_rows(rng))
        claim = compare_rows(old, new)
        claims[claim] = claims.get(claim, 0) + 1
        before, after = passing(old), passing(new)
        assert claim != "narrower" or after <= before, (old, new)
        assert claim != "wider" or before <= after, (old, new)
        assert claim is not None or before == after, (old, new)
    assert min(claims[claim] for claim in ("wider", "narrower", "changed", None)) > 50


def test_expressions_are_compared_as_text() -> None:
    """The same expression is the same; another one is a change, since nobody can tell what it lets pass."""
    a, b = CelRow(cel="n > 1"), CelRow(cel="n > 2")
    assert compare_rows([a], [a]) is None
    assert compare_rows([a], [b]) == "changed"
    assert compare_rows([], [a]) == "narrower"


def test_conditions_are_told_in_words() -> None:
    """Every kind of condition has its sentence."""
    rows = [
        FieldRow(field="s", equals="a"),
        FieldRow(field="s", **{"in": ("a", "b")}),
        FieldRow(field="s", prefix="14"),
        FieldRow(field="n", at_least=1, at_most=5),
        CelRow(cel="n > 1"),
    ]
    words = ["s is a", "s is one of a, b", "s begins with 14", "n from 1 up to 5", "n > 1"]
    assert [row_text(row) for row in rows] == words
