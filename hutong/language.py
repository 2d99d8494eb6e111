"""What people read, in their language: English, or Chinese with ``HUTONG_LANG=zh``.

The sentences are English where they are written; ``hutong/locale/<language>/LC_MESSAGES/hutong.po`` has them in other languages,
as gettext's tools write it. What a command says itself goes through ``said``. What was said elsewhere, an error of the pure core
or a line of progress, has its values filled in already: ``translated`` finds the sentence that it was made from by its pattern.
Values stay as they are, and so do names, ``--json`` and logs: programs read those.
Neighbours: the commands print with this; nothing below them knows of it.
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from hutong.errors import ConfigurationError
from hutong.po import Entry, read_po

__all__ = [
    "LANGUAGES",
    "VARIABLE",
    "Sentences",
    "chosen",
    "gettext",
    "ngettext",
    "placeholders",
    "said",
    "said_many",
    "translated",
]

VARIABLE = "HUTONG_LANG"
"""Nothing but this decides: a server's ``LANG`` is rarely the language of the person at the terminal."""

LANGUAGES = ("en", "zh")
_LOCALE = Path(__file__).parent / "locale"
_SENTENCES = frozenset({"doing", "problem", "reason", "remedy", "rest"})
"""Placeholders that stand for words of ours, which are translated too; any other is a name or a number."""
_FIELD = re.compile(r"\{(\w+)\}")
_LEAST = 8
"""Letters of its own that a sentence must have to be known by its pattern: ``{a} of {b}`` would be found in half of all texts."""


def chosen() -> str:
    """The language: one of ``LANGUAGES``.

    Raises:
        ConfigurationError: another one is asked for.
    """
    wanted = os.environ.get(VARIABLE) or "en"
    language = re.split(r"[_.-]", wanted)[0].lower()
    if language not in LANGUAGES:
        raise ConfigurationError(f"{VARIABLE} is {wanted}; there are {' and '.join(LANGUAGES)}")
    return language


def said(sentence: str, /, **values: object) -> str:
    """A sentence with its values, in the language of whoever reads it.

    Args:
        sentence: in English, with ``{name}`` where a value goes.
        values: what goes there, ready to be shown.
    """
    return _sentences().entry(sentence).format(**values)


def said_many(number: int, one: str, many: str, /, **values: object) -> str:
    """A sentence about a number of things; ``{number}`` in it is that number."""
    return _sentences().plural(number, one, many).format(number=number, **values)


def gettext(sentence: str) -> str:
    """A sentence as it is translated, its values still to be filled in: for what is written with gettext's functions."""
    return _sentences().entry(sentence)


def ngettext(one: str, many: str, number: int) -> str:
    """As ``gettext``, about a number of things."""
    return _sentences().plural(number, one, many)


def translated(text: str) -> str:
    """A sentence that was said in English elsewhere, as far as it is known; line by line, with values left as they are."""
    return text if chosen() == "en" else "\n".join(_sentences().find(line) for line in text.split("\n"))


def placeholders(sentence: str) -> frozenset[str]:
    """The names of a sentence's values."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(sentence) if name)


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """The sentences of one language.

    Attributes:
        words: English -> the language's.
        entries: as they stand in the file, with plurals.
    """

    words: Mapping[str, str] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()

    @classmethod
    def of(cls, entries: tuple[Entry, ...]) -> Sentences:
        """Out of a file's entries."""
        words = {one.plural: one.text for one in entries if one.plural} | {one.sentence: one.text for one in entries}
        return cls(words=words, entries=entries)

    def entry(self, sentence: str) -> str:
        """The sentence in this language; where it is missing, the English one."""
        return self.words.get(sentence, sentence)

    def plural(self, number: int, one: str, many: str) -> str:
        """As ``entry``. Chinese has one form for all numbers; English has two, and needs no file."""
        return self.words.get(one, one if number == 1 else many)

    def find(self, text: str) -> str:
        """What a text with values in it says in this language; the text itself where no sentence fits."""
        bare = text.strip()
        if not bare:
            return text
        before, after = text[: text.index(bare)], text[text.index(bare) + len(bare) :]
        known = self.words.get(bare)
        if known is not None and "{" not in known:
            return before + known + after
        for pattern, words in self._patterns:
            if match := pattern.fullmatch(bare):
                values = {name: self.find(value) if name in _SENTENCES else value for name, value in match.groupdict().items()}
                return before + words.format(**values) + after
        return text

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str]]:
        """The sentences with values as patterns, those with most words of their own first: they are the most particular."""
        known = [pair for pair in self.words.items() if _own(pair[0]) >= _LEAST and _can_be_filled(*pair)]
        known.sort(key=lambda pair: _own(pair[0]), reverse=True)
        return [(re.compile(_pattern(english)), words) for english, words in known]


def _can_be_filled(english: str, words: str) -> bool:
    """Whether everything that the translation wants to know stands in the sentence under a plain name."""
    names = frozenset(_FIELD.findall(english))
    return bool(names) and placeholders(words) <= names and placeholders(english) == names


def _own(sentence: str) -> int:
    """Letters of a sentence that are not values."""
    return len(_FIELD.sub("", sentence))


def _pattern(sentence: str) -> str:
    seen: set[str] = set()
    parts: list[str] = []
    for number, part in enumerate(_FIELD.split(sentence)):
        if number % 2 == 0:
            parts.append(re.escape(part))
        elif part in seen:
            parts.append(f"(?P={part})")
        else:
            seen.add(part)
            parts.append(f"(?P<{part}>.+?)")
    return "".join(parts)


def _sentences() -> Sentences:
    return _of(chosen())


@cache
def _of(language: str) -> Sentences:
    if language == "en":
        return Sentences()
    file = _LOCALE / language / "LC_MESSAGES" / "hutong.po"
    return Sentences.of(tuple(read_po(file.read_text(encoding="utf-8"))))
