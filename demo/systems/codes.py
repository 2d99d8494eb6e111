"""Codes of the national standards as departments' databases hold them, and the words that contracts have for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

__all__ = ["KINSHIP", "MARITAL", "SEX", "Codes", "at_counter", "contract_person"]

_BEIJING = timezone(timedelta(hours=8))


class Codes:
    """A code list, both ways. A code or word that it does not have is passed on: to judge it is the contract's task."""

    def __init__(self, codes: Mapping[str, str]) -> None:
        self._code = dict(codes)
        self._word = {code: word for word, code in codes.items()}

    def code(self, word: str) -> str:
        """The code of a word."""
        return self._code.get(word, "8")  # no list here has an 8 for anything but siblings

    def word(self, code: object) -> str:
        """The word of a code."""
        return self._word.get(str(code), f"CODE_{code}")


SEX = Codes({"UNKNOWN": "0", "MALE": "1", "FEMALE": "2", "NOT_STATED": "9"})
KINSHIP = Codes(
    {
        "SELF": "1",
        "SPOUSE": "2",
        "SON": "3",
        "DAUGHTER": "4",
        "GRANDCHILD": "5",
        "PARENT": "6",
        "GRANDPARENT": "7",
        "SIBLING": "8",
        "OTHER": "9",
    }
)
MARITAL = Codes({"SINGLE": "10", "MARRIED": "20", "WIDOWED": "30", "DIVORCED": "40", "NOT_STATED": "90"})


def at_counter(day: date, number: int) -> datetime:
    """A moment of the opening hours of a day, later for a later case."""
    minutes = 9 * 60 + number % 480
    return datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=_BEIJING).astimezone(UTC)


def contract_person(number: object, unverified: object, name: object, sex: object, born: object) -> dict[str, Any]:
    """A person as the contracts of this demo's departments describe one; ``sex`` is the code."""
    return {
        "identity_number": number,
        "identity_unverified": bool(unverified),
        "name": name,
        "sex": SEX.word(sex),
        "birth_date": born,
    }
