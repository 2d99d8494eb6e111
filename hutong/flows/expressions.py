"""What a flow's file says about values: paths, CEL and trees of them, compiled to functions of what a case knows.

A path that leads nowhere is null: an answer may not be there yet. Neighbours: ``flow`` holds the texts, ``plan`` compiles them
with this, ``shape`` makes the result fit a contract.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from pydantic import ValidationError

from hutong.agreements.cel import compile_expression
from hutong.errors import DeclarationError
from hutong.flows.flow import Expression

__all__ = ["Context", "Value", "compile_condition", "compile_tree", "compile_value", "follow"]

Context = Mapping[str, Any]
"""What an expression sees, by name."""

Value = Callable[[Context], Any]
"""Context -> value; raises ``ValueError`` where there is none."""

_FORMS = frozenset(Expression.model_fields)


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
        return compile_expression(expression.cel, known, _FUNCTIONS, converted=converted)
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
    evaluate = compile_expression(text, known, _FUNCTIONS, converted=converted)

    def holds(context: Context) -> bool:
        value = evaluate(context)
        if not isinstance(value, bool):
            raise ValueError("the CEL condition is not true or false")  # noqa: TRY004 - one error for all that CEL does
        return value

    return holds


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
