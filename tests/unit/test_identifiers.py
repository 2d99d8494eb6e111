"""Numbers with a check digit: the quick checks in front of python-stdnum say what it says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.contracts.identifiers import _QUICK, _stdnum_checker, checker
from tests.examples import examples

LETTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"


@st.composite
def identity_numbers(draw: st.DrawFn) -> str:
    place = draw(st.sampled_from(["110105", "140105", "110000", "119999", "990000", "440103", "110229"]))
    day = draw(st.dates().map(lambda day: f"{day:%Y%m%d}") | st.from_regex(r"(19|20)[0-9]{6}", fullmatch=True))
    number = f"{place}{day:0>8}{draw(st.integers(0, 999)):03d}"
    return number + "10X98765432"[sum(int(digit) * (1 << 17 - i) for i, digit in enumerate(number)) % 11]


@st.composite
def credit_codes(draw: st.DrawFn) -> str:
    code = "91110105" + draw(st.text(LETTERS, min_size=9, max_size=9))
    return code + LETTERS[-sum(LETTERS.index(letter) * pow(3, i, 31) for i, letter in enumerate(code)) % 31]


def changed(draw: st.DataObject, number: str) -> str:
    place = draw.draw(st.integers(0, 17))
    return number[:place] + draw.draw(st.sampled_from(["", "0", "7", "x", "X", "I", " ", "-", "٣", "00"])) + number[place + 1 :]


@pytest.mark.parametrize(("name", "numbers"), [("cn.ric", identity_numbers()), ("cn.uscc", credit_codes())])
def test_a_quick_check_says_what_the_library_says(name: str, numbers: st.SearchStrategy[str]) -> None:
    """Valid ones, numbers with a wrong place, day, digit, form."""
    library = _stdnum_checker(name)
    quick = _QUICK[name](library)

    @settings(max_examples=examples(500), deadline=None)
    @given(numbers, st.data())
    def compare(number: str, data: st.DataObject) -> None:
        for text in (number, changed(data, number)):
            assert quick(text) == library(text)

    compare()


@pytest.mark.parametrize(("name", "number"), [("cn.ric", "11010519491231002X"), ("cn.uscc", "91110000600037341L")])
def test_a_valid_number_costs_the_library_nothing(name: str, number: str) -> None:
    """Once the library has told of the place, it is not asked about the number itself."""
    asked: list[str] = []
    library = _stdnum_checker(name)

    def counting(text: str) -> bool:
        asked.append(text)
        return library(text)

    quick: Callable[[str], bool] = _QUICK[name](counting)
    assert quick(number)
    assert number not in asked


def test_a_place_without_a_county_is_no_place_of_birth() -> None:
    """The library's register knows the province of a code that no county ever had; the check must not break on it."""
    body = "11999919900101001"
    digit = "10X98765432"[sum(int(digit) * (1 << 17 - i) for i, digit in enumerate(body)) % 11]
    assert not checker("cn.ric")(body + digit)
