"""Code lists: the values that a field may have, and what each is called in other systems and languages.

Neighbours: enums of contracts take their symbols from here, the ``map`` transform translates between columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["CodeList", "is_code_list_id"]

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]

_ID = re.compile(r"[a-z0-9]+([-.][a-z0-9]+)*", re.ASCII)


class CodeList(BaseModel):
    """A code list.

    Attributes:
        id: the file's name without ``.yaml``.
        title: language code -> title.
        standard: the standard it comes from, or whose own it is.
        entries: column -> text; the column ``symbol`` holds the value on the wire.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: dict[str, Text] = {}
    standard: str | None = None
    entries: Annotated[tuple[dict[str, str], ...], Field(min_length=1)]

    @property
    def symbols(self) -> tuple[str, ...]:
        """The values on the wire, in order."""
        return tuple(entry["symbol"] for entry in self.entries)

    @property
    def columns(self) -> frozenset[str]:
        """The columns that every entry has."""
        return frozenset.intersection(*(frozenset(entry) for entry in self.entries))

    def problems(self) -> Iterator[tuple[int, str]]:
        """What is wrong with the entries, as (position, problem)."""
        seen: dict[str, int] = {}
        for i, entry in enumerate(self.entries):
            symbol = entry.get("symbol")
            if not symbol:
                yield i, "the entry has no 'symbol', the value on the wire"
            elif symbol in seen:
                yield i, f"the symbol {symbol} is already entry {seen[symbol] + 1}; every symbol stands once"
            else:
                seen[symbol] = i


def is_code_list_id(text: str) -> bool:
    """Whether a text can be a code list's id."""
    return _ID.fullmatch(text) is not None
