"""Expressions are given no more of a case than they read, and say the same as on all of it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from hutong.agreements.cel import compile_expression
from hutong.flows.case import event_id
from hutong.flows.expressions import MEMO, compile_value
from hutong.flows.flow import Expression

_KNOWN = frozenset({"data", "answers", "question"})
_CASE: dict[str, Any] = {
    "data": {"a": 1, "b": {"c": 2.5, "d": None}, "list": [{"n": 1, "m": "x"}, {"n": 2, "m": None}], "gone": None},
    "answers": {"tax": {"total": 3.5, "late": False}, "land": None},
    "question": {"stage": "main", "a": "q"},
}


@pytest.mark.parametrize(
    "text",
    [
        "data.a",
        "data.b.c > 1.0 && answers.tax.total > data.b.c",
        "answers.land == null",
        "answers.land.total",
        "data.gone.x",
        "data.missing",
        "has(data.missing) || has(data.b)",
        "size(data)",
        "data == data && data.a == 1",
        "data.b == {'c': 2.5, 'd': null}",
        "'c' in data.b ? data.b['c'] : 0.0",
        "data['a'] + data.a",
        "data.list.filter(i, i.m != null).map(i, i.n)",
        "data.list.map(data, data.n)",
        "data.list.exists(answers, answers.n == 2) && answers.tax.late == false",
        "data.list[0].n + data.a",
        "data . b . c",
        "data.  b.c",
        "question.stage == 'data.zzz' ? 'answers.x' : data.b.c > 2.0 ? 'm' : 'n'",
        "data.b.c.d",
        "data.a.startsWith('x')",
        "question.a.startsWith('q') && question.a.size() == 1",
        "(answers).tax.total",
        "[answers.tax.total, data.a].size() == 2",
    ],
)
def test_a_part_of_a_case_says_the_same_as_all_of_it(text: str) -> None:
    """Values, and that there is none."""

    def outcome(value: Any) -> Any:
        try:
            return value(_CASE)
        except ValueError as error:
            return str(error)

    assert outcome(compile_value(Expression(cel=text), _KNOWN)) == outcome(compile_expression(text, _KNOWN, converted=True))


def test_what_is_remembered_is_only_what_all_questions_share() -> None:
    """An expression over the question itself is worked out for each."""
    memo: dict[Any, Any] = {}
    shared, own = (compile_value(Expression(cel=text), _KNOWN) for text in ("data.a + 1", "question.a + 'x'"))
    assert (shared({**_CASE, MEMO: memo}), own({**_CASE, MEMO: memo})) == (2, "qx")
    assert list(memo) == [shared]
    assert own({**_CASE, "question": {"a": "r"}, MEMO: memo}) == "rx"


def test_ids_are_name_based_uuids() -> None:
    """Version 5, of the parts in the flows' own name space; ids that are on a bus already stay what they are."""
    space = uuid.uuid5(uuid.NAMESPACE_URL, "urn:hutong:flows")
    for parts in (("VER-1", "outcome", 1), ("VER-案", "progress", 7), *((n,) for n in range(50))):
        assert event_id(*parts) == str(uuid.uuid5(space, "/".join(map(str, parts))))
