"""Every test that there is, read from the source without importing it: its node id, and whether it may be left out.

Neighbour: ``threats`` asks for those that the threat model names.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Known", "known_tests", "read_tests"]

_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Known:
    """A test.

    Attributes:
        marks: its pytest marks, its class's and its module's.
        begins_with_skip: whether its body skips it unasked.
    """

    marks: frozenset[str]
    begins_with_skip: bool = False

    @property
    def is_long(self) -> bool:
        """Whether only LONG=1 runs it."""
        return "long" in self.marks

    @property
    def may_be_skipped(self) -> bool:
        """Whether it can pass for run without having been."""
        return bool(self.marks & {"skip", "skipif", "xfail"}) or self.begins_with_skip


@cache
def known_tests(root: Path) -> Mapping[str, Known]:
    """Node id (without parameters) -> test, of every file that pytest collects."""
    found: dict[str, Known] = {}
    for file in sorted((root / "tests").rglob("test_*.py")):
        found |= {f"{file.relative_to(root)}::{name}": test for name, test in read_tests(file, root)}
    return found


def read_tests(file: Path, root: Path) -> Iterator[tuple[str, Known]]:
    """The tests of a file, those too that it takes over whole from another."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    aliases = dict(_aliases(tree))
    module = aliases.get("pytestmark", _NOTHING)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and [one.name for one in node.names] == ["*"]:
            source = root.joinpath(*node.module.split(".")).with_suffix(".py")
            if source.exists():
                for name, test in read_tests(source, root):
                    yield name, Known(marks=test.marks | module, begins_with_skip=test.begins_with_skip)
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            own = module | _marks(node.decorator_list, aliases)
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and inner.name.startswith("test"):
                    yield f"{node.name}::{inner.name}", _known(inner, own, aliases)
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield node.name, _known(node, module, aliases)


def _known(function: ast.FunctionDef, around: frozenset[str], aliases: Mapping[str, frozenset[str]]) -> Known:
    skips = any(
        isinstance(one, ast.Expr) and isinstance(one.value, ast.Call) and _dotted(one.value.func) == "pytest.skip"
        for one in function.body
    )
    return Known(marks=around | _marks(function.decorator_list, aliases), begins_with_skip=skips)


def _aliases(tree: ast.Module) -> Iterator[tuple[str, frozenset[str]]]:
    """Names that a module gives to marks, ``pytestmark`` among them."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
            if marks := _marks(values, {}):
                yield node.targets[0].id, marks


def _marks(expressions: list[ast.expr], aliases: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found: set[str] = set()
    for expression in expressions:
        name = _dotted(expression.func if isinstance(expression, ast.Call) else expression)
        if name.startswith("pytest.mark."):
            found.add(name.removeprefix("pytest.mark."))
        found |= aliases.get(name, _NOTHING)
    return frozenset(found)


def _dotted(expression: ast.expr) -> str:
    """``a.b.c`` of such an expression; empty for any other."""
    if isinstance(expression, ast.Name):
        return expression.id
    if isinstance(expression, ast.Attribute) and (before := _dotted(expression.value)):
        return f"{before}.{expression.attr}"
    return ""
