"""What an expression reads of what it is given, so that it is given no more: CEL copies all that it gets, every time.

Pure, and careful: where the text leaves a doubt, the answer is more than is read, or that nothing can be said. Neighbours:
``expressions`` asks when it compiles, and cuts values down before each evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Wanted", "part_of", "reads"]

Wanted = dict[str, Any]
"""Name -> the same of what is below it; nothing below is all of it."""

_EACH = ""  # in the place of a name: each item of a list
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_ODD_DOT = re.compile(r"(?<![\w)\]}'])\.")
_CHAIN = re.compile(r"(?<![\w.])(?<!\.\s)([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*(?![\w(]|\s*\())*)")
_BOUND = re.compile(r"\(\s*([A-Za-z_]\w*)\s*,")
_LOOP = re.compile(r"\s*\.\s*(all|exists|exists_one|filter|map)\s*\(\s*([A-Za-z_]\w*)\s*,")
_KEEPS = "filter"  # whose result are the items themselves


def reads(text: str, known: frozenset[str]) -> Wanted:
    """What an expression reads of the names that it may refer to; nothing at all where that cannot be told.

    Args:
        text: an expression that compiles.
        known: the names.
    """
    text = _QUOTED.sub("''", text)
    if _ODD_DOT.search(text):
        return {}
    bound = set(_BOUND.findall(text))  # these may hide a name, and what follows it is another's
    found: Wanted = {}
    whole: set[int] = set()
    for chain in _CHAIN.finditer(text):
        name, path = chain.groups()
        if name not in known:
            continue
        here = found.setdefault(name, {})
        for segment in path.split(".")[1:] if name not in bound else ():
            here = here.setdefault(segment, {})
        items = None if name in bound else _items(text, chain.end())
        if items is None:
            whole.add(id(here))
        else:
            _add(here.setdefault(_EACH, {}), items, whole)
    for below in found.values():
        _prune(below, whole)
    return found


def part_of(value: Any, wanted: Mapping[str, Any]) -> Any:
    """As much of a value as is wanted."""
    if not wanted:
        return value
    if type(value) is dict:
        if _EACH in wanted:  # a loop over the keys
            return value
        return {name: part_of(value[name], below) for name, below in wanted.items() if name in value}
    if type(value) is list and (each := wanted.get(_EACH)):
        return [part_of(one, each) for one in value]
    return value


def _items(text: str, at: int) -> list[list[str]] | None:
    """Paths that loops over a list read of each of its items; None where an item may be used as it is.

    Args:
        text: the expression.
        at: where the list's own path ends, and a loop may begin.
    """
    found: list[list[str]] = []
    while True:
        loop = _LOOP.match(text, at)
        if loop is None:
            return None  # the list itself, or what a filter has left of it
        kind, item = loop.groups()
        end = _closing(text, loop.end())
        for path in _paths(text[loop.end() : end], item):
            if not path:
                return None
            found.append(path)
        if kind != _KEEPS:
            return found or None
        at = end + 1


def _closing(text: str, at: int) -> int:
    """Where the bracket closes that is open there."""
    depth = 1
    for place in range(at, len(text)):
        depth += (text[place] in "([{") - (text[place] in ")]}")
        if not depth:
            return place
    return len(text)


def _paths(body: str, item: str) -> Iterator[list[str]]:
    """What follows an item's name, each time that it is used."""
    for name, path in _CHAIN.findall(body):
        if name == item:
            yield path.split(".")[1:]


def _add(here: Wanted, paths: list[list[str]], whole: set[int]) -> None:
    for path in paths:
        below = here
        for segment in path:
            below = below.setdefault(segment, {})
        whole.add(id(below))


def _prune(tree: Wanted, whole: set[int]) -> None:
    if id(tree) in whole:
        tree.clear()
    for below in tree.values():
        _prune(below, whole)
