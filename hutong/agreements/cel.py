"""The Common Expression Language, at one edge: compile, evaluate, and how an event's values look inside an expression.

Variables are the event's top-level fields. Dates and times are RFC 3339 text, decimals are doubles, UUIDs are text.
Only the fields that an expression refers to are converted: that is what an evaluation costs.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
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
_ADDITIONS = 16  # every one may copy a text of a megabyte
_SEEN = 10_000  # items in lists and maps that are handed over, each as often as the expression names what it is in
_LOOPED = 500  # items that an expression with a loop may see
_LOOPED_TEXT = 10_000  # characters that it may see
_CROSSED = 3_000  # items that a loop may look at that names a list inside: ``l.all(x, x in l)`` looks at each for each
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_REFUSED = ("//", "matches", "\\", "'''", '"""')  # comments, regular expressions, and quotes that are hard to see the end of
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_WORD = re.compile(r"[A-Za-z_]\w*")
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
    bound, inside = _refuse_costly(text)
    named, loops = Counter(_WORD.findall(_QUOTED.sub("''", text))), bool(bound)
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
        # A flow's expression names whole answers and reads a field of them: what a case holds is bounded where it is stored.
        if not converted and (loops or not all(type(data.get(name)) in _SCALARS for name in names)):
            _refuse_large({name: _parts(data.get(name)) for name in names}, named, inside, loops=loops)
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


def _refuse_costly(text: str) -> tuple[frozenset[str], Counter[str]]:
    """Names that loops bind, and those that stand inside them.

    Loops inside loops multiply, and run on every event; what one may see is bounded when it runs.
    """
    if len(text) > _LIMIT:
        raise DeclarationError(f"the CEL expression has more than {_LIMIT} characters")
    if any(token in text for token in _REFUSED):
        raise DeclarationError(f"the CEL expression has one of {' '.join(_REFUSED)}, which are not supported here")
    text = _QUOTED.sub("''", text)  # what stands in quotes opens and closes nothing
    if text.count("+") > _ADDITIONS:
        raise DeclarationError(f"the CEL expression adds more than {_ADDITIONS} times")
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
    inside = Counter(word for loop in loops for word in _WORD.findall(_body(text[loop.end() :])))
    return frozenset(loop.group(1) for loop in loops), inside


def _body(text: str) -> str:
    """A text up to the bracket that closes what was open before it."""
    depth = 1
    for at, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if not depth:
            return text[:at]
    return text


def _refuse_large(parts: Mapping[str, tuple[int, int]], named: Counter[str], inside: Counter[str], *, loops: bool) -> None:
    """Raises ``ValueError`` where an evaluation might take long.

    Args:
        parts: field -> the items and the characters in it.
        named: field -> how often the expression names it.
        inside: the same of what stands inside loops.
        loops: whether there is any.
    """
    items, characters = (sum(part[at] for part in parts.values()) for at in (0, 1))
    handed = sum(parts[name][0] * times for name, times in named.items() if name in parts)
    crossed = items * sum(parts[name][0] * times for name, times in inside.items() if name in parts)
    if handed > _SEEN or (loops and (items > _LOOPED or characters > _LOOPED_TEXT or crossed > _CROSSED)):
        raise ValueError("the lists, maps or texts in it are too large for this CEL expression")


def _parts(value: Any) -> tuple[int, int]:
    """How many items and characters are in a value; no more than a few beyond what is too many."""
    items = characters = 0
    waiting = [value]
    while waiting and items <= _SEEN:
        value = waiting.pop()
        if isinstance(value, str):
            characters += len(value)
        elif isinstance(value, Mapping):
            items += len(value)
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple)):
            items += len(value)
            waiting += value
    return items, characters


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
