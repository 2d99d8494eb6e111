"""What a flow's file says about values: paths, CEL and trees of them, compiled to functions of what a case knows.

A path that leads nowhere is null: an answer may not be there yet. Neighbours: ``flow`` holds the texts, ``plan`` compiles them
with this, ``shape`` makes the result fit a contract.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from pydantic import ValidationError

from hutong.agreements.cel import compile_expression
from hutong.errors import DeclarationError
from hutong.flows.flow import Expression

__all__ = ["MEMO", "Context", "Value", "compile_condition", "compile_tree", "compile_value", "follow"]

Context = Mapping[str, Any]
"""What an expression sees, by name."""

Value = Callable[[Context], Any]
"""Context -> value; raises ``ValueError`` where there is none."""

MEMO = ""
"""Where a context may have a ``dict`` for values that are the same for all questions asked at once; no expression sees it."""

_FORMS = frozenset(Expression.model_fields)
_SHARED = frozenset({"flow", "data", "people", "answers"})  # what does not differ between those questions
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_LOOP = re.compile(r"\(\s*([A-Za-z_]\w*)\s*,")
_ODD_DOT = re.compile(r"(?<![\w)\]}'])\.")
_CHAIN = re.compile(r"(?<![\w.])(?<!\.\s)([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*(?![\w(]|\s*\())*)")


def follow(path: str) -> Value:
    """A function that follows a dotted path through mappings; null where something on the way is missing."""
    segments = path.split(".")

    def get(context: Context) -> Any:
        value: Any = context
        for segment in segments:
            if type(value) is not dict and not isinstance(value, Mapping):  # the first is what it nearly always is, and cheap
                return None
            value = value.get(segment)
        return value

    return get


def compile_value(expression: Expression, known: frozenset[str], *, converted: bool = True) -> Value:
    """A value's expression, over the names in ``known``.

    Args:
        expression: what was declared.
        known: what it may refer to.
        converted: whether it sees what a case holds, which is JSON-plain, or an event's own values.

    Raises:
        DeclarationError: it refers to something else, or does not compile.
    """
    if expression.cel is not None:
        return _compile(expression.cel, known, converted)
    if expression.path is None:
        constant = expression.constant
        return lambda _: constant
    first = expression.path.partition(".")[0]
    if first not in known:
        raise DeclarationError(f"the path {expression.path} begins with {first}, which is none of {', '.join(sorted(known))}")
    return follow(expression.path)


def compile_condition(text: str, known: frozenset[str], *, converted: bool = True) -> Callable[[Context], bool]:
    """A CEL condition; it raises ``ValueError`` where it is neither true nor false. The arguments are ``compile_value``'s.

    Raises:
        DeclarationError: it does not compile.
    """
    evaluate = _compile(text, known, converted)

    def holds(context: Context) -> bool:
        value = evaluate(context)
        if not isinstance(value, bool):
            raise ValueError("the CEL condition is not true or false")  # noqa: TRY004 - one error for all that CEL does
        return value

    return holds


def _compile(text: str, known: frozenset[str], converted: bool) -> Value:
    """An expression that is given no more of what a case knows than it reads: CEL copies all that it is given, every time."""
    evaluate = compile_expression(text, known, _FUNCTIONS, converted=converted)
    parts = _read(text, known) if converted else {}
    if not parts:
        return evaluate
    shared = parts.keys() <= _SHARED

    def value(context: Context) -> Any:
        memo = context.get(MEMO) if shared else None
        if memo is not None and value in memo:
            return memo[value]
        found = evaluate(
            {**context, **{name: _part_of(context[name], wanted) for name, wanted in parts.items() if name in context}}
        )
        if memo is not None:
            memo[value] = found
        return found

    return value


def _read(text: str, known: frozenset[str]) -> dict[str, dict[str, Any]]:
    """What an expression reads, by name: the fields, and of each the fields; nothing below is all of it. Empty where in doubt."""
    text = _QUOTED.sub("''", text)
    if _ODD_DOT.search(text):
        return {}
    bound = set(_LOOP.findall(text))  # these may hide a name, and what follows it is another's
    found: dict[str, dict[str, Any]] = {}
    whole: set[int] = set()
    for name, path in _CHAIN.findall(text):
        if name not in known:
            continue
        here = found.setdefault(name, {})
        segments = [] if name in bound else path.split(".")[1:]
        for segment in segments:
            here = here.setdefault(segment, {})
        whole.add(id(here))
    for tree in found.values():
        _prune(tree, whole)
    return found


def _prune(tree: dict[str, Any], whole: set[int]) -> None:
    if id(tree) in whole:
        tree.clear()
    for below in tree.values():
        _prune(below, whole)


def _part_of(value: Any, wanted: Mapping[str, Any]) -> Any:
    if not wanted or type(value) is not dict:
        return value
    return {name: _part_of(value[name], below) for name, below in wanted.items() if name in value}


def compile_tree(tree: Mapping[str, Any], known: frozenset[str], place: str = "") -> Value:
    """A mapping of field names to values' expressions, nested as the record is that it makes.

    Raises:
        DeclarationError: an expression is wrong; its field is the error's.
    """
    parts = {name: _part(part, known, f"{place}.{name}" if place else name) for name, part in tree.items()}
    return lambda context: {name: value(context) for name, value in parts.items()}


def _part(part: Any, known: frozenset[str], place: str) -> Value:
    if isinstance(part, Mapping) and not (part.keys() <= _FORMS and part):
        return compile_tree(part, known, place)
    try:
        expression = Expression.model_validate({"path": part} if isinstance(part, str) else part)
        return compile_value(expression, known)
    except ValidationError:
        raise DeclarationError("a field's value is a path, or a mapping with cel, constant or fields", field=place) from None
    except DeclarationError as error:
        raise DeclarationError(error.problem, field=place) from None


def _day(text: str) -> date:
    return date.fromisoformat(text[:10])


def _days(start: str, end: str) -> int:
    return (_day(end) - _day(start)).days


def _months(start: str, end: str) -> int:
    """Whole calendar months from one date to another; negative where the other is earlier."""
    first, last = _day(start), _day(end)
    if last < first:
        return -_months(end, start)
    at_end = last.day == monthrange(last.year, last.month)[1]  # of a month that is shorter, the last day completes it
    return (last.year - first.year) * 12 + last.month - first.month - (last.day < first.day and not at_end)


def _sum(values: Sequence[Any]) -> float:
    return float(sum(value for value in values if value is not None))


def _cents(amount: float) -> int:
    """Money in whole cents: doubles say that 0.1 + 0.2 is more than 0.3."""
    return round(amount * 100)


_FUNCTIONS: dict[str, Callable[..., Any]] = {"cents": _cents, "days": _days, "months": _months, "sum": _sum}
