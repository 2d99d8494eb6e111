"""Numbers with a check digit or a register behind them, by the name of their standard.

``cn.ric`` is the module ``stdnum.cn.ric`` of ``python-stdnum``, and so for every number that library knows, of any country;
``gb2260`` is a region code that GB/T 2260 has or had. Neighbours: ``validation`` calls these, contracts name them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import cache, lru_cache

from hutong.errors import ConfigurationError

__all__ = ["checker"]

_NAME = re.compile(r"[a-z]+(\.[a-z][a-z0-9_]*)?")
_REMEMBERED = 16_384
_INSTALL = "pip install 'hutong[identifiers]'"


@cache
def checker(name: str) -> Callable[[str], bool]:
    """The check for a standard: text -> whether it is a valid number of it.

    Raises:
        ConfigurationError: the library is not installed, or has no such number.
    """
    check = _region_checker() if name == "gb2260" else _stdnum_checker(name)
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
        except ValidationError:
            return False

    return check


def _region_checker() -> Callable[[str], bool]:
    try:
        gb2260 = importlib.import_module("gb2260")
    except ImportError:
        raise ConfigurationError(f"identifier 'gb2260' needs the package gb2260: {_INSTALL}") from None
    codes = frozenset(str(code) for revision in gb2260.data.data.values() for code in revision)
    return codes.__contains__
