"""Counties with their GB/T 2260 codes, and the identity numbers that such a code may begin.

Real codes of ``gb2260``. An identity number carries the code of the place that issued it, and the check of ``python-stdnum``
knows from when to when each code existed; only pairs of code and birth year that it accepts are used here.
"""

from __future__ import annotations

import importlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from random import Random

__all__ = ["County", "Issuer", "check_digit", "counties", "identity_number", "issuers"]

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999
_CHECK = "10X98765432"
_COLLECTIVE = {"市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划"}  # headings of the register, nobody lives there


@dataclass(frozen=True, slots=True, kw_only=True)
class County:
    """A division of the third level, where people live.

    Attributes:
        code: six digits of GB/T 2260.
        name: the county's own name.
        full_name: province, prefecture (where there is one) and county.
    """

    code: str
    name: str
    full_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """A county code that identity numbers may begin with, for people born in ``first`` .. ``last`` (years)."""

    code: str
    first: int
    last: int


def check_digit(first17: str) -> str:
    """The 18th character of an identity number (ISO 7064, MOD 11-2)."""
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, first17, strict=True))
    return _CHECK[total % 11]


def identity_number(region: str, born: date, sequence: int) -> str:
    """An identity number; ``sequence`` is 1 .. 999, odd for men."""
    first17 = f"{region}{born:%Y%m%d}{sequence:03d}"
    return first17 + check_digit(first17)


@cache
def counties(province: str = "") -> tuple[County, ...]:
    """Every county of the newest revision that ``gb2260`` has, by code; or those whose code begins with ``province``."""
    if province:
        return tuple(county for county in counties() if county.code.startswith(province))
    register = _register()
    found = []
    for code, name in sorted(register.items()):
        if code.endswith("00") or name in _COLLECTIVE:
            continue
        parents = [register.get(code[:2] + "0000", ""), register.get(code[:4] + "00", "")]
        full_name = "".join(part for part in [*parents, name] if part not in _COLLECTIVE)
        found.append(County(code=code, name=name, full_name=full_name))
    return tuple(found)


class _Issuers:
    """Issuing counties by birth year, the nearest to a place first."""

    def __init__(self, known: Sequence[Issuer]) -> None:
        self._known = known
        self._by_year: dict[int, tuple[list[str], dict[str, list[str]]]] = {}

    def choose(self, random: Random, near: str, year: int) -> str:
        """A code for someone born in ``year`` and living at ``near``: of the same province where that is possible."""
        codes, by_province = self._of(year)
        same = by_province.get(near[:2])
        if same:
            return random.choice(same)
        # People move: a province without a fitting code draws from its neighbours in the order of the codes.
        return codes[(bisect_right(codes, near) + random.randrange(40)) % len(codes)]

    def _of(self, year: int) -> tuple[list[str], dict[str, list[str]]]:
        if year not in self._by_year:
            codes = sorted({issuer.code for issuer in self._known if issuer.first <= year <= issuer.last})
            by_province: dict[str, list[str]] = {}
            for code in codes:
                by_province.setdefault(code[:2], []).append(code)
            self._by_year[year] = codes, by_province
        return self._by_year[year]


@cache
def issuers() -> _Issuers:
    """The codes that an identity number may begin with."""
    return _Issuers(tuple(_known_issuers()))


def _known_issuers() -> Iterator[Issuer]:
    from stdnum import numdb

    database = numdb.get("cn/loc")
    for county in counties():
        properties: Mapping[str, str] = {key: value for _, found in database.info(county.code) for key, value in found.items()}
        # Several counties may have had the code one after another: "[1960-1982]One,[1983-]Other", or no years at all.
        for name in filter(None, properties.get("county", "").split(",")):
            first, _, last = name[1:].partition("]")[0].partition("-") if name.startswith("[") else ("", "", "")
            yield Issuer(code=county.code, first=int(first or 0), last=int(last or 9999))


def _register() -> dict[str, str]:
    data = importlib.import_module("gb2260.data").data
    return {str(code): str(name) for code, name in data[None].items()}
