"""YAML as far as declarations need it: mappings, sequences and JSON's scalars, each with its line.

Dates stay text, ``yes`` is text, ``014`` is text: what a plain scalar means must not depend on a library's version of YAML.
Anchors, aliases and tags are refused: they hide from a reviewer what a line grants. Neighbours: ``document``, ``json``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isfinite
from typing import Any

import yaml

from hutong.catalogue.document import MAX_DEPTH, Document, Path
from hutong.errors import DeclarationError

__all__ = ["read_yaml"]

# The C parser of libyaml where the wheel has it: 20 times faster, and the same events.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?")
_WORDS = {"null": None, "~": None, "": None, "true": True, "false": False}


def read_yaml(text: str, file: str) -> Document:
    """Read one YAML document.

    Raises:
        DeclarationError: it is no YAML, or uses more of YAML than declarations may; with the line.
    """
    reader = _Reader(text, file)
    try:
        data = reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"this is not valid YAML: {error.problem or error.context}"
        raise DeclarationError(problem, file=file, line=mark.line + 1 if mark else None) from None
    except yaml.YAMLError as error:  # a character that YAML does not allow
        problem = f"this is not valid YAML: {str(error).splitlines()[0]}"
        raise DeclarationError(problem, file=file) from None
    return Document(file=file, data=data, lines=reader.lines)


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self.file = file
        self.lines: dict[Path, int] = {(): 1}

    def document(self) -> Any:
        event = next(self.events)
        while isinstance(event, (yaml.StreamStartEvent, yaml.DocumentStartEvent)):
            event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            raise DeclarationError("the file is empty", file=self.file, line=1)
        data = self.node(event, ())
        next(self.events)  # end of the document
        if not isinstance(event := next(self.events), yaml.StreamEndEvent):
            raise self.refusal("the file holds several YAML documents; write one per file", event)
        return data

    def node(self, event: Any, path: Path) -> Any:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self.refusal("anchors and aliases are not allowed here; write the content out", event, path)
        if event.tag is not None:
            raise self.refusal(f"the tag {event.tag} is not allowed here; quote text to keep it text", event, path)
        if len(path) > MAX_DEPTH:
            raise self.refusal(f"nested more than {MAX_DEPTH} levels deep", event)
        self.lines.setdefault(path, _line(event))
        if isinstance(event, yaml.ScalarEvent):
            return event.value if event.style else _plain(event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(path)
        return self.mapping(path)

    def sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, (*path, len(items))))
        return items

    def mapping(self, path: Path) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or event.tag is not None or event.anchor is not None:
                raise self.refusal("a key must be plain text", event, path)
            key = event.value
            if key in entries:
                first = self.lines[(*path, key)]
                raise self.refusal(f"the key is here twice, first on line {first}; remove one", event, (*path, key))
            self.lines[(*path, key)] = _line(event)
            entries[key] = self.node(next(self.events), (*path, key))
        return entries

    def refusal(self, problem: str, event: Any, path: Path = ()) -> DeclarationError:
        return Document(file=self.file, data=None, lines={path: _line(event)}).error(problem, path)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _plain(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and isfinite(number := float(text)):
        return number
    return text
