"""Patterns of contracts: one that may take for ever is refused when it is declared, and no other is."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.contracts.backtracking import TooComplex, explodes
from tests.examples import examples

EXPLODING = [
    *("(a+)+$", "(a|a)*b", "^(([a-z])+.)+[A-Z]([a-z])+$", "(a*)*b", "(a|aa)+", "(.*a){20}", r"(\w+\s?)+", "([0-9]+)*", "(a+b?)+"),
    *(
        "((ab)*c?)*",
        "(x+x+)+y",
        "(.*)*x",
        "([a-z]{1,50}){1,50}",
        "(a?){30}",
        "([a-z]+.?)*@",
        "(a|b?){2,40}",
        "(?:a+?)+",
        "(?=(a+)+b)c",
    ),
]
HARMLESS = [
    *(
        "",
        "^[0-9]{3}$",
        "[A-Z]-[0-9]+",
        "([0-9]+-)*[0-9]+",
        "[a-z0-9]+(-[a-z0-9]+)*",
        "(a|b)*c",
        "[^@]+@[^@]+",
        "(ab)*",
        "a*b*c*",
    ),
    *(
        "(?:[A-Z]{2}[0-9]{2})+",
        r"\d{4}-\d{2}-\d{2}(T\d\d:\d\d)?",
        r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*",
        "(a{3})+",
        "^.{1,200}$",
        "(a?){3}",
    ),
    *("[0-9]{17}[0-9X]", "(a|b|cd)+x?", "([a-z]+,)+", "(,[a-z]+)*", r"[\u4e00-\u9fff]{2,20}(·[\u4e00-\u9fff]{1,20})*", "a??b*?"),
]


@pytest.mark.parametrize("pattern", EXPLODING)
def test_what_explodes_is_known(pattern: str) -> None:
    """The classics, and what people write by mistake."""
    assert explodes(pattern)


@pytest.mark.parametrize("pattern", HARMLESS)
def test_what_does_not_is_left_alone(pattern: str) -> None:
    """Repetitions with something between them, fixed lengths, numbers and names."""
    assert not explodes(pattern)


PATTERNS = st.recursive(
    st.sampled_from(["a", "b", "[ab]", ".", r"\w", "[^a]"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"])).map(lambda two: f"({two[0]}){two[1]}"),
    ),
    max_leaves=6,
)


@settings(max_examples=examples(300), deadline=None)
@given(PATTERNS)
def test_what_passes_ends_soon(pattern: str) -> None:
    """On texts that nearly fit, where an explosion would take 2^24 steps at least."""
    if explodes(pattern):
        return
    matcher = re.compile(pattern)
    for text in ("a" * 24 + "!", "ab" * 12 + "!", "b" * 24 + "!", "aab" * 8 + "!"):
        began = time.process_time()
        matcher.fullmatch(text)
        assert time.process_time() - began < 0.1


def test_judging_takes_no_time_itself() -> None:
    """Deep, wide and long patterns; one that is longer than is looked at is said to be."""
    began = time.process_time()
    assert explodes("(" * 90 + "a" + "+)" * 90)
    assert not explodes("(a|b|c|d|e|f|g)*" * 40)
    with pytest.raises(TooComplex):
        explodes("a*" * 500)
    assert time.process_time() - began < 1
