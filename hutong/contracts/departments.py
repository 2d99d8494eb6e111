"""The parties of a bus: who publishes and receives, who answers for it, and the zone in which its days begin.

Neighbours: contracts and agreements name departments by code; the control plane makes each a Kafka principal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

__all__ = ["RESERVED_PRINCIPALS", "Department", "Departments", "code_problem"]

RESERVED_PRINCIPALS = frozenset({"operator", "services", "monitor", "ANONYMOUS"})
"""Kafka principals that the bus itself uses."""

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]

_CODE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", re.ASCII)
_CONTACT = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+|https?://\S+|tel:\+?[0-9-]+")
_MAX_CODE = 80  # topic names have 249 characters, and hold a code beside a channel's or an event's name


class Department(BaseModel):
    """A party.

    Attributes:
        code: its name on the bus and its Kafka principal.
        name: language code -> name.
        head: language code -> the accountable post, not a person.
        contact: e-mail, URL or ``tel:`` of those who look after its data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    name: Annotated[dict[str, Text], Field(min_length=1)]
    head: Annotated[dict[str, Text], Field(min_length=1)]
    contact: Text

    @field_validator("contact")
    @classmethod
    def _reachable(cls, contact: str) -> str:
        if not _CONTACT.fullmatch(contact):
            raise ValueError("contact is an e-mail address, an http(s) URL or a tel: number")
        return contact


class Departments(BaseModel):
    """All parties.

    Attributes:
        timezone: IANA name of the zone in which validity days begin and end.
        departments: the parties, in the order of the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timezone: str
    departments: Annotated[tuple[Department, ...], Field(min_length=1)]

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is no IANA time zone such as Europe/Helsinki") from None
        return name

    def problems(self) -> Iterator[tuple[int, str, str]]:
        """What single entries cannot show, as (position, key, problem)."""
        seen: dict[str, int] = {}
        for i, department in enumerate(self.departments):
            if problem := code_problem(department.code):
                yield i, "code", problem
            if department.code in seen:
                yield i, "code", f"{department.code} is declared twice; remove one"
            seen.setdefault(department.code, i)

    def nested(self) -> Iterator[tuple[int, str]]:
        """Departments whose code continues another's, as (position, the other's code)."""
        codes = {department.code for department in self.departments}
        for i, department in enumerate(self.departments):
            words = department.code.split(".")
            for outer in (".".join(words[:n]) for n in range(1, len(words))):
                if outer in codes:
                    yield i, outer


def code_problem(code: str) -> str | None:
    """What is wrong with a department's code, or None."""
    if not _CODE.fullmatch(code):
        return "a department's code is lower-case words of letters, digits and _, each beginning with a letter, joined by dots"
    if len(code) > _MAX_CODE:
        return f"a department's code has at most {_MAX_CODE} characters"
    if code in RESERVED_PRINCIPALS or code.split(".")[0] == "hutong":
        return f"{code} is a name that the bus itself uses; choose another"
    return None
