"""Can matching a pattern take time that doubles with every character? Judged once, when the pattern is declared.

Python's matcher tries every way in which a text may fit. ``(a+)+`` has two ways to read each further ``a``, so thirty of them and
a wrong end cost a thousand million steps: whoever fills in a form would stop the department's publisher. The test is that of
Weber and Seidl ("On the degree of ambiguity of finite automata", 1991), on Glushkov's automaton of the pattern: is there a place
from which two different ways lead back to it over the same text? Neighbour: ``rulebook`` asks for contracts.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["TooComplex", "explodes"]

_MANY = 12  # repetitions from which on a bound is as good as none
_MOST_PLACES = 400
_UNBOUNDED = 2**31  # what Python's parser has for no bound is more
_sre: Any = importlib.import_module("re._parser")


class TooComplex(ValueError):
    """The pattern has more places than are looked at."""


def explodes(pattern: str) -> bool:
    """Whether the time may double with each character of a text.

    Args:
        pattern: a regular expression that Python can compile.

    Raises:
        TooComplex: it is too long to be judged.
    """
    automaton = _Automaton()
    automaton.add(_sre.parse(pattern), {automaton.door(): 1})
    return automaton.is_exponential()


_Ways = dict[int, int]
"""Place -> in how many ways (two stand for more) one comes from it without reading anything."""


@dataclass(slots=True)
class _Automaton:
    """Glushkov's: one state for each place of the pattern that reads a character.

    Attributes:
        reads: what is read at each place.
        edges: place -> places that may follow, with the number of ways.
        chooses: whether it repeats so and so often what may be empty.
    """

    reads: list[frozenset[str]] = field(default_factory=list)
    edges: list[_Ways] = field(default_factory=list)
    chooses: bool = False

    def add(self, tree: Iterable[tuple[Any, Any]], before: _Ways) -> _Ways:
        """Add a part of the pattern behind these places; the places behind which it goes on."""
        for operation, argument in tree:
            before = self._one(str(operation), argument, before)
        return before

    def _one(self, operation: str, argument: Any, before: _Ways) -> _Ways:
        match operation:
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, inner = argument
                return self._repeat(int(least), int(most), inner, before)
            case "SUBPATTERN":
                return self.add(argument[-1], before)
            case "ATOMIC_GROUP":
                return self.add(argument, before)
            case "BRANCH":
                return _sum(self.add(one, before) for one in argument[1])
            case "GROUPREF_EXISTS":
                return _sum([self.add(argument[1], before), self.add(argument[2] or [], before)])
            case "ASSERT" | "ASSERT_NOT":
                self.add(argument[1], before)
                return before
            case "AT":
                return before
        return self._place(_letters(operation, argument), before)

    def door(self) -> int:
        """A place that reads nothing and that nothing leads to: what follows it is where a part begins."""
        return self._new(frozenset())

    def _place(self, reads: frozenset[str], before: _Ways) -> _Ways:
        number = self._new(reads)
        self._join(before, {number: 1})
        return {number: 1}

    def _new(self, reads: frozenset[str]) -> int:
        if len(self.reads) >= _MOST_PLACES:
            raise TooComplex
        self.reads.append(reads)
        self.edges.append({})
        return len(self.reads) - 1

    def _join(self, before: _Ways, after: _Ways) -> None:
        for one, times in before.items():
            for place, ways in after.items():
                self.edges[one][place] = min(2, self.edges[one].get(place, 0) + times * ways)

    def _repeat(self, least: int, most: int, inner: Any, before: _Ways) -> _Ways:
        for _ in range(least if most < _MANY else min(least, _MANY) - 1):
            before = self.add(inner, before)
        if most < _MANY:
            ends = [before]
            for _ in range(most - least):
                ends.append(self.add(inner, ends[-1]))
            return _sum(ends)
        door = self.door()
        after = self.add(inner, {door: 1})
        may_be_empty = bool(after.pop(door, 0))
        # Each of many that may be empty is taken or left: as many ways as there are choices. Without a bound the matcher stops.
        self.chooses |= may_be_empty and bool(after) and (least > 1 or most < _UNBOUNDED)
        begins = self.edges[door]
        self._join(before, begins)
        self._join(after, begins)
        return _sum([before, after]) if least == 0 or may_be_empty else after

    def is_exponential(self) -> bool:
        """Whether two ways lead from a place back to it over one text."""
        if self.chooses:
            return True
        for circle in _circles(range(len(self.edges)), lambda place: self.edges[place]):
            inside = set(circle)
            if any(ways > 1 and to in inside for place in circle for to, ways in self.edges[place].items()):
                return True
            if self._splits(inside):
                return True
        return False

    def _splits(self, inside: set[int]) -> bool:
        """Whether two places of a circle can be reached side by side from one of its places, and come together in it again."""

        def following(pair: tuple[int, int]) -> Iterator[tuple[int, int]]:
            for one in self.edges[pair[0]]:
                for other in self.edges[pair[1]]:
                    if one in inside and other in inside and self.reads[one] & self.reads[other]:
                        yield one, other

        pairs = [(one, other) for one in inside for other in inside]
        return any(
            any(one == other for one, other in circle) and any(one != other for one, other in circle)
            for circle in _circles(pairs, following)
        )


def _sum(parts: Iterable[_Ways]) -> _Ways:
    total: _Ways = {}
    for part in parts:
        for place, ways in part.items():
            total[place] = min(2, total.get(place, 0) + ways)
    return total


def _circles(nodes: Iterable[Any], following: Any) -> Iterator[list[Any]]:
    """The strongly connected components that hold a circle (Tarjan's algorithm, without recursion)."""
    order: dict[Any, int] = {}
    low: dict[Any, int] = {}
    stack: list[Any] = []
    held: set[Any] = set()
    for root in nodes:
        if root in order:
            continue
        work = [(root, iter(following(root)))]
        order[root] = low[root] = len(order)
        stack.append(root)
        held.add(root)
        while work:
            node, rest = work[-1]
            if (further := next(rest, None)) is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    found = _taken(stack, held, node)
                    if len(found) > 1 or node in set(following(node)):
                        yield found
            elif further not in order:
                order[further] = low[further] = len(order)
                stack.append(further)
                held.add(further)
                work.append((further, iter(following(further))))
            elif further in held:
                low[node] = min(low[node], order[further])


def _taken(stack: list[Any], held: set[Any], node: Any) -> list[Any]:
    found = []
    while True:
        one = stack.pop()
        held.discard(one)
        found.append(one)
        if one == node:
            return found


# Characters that stand for all others: each class of them, and what is on both sides of every bound that a pattern may name.
_SAMPLES = frozenset(chr(number) for number in range(128)) | frozenset("é王пÄ٣\u2003\u3000\U0001f600\x85")


def _letters(operation: str, argument: Any) -> frozenset[str]:
    """What is read at a place, of the characters that stand for all."""
    match operation:
        case "LITERAL":
            return frozenset((chr(argument),))
        case "NOT_LITERAL":
            return _SAMPLES - {chr(argument)}
        case "IN":
            return _of_set(argument)
    return _SAMPLES  # any character, or a group once more


def _of_set(items: Sequence[tuple[Any, Any]]) -> frozenset[str]:
    negated = bool(items) and str(items[0][0]) == "NEGATE"
    found: set[str] = set()
    for operation, argument in items[1:] if negated else items:
        match str(operation):
            case "LITERAL":
                found.add(chr(argument))
            case "RANGE":
                low, high = argument
                found |= {chr(low), chr(high)} | {one for one in _SAMPLES if low <= ord(one) <= high}
            case "CATEGORY":
                found |= {one for one in _SAMPLES if _is_of(one, str(argument))}
    return _SAMPLES - found if negated else frozenset(found)


def _is_of(letter: str, category: str) -> bool:
    name = category.removeprefix("CATEGORY_").removeprefix("UNI_")
    inside = {
        "DIGIT": letter.isdecimal(),
        "SPACE": letter.isspace(),
        "WORD": letter.isalnum() or letter == "_",
    }.get(name.removeprefix("NOT_"), True)
    return inside is not name.startswith("NOT_")
