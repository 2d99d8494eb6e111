"""Numbers with a check digit or a register behind them, by the name of their standard.

``cn.ric`` is the module ``stdnum.cn.ric`` of ``python-stdnum``, and so for every number that library knows, of any country;
``gb2260`` is a region code that GB/T 2260 has or had. Two numbers that come in nearly every event have a quicker check in front
of the library's, which accepts what the library accepts and leaves the rest to it. Neighbours: ``validation`` and ``encoder``
call these, contracts name them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from datetime import date
from functools import cache, lru_cache
from operator import mul

from hutong.errors import ConfigurationError

__all__ = ["LONGEST", "checker"]

_NAME = re.compile(r"[a-z]+(\.[a-z][a-z0-9_]*)?")
_REMEMBERED = 16_384
LONGEST = 64  # characters; no standard's number has half as many
_INSTALL = "pip install 'hutong[identifiers]'"


@cache
def checker(name: str) -> Callable[[str], bool]:
    """The check for a standard: text -> whether it is a valid number of it. It remembers texts: give it none beyond ``LONGEST``.

    Raises:
        ConfigurationError: the library is not installed, or has no such number.
    """
    check = _region_checker() if name == "gb2260" else _stdnum_checker(name)
    quick = _QUICK.get(name)
    if quick is not None:
        check = quick(check)
    # A check costs up to 40 µs, more than all the rest of publishing, and the same persons and bodies come again and again.
    return lru_cache(maxsize=_REMEMBERED)(check)


def _stdnum_checker(name: str) -> Callable[[str], bool]:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"identifier {name!r} is not the name of a python-stdnum module such as cn.ric")
    try:
        importlib.import_module("stdnum")
    except ImportError:
        raise ConfigurationError(f"identifier {name!r} needs python-stdnum: {_INSTALL}") from None
    try:
        module = importlib.import_module(f"stdnum.{name}")
        validate, compact = module.validate, module.compact
    except (ImportError, AttributeError):
        raise ConfigurationError(f"identifier {name!r}: python-stdnum has no such number") from None
    from stdnum.exceptions import ValidationError

    def check(text: str) -> bool:
        # Only the compact form passes: two spellings of one number would be two keys.
        try:
            validate(text)
            return bool(compact(text) == text)
        except (ValidationError, KeyError):  # KeyError: its register has a province there, and no county
            return False

    return check


def _quick_identity_number(check: Callable[[str], bool]) -> Callable[[str], bool]:
    """Citizen identity numbers, GB 11643: place, birthday, three digits, check digit (ISO 7064, MOD 11-2)."""

    @lru_cache(maxsize=_REMEMBERED * 4)
    def place_had_its_code(place: str, year: str) -> bool:
        # The library knows which places had their codes when; everything else about this number is right.
        number = f"{place}{year}0101000"
        return check(number + _identity_digit(number))

    @lru_cache(maxsize=_REMEMBERED * 4)
    def is_day(text: str) -> bool:
        try:
            date(int(text[:4]), int(text[4:6]), int(text[6:]))
        except ValueError:
            return False
        return True

    def quick(text: str) -> bool:
        if len(text) == 18 and text.isascii() and (body := text[:17]).isdigit() and text[17] == _identity_digit(body):  # noqa: SIM102
            if is_day(text[6:14]) and place_had_its_code(text[:6], text[6:10]):
                return True
        return check(text)

    return quick


def _identity_digit(body: str) -> str:
    return "10X98765432"[int(body, 13) * 2 % 11]  # 13 and 2 are one number modulo 11: the conversion weighs all digits


def _quick_credit_code(check: Callable[[str], bool]) -> Callable[[str], bool]:
    """Unified social credit codes, GB 32100: the sum of all characters, each with its weight, is a multiple of 31."""
    form = re.compile("[0-9]{8}[0-9A-HJ-NPQRTUWXY]{10}")
    numbers = bytes.maketrans(b"0123456789ABCDEFGHJKLMNPQRTUWXY", bytes(range(31)))
    weights = [pow(3, place, 31) for place in range(17)]

    def quick(text: str) -> bool:
        if form.fullmatch(text) is not None:
            values = text.encode().translate(numbers)
            if (sum(map(mul, weights, values)) + values[17]) % 31 == 0:
                return True
        return check(text)

    return quick


_QUICK: dict[str, Callable[[Callable[[str], bool]], Callable[[str], bool]]] = {
    "cn.ric": _quick_identity_number,
    "cn.uscc": _quick_credit_code,
}


def _region_checker() -> Callable[[str], bool]:
    try:
        gb2260 = importlib.import_module("gb2260")
    except ImportError:
        raise ConfigurationError(f"identifier 'gb2260' needs the package gb2260: {_INSTALL}") from None
    codes = frozenset(str(code) for revision in gb2260.data.data.values() for code in revision)
    return codes.__contains__
