"""Reads translations as gettext's tools write them (``.po``), as far as this project uses the format.

Entries without a translation, and those that a tool has marked as a guess (``fuzzy``) or as gone (``#~``), are left out, as
gettext itself does. Neighbour: ``language`` looks sentences up in what this returns.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Entry", "read_po"]

_FORMS = {"msgid": "sentence", "msgid_plural": "plural", "msgstr": "text", "msgstr[0]": "text"}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A translated sentence.

    Attributes:
        sentence: in English.
        plural: in English, about more than one thing; empty where there is no such form.
        text: the translation; of the only form, since the languages here have no plural.
    """

    sentence: str
    plural: str
    text: str


def read_po(text: str) -> Iterator[Entry]:
    """The entries of a file that have a translation.

    Raises:
        ValueError: a line is not understood; with its number.
    """
    fuzzy, current = False, ""
    parts: dict[str, str] = {}
    for number, line in enumerate([*text.splitlines(), ""], 1):
        line = line.strip()
        if not line or (line.startswith("msgid ") and "text" in parts):
            yield from _entry(parts, fuzzy=fuzzy)
            if not line:
                fuzzy = False
            parts = {}
        if line.startswith("#,"):
            fuzzy = "fuzzy" in line
        elif line.startswith('"') and current in parts:
            parts[current] += _unquoted(line, number)
        elif line and not line.startswith("#"):
            keyword, _, quoted = line.partition(" ")
            if keyword not in _FORMS:
                raise ValueError(f"line {number}: {keyword!r} is not understood here")
            current = _FORMS[keyword]
            parts[current] = _unquoted(quoted, number)


def _entry(parts: dict[str, str], *, fuzzy: bool) -> Iterator[Entry]:
    if parts.get("sentence") and parts.get("text") and not fuzzy:  # the entry without a sentence is the file's head
        yield Entry(sentence=parts["sentence"], plural=parts.get("plural", ""), text=parts["text"])


def _unquoted(quoted: str, number: int) -> str:
    try:
        value = ast.literal_eval(quoted.strip())  # PO's escapes are C's, of which Python has all that occur in sentences
    except (SyntaxError, ValueError):
        value = None
    if not isinstance(value, str):
        raise ValueError(f'line {number}: a quoted text is expected, as in msgid "..."')  # noqa: TRY004 - a fault of the file
    return value
