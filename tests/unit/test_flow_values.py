"""What a flow's file says about values: paths, CEL, trees, and the form that a contract wants."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.contracts.avro import parse
from hutong.errors import DeclarationError
from hutong.flows.expressions import compile_condition, compile_tree, compile_value, follow
from hutong.flows.flow import Duration, Expression
from hutong.flows.shape import compile_shape

NAMES = frozenset({"data", "answers"})


def value(text: str, **context: Any) -> Any:
    return compile_value(Expression(cel=text), NAMES)({"data": None, "answers": None, **context})


def test_a_path_that_leads_nowhere_is_null() -> None:
    """An answer may not be there yet; a value that is no mapping has nothing inside."""
    assert follow("a.b.c")({"a": {"b": {"c": 1}}}) == 1
    assert follow("a.b.c")({"a": {"b": None}}) is None
    assert follow("a.b")({"a": [1]}) is None
    assert follow("a")({}) is None


def test_no_value_gets_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """CEL itself logs that a function has failed, with all that its error says."""
    with caplog.at_level("DEBUG"), pytest.raises(ValueError, match="cannot be evaluated"):
        value("months(data.a, data.a)", data={"a": "x110105196001010017"})
    assert "110105" not in caplog.text


def test_a_sum_does_not_depend_on_the_order() -> None:
    """Of amounts whose sums differ in the last digit, taken one by one in another order."""
    amounts = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 1e16, "e": -1e16}
    assert {value("sum(data.map(k, data[k]))", data=amounts) for _ in range(50)} == {0.6}


@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        ("2026-01-15", "2026-04-15", 3),
        ("2026-01-15", "2026-04-14", 2),
        ("2026-04-15", "2026-01-15", -3),
        ("2025-12-31T10:00:00Z", "2026-01-01", 0),
        ("2026-01-31", "2026-02-28", 1),
        ("2026-03-31", "2026-04-30", 1),
        ("2026-03-31", "2026-04-29", 0),
    ],
)
def test_months_are_whole_ones(start: str, end: str, months: int) -> None:
    """Of dates and of times; backwards they are negative."""
    assert value("months(data.a, data.b)", data={"a": start, "b": end}) == months


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_months_and_days_agree_with_the_calendar(a: date, b: date) -> None:
    """A month has 28 to 31 days, and the way back is the negative of the way there."""
    dates = {"a": a.isoformat(), "b": b.isoformat()}
    months, days = value("months(data.a, data.b)", data=dates), value("days(data.a, data.b)", data=dates)
    assert days == (b - a).days
    assert abs(months) * 28 <= abs(days) < (abs(months) + 1) * 31
    assert value("months(data.b, data.a)", data=dates) == -months


def test_sums_leave_out_what_is_not_there() -> None:
    """Null counts as nothing."""
    assert value("sum(data)", data=[1, None, 2.5]) == 3.5


def test_a_condition_is_true_or_false() -> None:
    """Anything else, and anything that fails, is an error that names no value."""
    assert compile_condition("data.n > 1", NAMES)({"data": {"n": 2}})
    for text, data in (("data.n", {"n": 5}), ("data.n > 1", {"n": None}), ("data.m > 1", {"n": 5})):
        with pytest.raises(ValueError, match="CEL") as caught:
            compile_condition(text, NAMES)({"data": data})
        assert "5" not in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "field"),
    [
        ({"a": "elsewhere.b"}, "a"),
        ({"a": {"b": {"cel": "1 +"}}}, "a.b"),
        ({"a": {"b": {"cel": "other.x"}}}, "a.b"),
        ({"a": {"b": 5}}, "a.b"),
        ({"a": ["data"]}, "a"),
        ({"a": {"path": "data", "cel": "data"}}, "a"),
    ],
)
def test_a_wrong_tree_names_its_field(tree: dict[str, Any], field: str) -> None:
    """However deep it is."""
    with pytest.raises(DeclarationError) as caught:
        compile_tree(tree, NAMES)
    assert caught.value.field == field


def test_a_tree_makes_nested_records() -> None:
    """Constants, paths and expressions, each in its place."""
    tree = {"a": "data.x", "b": {"c": {"constant": 5}, "d": {"cel": "data.x + 1"}}}
    assert compile_tree(tree, NAMES)({"data": {"x": 1}}) == {"a": 1, "b": {"c": 5, "d": 2}}


def test_values_get_the_form_that_the_contract_wants() -> None:
    """Dates, times and decimals from JSON; a record takes just its own fields; what does not fit stays as it is."""
    money = {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}
    fields = {
        "day": {"type": "int", "logicalType": "date"},
        "at": {"type": "long", "logicalType": "timestamp-millis"},
        "paid": ["null", money],
        "count": "int",
        "rows": {"type": "array", "items": {"type": "record", "name": "Row", "fields": [{"name": "n", "type": "string"}]}},
        "by": {"type": "map", "values": money},
    }
    schema = {"type": "record", "name": "R", "fields": [{"name": name, "type": type_} for name, type_ in fields.items()]}
    shape = compile_shape(parse(schema))
    made = shape(
        {
            **{"day": "2026-03-02T10:00:00Z", "at": "2026-03-02T10:00:00Z", "paid": 12.345, "count": 3.0},
            **{"rows": [{"n": "x", "other": 1}], "by": {"a": 1}, "strange": 1},
        }
    )
    assert made == {
        **{"day": date(2026, 3, 2), "at": datetime(2026, 3, 2, 10, tzinfo=UTC), "paid": Decimal("12.35"), "count": 3},
        **{"rows": [{"n": "x"}], "by": {"a": Decimal("1.00")}},
    }
    wrong = {"day": "soon", "at": 0, "paid": "much", "count": 1.5, "rows": "none", "by": None}
    assert shape(wrong) == {**wrong, "at": datetime(1970, 1, 1, tzinfo=UTC)}


@pytest.mark.parametrize("wrong", [{}, {"days": 1, "hours": 1}, {"days": 0}, {"hours": None}, {"weeks": 1}, {"days": 9999}])
def test_a_duration_has_one_unit_within_bounds(wrong: dict[str, Any]) -> None:
    """None, two, nothing of one, an unknown one, or more than anybody can wait."""
    with pytest.raises(ValueError, match="validation error"):
        Duration.model_validate(wrong)
