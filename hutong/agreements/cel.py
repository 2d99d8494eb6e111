"""The Common Expression Language, at one edge: compile, evaluate, and how an event's values look inside an expression.

Variables are the event's top-level fields. Dates and times are RFC 3339 text, decimals are doubles, UUIDs are text.
Only the fields that an expression refers to are converted: that is what an evaluation costs.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from hutong.errors import ConfigurationError, DeclarationError

__all__ = ["Expression", "Functions", "compile_expression", "plain", "references"]

Expression = Callable[[Mapping[str, Any]], Any]
"""Event data -> the expression's value; raises ``ValueError`` where it cannot be evaluated."""

Functions = Mapping[str, Callable[..., Any]]
"""What an expression may call besides the standard's own, by name."""

_LIMIT = 1000  # characters; a longer condition belongs into the source's own data
_NESTING = 30  # open brackets at once; the parser recurses on them
_REFUSED = ("//", "matches", "\\", "'''", '"""')  # comments, regular expressions, and quotes that are hard to see the end of
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|filter|map)\s*\(\s*([A-Za-z_]\w*)\s*,")


def compile_expression(
    text: str, known: frozenset[str], functions: Functions | None = None, *, converted: bool = False
) -> Expression:
    """Compile an expression over the top-level fields named in ``known``.

    Args:
        text: the expression.
        known: what it may refer to.
        functions: what it may call besides the standard's functions.
        converted: whether the data that it will see have been through ``plain`` already.

    Raises:
        DeclarationError: it does not parse, may cost too much, or refers to something that is no field.
        ConfigurationError: the CEL library is not installed.
    """
    bound = _refuse_costly(text)
    try:
        import cel
    except ImportError:
        raise ConfigurationError("CEL expressions need: pip install 'hutong[services]'") from None
    try:
        program = cel.compile(text)
    except ValueError as error:
        raise DeclarationError(f"the CEL expression does not compile: {str(error).splitlines()[0]}") from None
    variables = frozenset(program.variables())
    if unknown := sorted(variables - known - bound):
        raise DeclarationError(f"the CEL expression refers to {', '.join(unknown)}, which is no field of the contract")
    names = sorted(variables & known)
    if not names:
        raise DeclarationError("the CEL expression refers to no field; a constant condition or value is not one")

    called = {name: function for name, function in (functions or {}).items() if name in program.functions()}

    def evaluate(data: Mapping[str, Any]) -> Any:
        try:
            variables = {name: data[name] if converted else plain(data[name]) for name in names}
            return program.execute(cel.Context(variables, called) if called else variables)
        except Exception as error:  # noqa: BLE001 - an index, a division, a type: whatever it is, the event cannot be judged
            raise ValueError(f"the CEL expression cannot be evaluated ({type(error).__name__})") from None

    return evaluate


def references(text: str, known: frozenset[str]) -> frozenset[str]:
    """The fields among ``known`` that an expression refers to; ``compile_expression`` has accepted it before."""
    import cel

    return frozenset(cel.compile(text).variables()) & known


def _refuse_costly(text: str) -> frozenset[str]:
    """Names that loops bind. One loop costs what the array is long; loops inside loops multiply, and run on every event."""
    if len(text) > _LIMIT:
        raise DeclarationError(f"the CEL expression has more than {_LIMIT} characters")
    if any(token in text for token in _REFUSED):
        raise DeclarationError(f"the CEL expression has one of {' '.join(_REFUSED)}, which are not supported here")
    text = _QUOTED.sub("''", text)  # what stands in quotes opens and closes nothing
    depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth > _NESTING:
            raise DeclarationError(f"the CEL expression nests more than {_NESTING} brackets")
    loops = list(_LOOP.finditer(text))
    for outer, inner in itertools.pairwise(loops):
        between = text[outer.end() : inner.start()]
        if between.count("(") >= between.count(")"):
            raise DeclarationError("the CEL expression has a loop (all, exists, filter, map) inside a loop; use one level")
    return frozenset(loop.group(1) for loop in loops)


def plain(value: Any) -> Any:
    """A value of an event as JSON holds it, and as expressions see it.

    Raises:
        ValueError: it has no such form.
    """
    match value:
        case None | bool() | int() | float() | str() | bytes():
            return value
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return float(value)
        case UUID():
            return str(value)
        case Mapping():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case (str(), dict()):  # a record in a union of records: (name, record)
            return plain(value[1])
        case _:
            raise ValueError("a value has no form in CEL")
