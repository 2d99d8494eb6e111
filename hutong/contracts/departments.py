"""The parties of a bus: who publishes and receives, who answers for it, and the zone in which its days begin.

Neighbours: contracts and agreements name departments by code; the control plane makes each a Kafka principal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from hutong.principals import RESERVED

__all__ = ["DEFAULT_QUOTA", "Department", "Departments", "Quota", "code_problem"]

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Limit = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]

_CODE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", re.ASCII)
_CONTACT = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+|https?://\S+|tel:\+?[0-9-]+")
_MAX_CODE = 80  # topic names have 249 characters, and hold a code beside a channel's or an event's name


class Quota(BaseModel):
    """What a department may ask of each broker; what is left out stays as it is for all.

    Attributes:
        publish_mb_per_s: megabytes (10^6 bytes) of published batches, as they are on the wire, compressed.
        receive_mb_per_s: megabytes that are read.
        request_percent: of one thread of the broker, on an average: 100 is a whole one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    publish_mb_per_s: Limit | None = None
    receive_mb_per_s: Limit | None = None
    request_percent: Limit | None = None

    def under(self, other: Quota | None) -> Quota:
        """This one, where the other says nothing else."""
        return self if other is None else self.model_copy(update=other.model_dump(exclude_none=True))


DEFAULT_QUOTA = Quota(publish_mb_per_s=0.5, receive_mb_per_s=20, request_percent=100)
"""Of every department for which ``departments.yaml`` says nothing else."""


class Department(BaseModel):
    """A party.

    Attributes:
        code: its name on the bus and its Kafka principal.
        name: language code -> name.
        head: language code -> the accountable post, not a person.
        contact: e-mail, URL or ``tel:`` of those who look after its data.
        quota: what it may ask of each broker, where that is not what all others may.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    name: Annotated[dict[str, Text], Field(min_length=1)]
    head: Annotated[dict[str, Text], Field(min_length=1)]
    contact: Text
    quota: Quota | None = None

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
        quota: what every department may ask of each broker, where it has no quota of its own.
        departments: the parties, in the order of the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timezone: str
    quota: Quota | None = None
    departments: Annotated[tuple[Department, ...], Field(min_length=1)]

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is no IANA time zone such as Europe/Helsinki") from None
        return name

    def by_code(self) -> dict[str, Department]:
        """The parties by code, each with the quota that is meant for it."""
        common = self.quota or Quota()
        return {one.code: one.model_copy(update={"quota": common.under(one.quota)}) for one in self.departments}

    def problems(self) -> Iterator[tuple[int, str, str]]:
        """What single entries cannot show, as (position, key, problem)."""
        seen: dict[str, int] = {}
        for i, department in enumerate(self.departments):
            if problem := code_problem(department.code):
                yield i, "code", problem
            if department.code in seen:
                yield i, "code", f"{department.code} is declared twice; remove one"
            seen.setdefault(department.code, i)


def code_problem(code: str) -> str | None:
    """What is wrong with a department's code, or None."""
    if not _CODE.fullmatch(code):
        return "a department's code is lower-case words of letters, digits and _, each beginning with a letter, joined by dots"
    if len(code) > _MAX_CODE:
        return f"a department's code has at most {_MAX_CODE} characters"
    if code in RESERVED or code.split(".")[0] == "hutong":
        return f"{code} is a name that the bus itself uses; choose another"
    return None
