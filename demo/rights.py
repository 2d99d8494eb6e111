"""What an agreement grants, worked out once more in plain Python, so that the demo can judge the bus.

Reads the declarations under ``schemas/`` and shares no code with the bus: not its models, not its compiler, not its transforms.
Neighbours: ``account`` compares what comes out here with what the ministries hold.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Right", "as_plain", "canonical", "read_rights"]

Data = Mapping[str, Any]
_Condition = Callable[[Data], bool]
_Codes = Mapping[str, Sequence[Mapping[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One agreement, as far as the demo judges it.

    Attributes:
        agreement: its id.
        recipient: code of the receiving department.
        contract: the contract that it is about.
        channel: name of the recipient's channel.
        conditions: all must hold for an event to be granted.
        fields: the entries of the declaration.
        codes: code lists.
        key: the pseudonym key, empty where none is needed.
    """

    agreement: str
    recipient: str
    contract: str
    channel: str
    conditions: tuple[_Condition, ...]
    fields: tuple[Data, ...]
    codes: _Codes
    key: bytes

    def grants(self, event: Data) -> bool:
        """Whether the recipient may have this event."""
        return all(holds(event) for holds in self.conditions)

    def delivery(self, event: Data) -> dict[str, Any]:
        """Exactly what the recipient must get of it."""
        paths = [(str(field["field"]).split("."), field) for field in self.fields if "field" in field]
        out = self._project(event, paths)
        for field in self.fields:
            if field.get("transform") == "constant":
                out[field["as"]] = field["value"]
            elif field.get("transform") == "derive":
                out[field["as"]] = _TYPES[field["type"]](_cel(field["cel"])(event))
        return out

    def delivery_key(self, key: str, key_field: str) -> str:
        """The Kafka key that the delivery must have: the event's own only where the recipient gets that field as it is."""
        if any(field.get("field") == key_field and field.get("transform", "copy") == "copy" for field in self.fields):
            return key
        return self._pseudonym(key)

    def _project(self, record: Data, paths: Sequence[tuple[Sequence[str], Data]]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        deeper: dict[str, list[tuple[Sequence[str], Data]]] = {}
        for path, field in paths:
            if len(path) > 1:
                deeper.setdefault(path[0], []).append((path[1:], field))
            else:
                out[field.get("as", path[0])] = self._transformed(record[path[0]], field)
        for name, below in deeper.items():
            value = record[name]
            if isinstance(value, list):
                out[name] = [self._project(item, below) for item in value]
            else:
                out[name] = None if value is None else self._project(value, below)
        return out

    def _pseudonym(self, text: str) -> str:
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()

    def _transformed(self, value: Any, field: Data) -> Any:
        if value is None:
            return None
        match field.get("transform", "copy"):
            case "copy":
                return value
            case "mask":
                first, last = field.get("keep_first", 0), field.get("keep_last", 0)
                return value[:first] + "*" * (len(value) - first - last) + value[len(value) - last :]
            case "pseudonymise":
                return self._pseudonym(str(value))
            case "generalise":
                return _generalised(value, field)
            case "map":
                entries = self.codes[field["code_list"]]
                return next(entry[field.get("to", "code")] for entry in entries if entry[field.get("from", "symbol")] == value)
            case unknown:
                raise ValueError(
                    f"agreement {self.agreement}: the demo does not know the transform {unknown!r}; add it in demo/rights.py"
                )


def read_rights(schemas: Path, key_of: Callable[[str], str | None]) -> tuple[Right, ...]:
    """Every agreement declared under ``schemas``; ``key_of`` gives an agreement's pseudonym key in hexadecimal."""
    codes = {path.stem: yaml.safe_load(path.read_text("utf-8"))["entries"] for path in (schemas / "codelists").glob("*.yaml")}
    rights = []
    for path in sorted((schemas / "agreements").glob("*/*.yaml")):
        declared = yaml.safe_load(path.read_text("utf-8"))
        rights.append(
            Right(
                agreement=declared["id"],
                recipient=declared["recipient"],
                contract=declared["contract"],
                channel=declared.get("channel", declared["id"]),
                conditions=tuple(_condition(row) for row in declared.get("rows", ())),
                fields=tuple(declared["fields"]),
                codes=codes,
                key=bytes.fromhex(key_of(declared["id"]) or ""),
            )
        )
    return tuple(rights)


def as_plain(value: Any) -> Any:
    """A value in JSON's terms: times in UTC, decimals and dates as text."""
    return json.loads(canonical(value))


def _plain_leaf(value: Any) -> str:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case _:
            raise TypeError(f"the demo has no text for a {type(value).__name__}")


def canonical(value: Any) -> str:
    """Data as JSON text, the same text for the same data."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain_leaf)


def _condition(row: Data) -> _Condition:
    if "cel" in row:
        evaluate = _cel(row["cel"])
        return lambda event: evaluate(event) is True
    path = str(row["field"]).split(".")
    tests = list(_tests(row))

    def holds(event: Data) -> bool:
        value: Any = event
        for segment in path:
            value = None if value is None else value[segment]
        return value is not None and all(test(value) for test in tests)

    return holds


def _tests(row: Data) -> Iterator[Callable[[Any], bool]]:
    if "equals" in row:
        wanted = row["equals"]
        yield lambda value: bool(value == wanted)
    if "in" in row:
        yield lambda value: value in row["in"]
    if "prefix" in row:
        yield lambda value: str(value).startswith(row["prefix"])
    if "at_least" in row:
        yield lambda value: bool(value >= _like(value, row["at_least"]))
    if "at_most" in row:
        yield lambda value: bool(value <= _like(value, row["at_most"]))


def _like(value: Any, bound: Any) -> Any:
    """The bound as a value of the same kind; YAML has text for dates."""
    if isinstance(value, date):
        return bound if isinstance(bound, date) else date.fromisoformat(bound)
    return Decimal(str(bound)) if isinstance(value, Decimal) else bound


def _generalised(value: Any, field: Data) -> Any:
    if "to" in field:
        return {"year": value.year, "month": f"{value:%Y-%m}", "day": f"{value:%Y-%m-%d}"}[field["to"]]
    if "keep_first" in field:
        kept = value[: field["keep_first"]]
        return kept + field["pad"] * (len(value) - len(kept)) if "pad" in field else kept
    bands = field["bands"]
    if value < bands[0]:
        return f"<{bands[0]}"
    for low, high in pairwise(bands):
        if value < high:
            return f"{low}-{high}"
    return f">={bands[-1]}"


_TYPES: Mapping[str, Callable[[Any], Any]] = {"string": str, "boolean": bool, "long": int, "double": float}


def _cel(text: str) -> Callable[[Data], Any]:
    """A CEL expression over an event; the language's own library is the one thing that the bus uses too."""
    import cel

    program = cel.compile(text)
    names = program.variables()
    return lambda event: program.execute({name: _for_cel(event[name]) for name in names})


def _for_cel(value: Any) -> Any:
    match value:
        case Decimal():
            return float(value)
        case date():
            return value.isoformat()
        case Mapping():
            return {key: _for_cel(item) for key, item in value.items()}
        case list():
            return [_for_cel(item) for item in value]
        case _:
            return value
