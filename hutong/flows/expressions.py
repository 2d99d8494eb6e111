"""What a flow's file says about values: paths, CEL and trees of them, compiled to functions of what a case knows.

A path that leads nowhere is null: an answer may not be there yet. Neighbours: ``flow`` holds the texts, ``plan`` compiles them
with this, ``shape`` makes the result fit a contract.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from math import fsum
from typing import Any

from pydantic import ValidationError

from hutong.agreements.cel import compile_expression
from hutong.errors import DeclarationError
from hutong.flows.flow import Expression
from hutong.flows.reads import part_of, reads

__all__ = ["MEMO", "Context", "Value", "compile_condition", "compile_tree", "compile_value", "follow"]

Context = Mapping[str, Any]
"""What an expression sees, by name."""

Value = Callable[[Context], Any]
"""Context -> value; raises ``ValueError`` where there is none."""

MEMO = ""
"""Where a context may have a ``dict`` for values that are the same for all questions asked at once; no expression sees it."""

_FORMS = frozenset(Expression.model_fields)
_SHARED = frozenset({"flow", "data", "people", "answers"})  # what does not differ between those questions


def follow(path: str) -> Value:
    """A function that follows a dotted path through mappings; null where something on the way is missing."""
    first, *rest = path.split(".")
    last = rest[0] if len(rest) == 1 else ""

    def get(context: Context) -> Any:
        value = context.get(first)
        for segment in rest:
            if type(value) is not dict and not isinstance(value, Mapping):  # the first is what it nearly always is, and cheap
                return None
            value = value.get(segment)
        return value

    def get_second(context: Context) -> Any:
        value = context.get(first)
        return value.get(last) if type(value) is dict else get(context)

    return get_second if last else get  # most paths are of two names


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
    """An expression that is given no more than it reads."""
    evaluate = compile_expression(text, known, _FUNCTIONS, converted=converted)
    parts = reads(text, known)
    if not parts:
        return evaluate
    shared = converted and parts.keys() <= _SHARED

    def value(context: Context) -> Any:
        memo = context.get(MEMO) if shared else None
        if memo is not None and value in memo:
            return memo[value]
        found = evaluate(
            {**context, **{name: part_of(context[name], wanted) for name, wanted in parts.items() if name in context}}
        )
        if memo is not None:
            memo[value] = found
        return found

    return value


def compile_tree(tree: Mapping[str, Any], known: frozenset[str], place: str = "") -> Value:
    """A mapping of field names to values' expressions, nested as the record is that it makes.

    Raises:
        DeclarationError: an expression is wrong; its field is the error's.
    """
    parts = {name: _part(part, known, f"{place}.{name}" if place else name) for name, part in tree.items()}
    return _joined(parts, {name: part for name, part in tree.items() if isinstance(part, str)})


def _joined(parts: Mapping[str, Value], paths: Mapping[str, str]) -> Value:
    """All values at once. A case has some 300 in its events: generated code takes those of two names without a call for each."""
    pairs = {name: path.split(".") for name, path in paths.items() if path.count(".") == 1}
    roots = {root: f"root_{at}" for at, root in enumerate(dict.fromkeys(root for root, _ in pairs.values()))}
    scope: dict[str, Any] = {f"value_{at}": value for at, value in enumerate(parts.values())}
    fields = []
    for at, name in enumerate(parts):
        value = f"value_{at}(context)"
        if name in pairs:
            root = roots[pairs[name][0]]
            value = f"{root}.get({pairs[name][1]!r}) if type({root}) is dict else {value}"
        fields.append(f"{name!r}: {value},")
    found = [f"{variable} = context.get({root!r})" for root, variable in roots.items()]
    lines = ["def make(context):", *(f" {line}" for line in found), " return {", *(f"  {one}" for one in fields), " }"]
    exec(compile("\n".join(lines), "<tree>", "exec"), scope)  # noqa: S102 - nothing of a declaration is in it but quoted names
    made: Value = scope["make"]
    return made


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
    """Rounded once: CEL goes through a mapping in any order, and a case must come out the same every time."""
    return fsum(value for value in values if value is not None)


def _cents(amount: float) -> int:
    """Money in whole cents: doubles say that 0.1 + 0.2 is more than 0.3."""
    return round(amount * 100)


def _silent(function: Callable[..., Any]) -> Callable[..., Any]:
    """CEL writes what a function raises into the log, and the words of a value may be in it."""

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever the values were
            raise ValueError(type(error).__name__) from None

    return call


_FUNCTIONS = {"cents": _silent(_cents), "days": _silent(_days), "months": _silent(_months), "sum": _silent(_sum)}
