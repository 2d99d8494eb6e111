"""Each transform on single values: what it takes, what it gives, and what it refuses."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from hutong.agreements.agreement import FieldGrant
from hutong.agreements.transforms import compile_transform, pseudonym
from hutong.errors import DeclarationError

SEX = {"sex": [{"symbol": "MALE", "code": "1", "zh": "男"}, {"symbol": "FEMALE", "code": "2", "zh": "女"}]}
ENUM = {"type": "enum", "name": "E", "symbols": ["MALE", "FEMALE"]}
DATE = {"type": "int", "logicalType": "date"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}


def transform(entry: dict[str, Any], schema: Any) -> Any:
    grant: Any = TypeAdapter(FieldGrant).validate_python({"field": "x", **entry})
    compiled = compile_transform(grant, schema, SEX, b"secret")
    assert compiled is not None
    return compiled


@pytest.mark.parametrize(
    ("entry", "schema", "value", "expected"),
    [
        ({"transform": "mask", "keep_first": 1}, "string", "张三丰", "张**"),
        ({"transform": "mask", "keep_first": 3, "keep_last": 2}, "string", "13800138000", "138******00"),
        ({"transform": "mask"}, "string", "", ""),
        ({"transform": "mask", "keep_first": 2, "keep_last": 2}, "string", "abcd", "****"),
        ({"transform": "generalise", "to": "year"}, DATE, date(1949, 12, 31), 1949),
        ({"transform": "generalise", "to": "month"}, DATE, date(949, 2, 1), "0949-02"),
        ({"transform": "generalise", "to": "day"}, MILLIS, datetime(2026, 11, 24, 23, 59, tzinfo=UTC), date(2026, 11, 24)),
        ({"transform": "generalise", "keep_first": 2, "pad": "0"}, "string", "140105", "140000"),
        ({"transform": "generalise", "keep_first": 2, "pad": "0"}, "string", "1", "1"),
        ({"transform": "generalise", "keep_first": 3}, "string", "140105", "140"),
        ({"transform": "generalise", "bands": [0, 500, 1000]}, MONEY, Decimal("-0.01"), "<0"),
        ({"transform": "generalise", "bands": [0, 500, 1000]}, MONEY, Decimal("499.99"), "0-500"),
        ({"transform": "generalise", "bands": [0, 500, 1000]}, "long", 500, "500-1000"),
        ({"transform": "generalise", "bands": [0, 500, 1000]}, "double", float("inf"), ">=1000"),
        ({"transform": "generalise", "bands": [0.1]}, "double", 0.1, ">=0.1"),
        ({"transform": "map", "code_list": "sex"}, ENUM, "FEMALE", "2"),
        ({"transform": "map", "code_list": "sex", "from": "code", "to": "zh"}, "string", "1", "男"),
    ],
)
def test_values(entry: dict[str, Any], schema: Any, value: Any, expected: Any) -> None:
    """The table of transforms."""
    assert transform(entry, schema).apply(value) == expected


@pytest.mark.parametrize(
    ("entry", "schema", "words"),
    [
        ({"transform": "mask"}, "long", "mask takes text"),
        ({"transform": "mask"}, {"type": "string", "logicalType": "uuid"}, "mask takes text"),
        ({"transform": "pseudonymise"}, "double", "pseudonymise takes"),
        ({"transform": "pseudonymise"}, DATE, "pseudonymise takes"),
        ({"transform": "generalise", "to": "year"}, "string", "takes a date or a timestamp"),
        ({"transform": "generalise", "keep_first": 2}, ENUM, "takes text"),
        ({"transform": "generalise", "bands": [1]}, DATE, "takes a number"),
        ({"transform": "map", "code_list": "none"}, ENUM, "no code list none"),
        ({"transform": "map", "code_list": "sex", "to": "fr"}, ENUM, "no column fr"),
        ({"transform": "map", "code_list": "sex"}, {"type": "enum", "name": "E", "symbols": ["MALE", "X"]}, "no entry for X"),
        ({"transform": "map", "code_list": "sex"}, "long", "map takes text or an enum"),
    ],
)
def test_types_that_a_transform_cannot_take(entry: dict[str, Any], schema: Any, words: str) -> None:
    """A transform that does not suit the field is a declaration's error, found before anything runs."""
    with pytest.raises(DeclarationError, match=words):
        transform(entry, schema)


@pytest.mark.parametrize(
    ("entry", "schema", "value"),
    [
        ({"transform": "map", "code_list": "sex"}, "string", "secret-value"),
        ({"transform": "generalise", "bands": [1]}, "double", float("nan")),
    ],
)
def test_a_value_that_cannot_be_taken_is_not_named(entry: dict[str, Any], schema: Any, value: Any) -> None:
    """The failure says why without the value."""
    with pytest.raises(ValueError, match=r".+") as caught:
        transform(entry, schema).apply(value)
    assert "secret-value" not in str(caught.value)


def test_pseudonym_is_the_published_hmac() -> None:
    """RFC 4231, test case 2."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert pseudonym(b"Jefe", "what do ya want for nothing?") == expected
    assert pseudonym(b"Jefe", b"what do ya want for nothing?") == expected


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*")), st.integers(0, 5), st.integers(0, 5))
def test_a_mask_keeps_the_length_and_never_the_whole(text: str, first: int, last: int) -> None:
    """At least one character of any text is hidden, and no more than asked for is shown. A hidden asterisk would not be seen."""
    masked = transform({"transform": "mask", "keep_first": first, "keep_last": last}, "string").apply(text)
    assert len(masked) == len(text)
    shown = [a for a, b in zip(text, masked, strict=True) if a == b]
    assert len(shown) <= first + last
    assert set(masked) - set(text) <= {"*"}
    assert not text or masked != text
