"""CEL in agreements and flows: random expressions compiled, and those that pass evaluated over large events."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hutong.agreements.cel import compile_expression
from hutong.errors import DeclarationError
from tests.fuzz.attack import Found, Surface

__all__ = ["DATA", "KNOWN", "SURFACE"]

DATA: list[dict[str, Any]] = [
    {"t": "x" * 400_000, "n": 7, "d": 0.5, "l": ["ab"] * 150_000, "m": {"a": "b"}, "r": {"t": "x", "l": [1] * 40}, "z": None},
    {"t": "x" * 5_000, "n": -(2**63), "d": float("nan"), "l": ["é" * 8] * 450, "m": {}, "r": {"t": "", "l": []}, "z": None},
    {
        "t": "",
        "n": 2**63 - 1,
        "d": float("inf"),
        "l": [],
        "m": {str(n): "b" for n in range(5_000)},
        "r": {"t": "x", "l": [[]] * 50},
        "z": 1,
    },
]
KNOWN = frozenset(DATA[0])

_ATOMS = [
    "t",
    "n",
    "d",
    "l",
    "m",
    "r",
    "z",
    "r.t",
    "r.l",
    "l[0]",
    "m.a",
    "x",
    "'a'",
    "0",
    "1",
    "1.5",
    "[]",
    "[1, 2]",
    "{'a': 1}",
    "true",
    "null",
]
_BINARY = ["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", " in "]
_CALLS = [
    "size(%s)",
    "string(%s)",
    "int(%s)",
    "double(%s)",
    "!(%s)",
    "-(%s)",
    "has(%s)",
    "type(%s)",
    "duration(%s)",
    "timestamp(%s)",
    "bytes(%s)",
]
_METHODS = ["startsWith", "endsWith", "contains", "matches", "size", "getFullYear"]
_LOOPS = ["all", "exists", "exists_one", "filter", "map"]


class _Attack:
    def draw(self, rng: random.Random) -> tuple[str, int]:
        return self._expression(rng, rng.choice((1, 2, 3, 4, 6))), rng.randrange(len(DATA))

    def _expression(self, rng: random.Random, depth: int) -> str:
        if depth <= 0:
            return rng.choice(_ATOMS)
        inner = self._expression(rng, depth - 1)
        match rng.randrange(10):
            case 0 | 1:
                return f"{inner} {rng.choice(_BINARY)} {self._expression(rng, depth - 1)}"
            case 2:
                return rng.choice(_CALLS) % inner
            case 3:
                return f"({inner}).{rng.choice(_METHODS)}({rng.choice(_ATOMS)})"
            case 4 | 5:
                return f"{rng.choice(('l', 'r.l', 'm', inner))}.{rng.choice(_LOOPS)}(x, {inner})"
            case 6:
                return f" {rng.choice(_BINARY)} ".join([rng.choice(_ATOMS)] * rng.choice((3, 30, 200)))
            case 7:
                return f"({inner}) ? {rng.choice(_ATOMS)} : ({inner})"
            case 8:
                return "(" * rng.choice((1, 20, 40, 900)) + inner
            case _:
                return f"[{', '.join([inner] * rng.choice((1, 5, 50)))}]"

    def strike(self, value: tuple[str, int]) -> str:
        text, number = value
        try:
            expression = compile_expression(text, KNOWN)
        except DeclarationError as error:
            if not error.problem:
                raise Found("refused without a reason") from None
            return "refused"
        try:
            expression(DATA[number])
        except ValueError as error:
            return "not evaluated" if str(error) else "?"
        return "evaluated"


@contextmanager
def _open(seed: int, directory: Path) -> Iterator[_Attack]:
    yield _Attack()


SURFACE = Surface(
    name="CEL",
    says="random expressions, and those that compile over events of a megabyte",
    share=5_000,
    open=_open,
)
