"""JSON with the line of every part: Avro schemas are JSON, and an error in one must name its line.

The standard library's reader forgets positions, so this walks the text itself and leaves strings and numbers to it.
Neighbours: ``document``, ``yaml``.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from json.decoder import scanstring  # type: ignore[attr-defined]
from math import inf
from typing import Any

from hutong.catalogue.document import MAX_DEPTH, Document, Path
from hutong.errors import DeclarationError

__all__ = ["read_json"]

_SPACE = re.compile(r"[ \t\n\r]*")
_LONGEST_NUMBER = 400  # the longest double that JSON's writers spell out has some 300
_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")


def read_json(text: str, file: str) -> Document:
    """Read one JSON document.

    Raises:
        DeclarationError: it is no JSON, names a key twice or nests too deeply; with the line.
    """
    reader = _Reader(text, file)
    data, end = reader.value(reader.skip(0), ())
    if reader.skip(end) != len(text):
        raise reader.refusal("there is more after the end of the JSON document", reader.skip(end))
    return Document(file=file, data=data, lines=reader.lines)


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.lines: dict[Path, int] = {}

    def skip(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        return match.end() if match else at

    def line(self, at: int) -> int:
        return bisect_right(self.starts, at)

    def refusal(self, problem: str, at: int, path: Path = ()) -> DeclarationError:
        return Document(file=self.file, data=None, lines={path: self.line(at)}).error(problem, path)

    def value(self, at: int, path: Path) -> tuple[Any, int]:
        if len(path) > MAX_DEPTH:
            raise self.refusal(f"nested more than {MAX_DEPTH} levels deep", at)
        self.lines.setdefault(path, self.line(at))
        match self.text[at : at + 1]:
            case "{":
                return self.object(at + 1, path)
            case "[":
                return self.array(at + 1, path)
            case '"':
                return self.string(at)
            case _:
                scalar = _SCALAR.match(self.text, at)
                if not scalar:
                    raise self.refusal("this is not valid JSON: a value is expected here", at)
                return self.scalar(scalar.group(), at), scalar.end()

    def string(self, at: int) -> tuple[str, int]:
        try:
            text, end = scanstring(self.text, at + 1, True)
        except json.JSONDecodeError as error:
            raise self.refusal(f"this is not valid JSON: {error.msg}", at) from None
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise self.refusal("the text holds one half of a character (a lone surrogate), which UTF-8 cannot carry", at)
        return str(text), int(end)

    def scalar(self, text: str, at: int) -> Any:
        if len(text) > _LONGEST_NUMBER:
            raise self.refusal(f"the number has more than {_LONGEST_NUMBER} characters", at)
        value = json.loads(text)
        if value in (inf, -inf):
            raise self.refusal("the number is too large for a double", at)
        return value

    def array(self, at: int, path: Path) -> tuple[list[Any], int]:
        items: list[Any] = []
        at = self.skip(at)
        if self.text[at : at + 1] == "]":
            return items, at + 1
        while True:
            item, at = self.value(self.skip(at), (*path, len(items)))
            items.append(item)
            at, more = self.separator(at, "]")
            if not more:
                return items, at

    def object(self, at: int, path: Path) -> tuple[dict[str, Any], int]:
        entries: dict[str, Any] = {}
        at = self.skip(at)
        if self.text[at : at + 1] == "}":
            return entries, at + 1
        while True:
            at = self.skip(at)
            if self.text[at : at + 1] != '"':
                raise self.refusal("this is not valid JSON: a key in double quotes is expected here", at)
            key, end = self.string(at)
            if key in entries:
                first = self.lines[(*path, key)]
                raise self.refusal(f"the key is here twice, first on line {first}; remove one", at, (*path, key))
            self.lines[(*path, key)] = self.line(at)
            end = self.skip(end)
            if self.text[end : end + 1] != ":":
                raise self.refusal("this is not valid JSON: ':' is expected here", end)
            entries[key], at = self.value(self.skip(end + 1), (*path, key))
            at, more = self.separator(at, "}")
            if not more:
                return entries, at

    def separator(self, at: int, end: str) -> tuple[int, bool]:
        at = self.skip(at)
        character = self.text[at : at + 1]
        if character not in {",", end} or not character:
            raise self.refusal(f"this is not valid JSON: ',' or '{end}' is expected here", at)
        return at + 1, character == ","
