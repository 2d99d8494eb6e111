"""What each transform does to a single value, and which Avro types it takes and gives.

``compile_transform`` is the one table of transforms; ``delivery`` lifts them over nulls, arrays, maps and records.
A transform that cannot take a value raises ``ValueError`` with words that hold no value.
"""

from __future__ import annotations

import hmac
import itertools
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from hutong.agreements.agreement import Copy, Generalise, MapCodes, Mask, Pseudonymise
from hutong.agreements.grant import CodeLists
from hutong.contracts.avro import Schema, kind, logical
from hutong.errors import DeclarationError

__all__ = ["Transform", "bands", "code_table", "compile_transform", "pseudonym"]

OfField = Mask | Pseudonymise | Generalise | MapCodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """A compiled transform of one scalar.

    Attributes:
        out: the Avro type that comes out.
        apply: value -> value.
    """

    out: Schema
    apply: Callable[[Any], Any]


def compile_transform(grant: Copy | OfField, schema: Schema, code_lists: CodeLists, secret: bytes) -> Transform | None:
    """The transform of a scalar type; None for a copy.

    Args:
        grant: the field's entry in the agreement.
        schema: the resolved scalar type (not null, not a container).
        code_lists: the code lists that ``map`` may name.
        secret: the agreement's pseudonym key; any bytes will do where only types matter.

    Raises:
        DeclarationError: the type cannot take the transform, or the code list does not serve.
    """
    match grant:
        case Copy():
            return None
        case Mask():
            _need(kind(schema) == "string" and not logical(schema), "mask", "text", schema)
            return Transform(out="string", apply=_mask(grant.keep_first, grant.keep_last))
        case Pseudonymise():
            known = kind(schema) in {"string", "int", "long", "bytes", "fixed", "enum"} and logical(schema) in {None, "uuid"}
            _need(known, "pseudonymise", "text, an integer, an enum, bytes or a UUID", schema)
            return Transform(out="string", apply=lambda value: pseudonym(secret, value))
        case Generalise():
            return _generalise(grant, schema)
        case MapCodes():
            _need(kind(schema) in {"string", "enum"} and not logical(schema), "map", "text or an enum", schema)
            return Transform(out="string", apply=_mapping(grant, schema, code_lists))


def pseudonym(secret: bytes, value: Any) -> str:
    """HMAC-SHA256 of a value's text (or of its bytes), 64 lower-case hexadecimal characters (RFC 2104, FIPS 180-4)."""
    message = value if isinstance(value, bytes) else str(value).encode()
    return hmac.digest(secret, message, "sha256").hex()


def _need(holds: bool, transform: str, takes: str, schema: Schema) -> None:
    if not holds:
        raise DeclarationError(f"the transform {transform} takes {takes}; this field is a {logical(schema) or kind(schema)}")


def _mask(first: int, last: int) -> Callable[[str], str]:
    def mask(text: str) -> str:
        hidden = len(text) - first - last
        # A text that is not longer than what would stay visible is hidden whole: showing all of it would be no mask.
        if hidden <= 0:
            return "*" * len(text)
        return text[:first] + "*" * hidden + text[len(text) - last :]

    return mask


def _generalise(grant: Generalise, schema: Schema) -> Transform:
    if grant.to is not None:
        return _generalise_time(grant.to, schema)
    if grant.keep_first is not None:
        _need(kind(schema) == "string" and not logical(schema), "generalise keep_first", "text", schema)
        keep, pad = grant.keep_first, grant.pad
        if pad is None:
            return Transform(out="string", apply=lambda text: text[:keep])
        return Transform(out="string", apply=lambda text: text[:keep] + pad * (len(text) - keep))
    number = kind(schema) in {"int", "long", "float", "double"} and not logical(schema)
    _need(number or logical(schema) == "decimal", "generalise bands", "a number or a decimal", schema)
    return Transform(out="string", apply=_band(grant.bands or ()))


def _generalise_time(to: str, schema: Schema) -> Transform:
    is_time = logical(schema) == "date" or "timestamp" in (logical(schema) or "")
    _need(is_time, f"generalise to {to}", "a date or a timestamp", schema)
    match to:
        case "year":
            return Transform(out="int", apply=lambda moment: moment.year)
        case "month":
            return Transform(out="string", apply=lambda moment: f"{moment.year:04d}-{moment.month:02d}")
        case _:
            return Transform(out={"type": "int", "logicalType": "date"}, apply=_day)


def _day(moment: date | datetime) -> date:
    return moment.date() if isinstance(moment, datetime) else moment


def bands(bounds: tuple[float, ...]) -> tuple[list[Decimal], list[str]]:
    """The bounds as they are written, and the name of each band, the one below all bounds first."""
    texts = [f"{bound:.15g}" for bound in bounds]
    labels = [f"<{texts[0]}", *(f"{low}-{high}" for low, high in itertools.pairwise(texts)), f">={texts[-1]}"]
    return [Decimal(text) for text in texts], labels


def _band(bounds: tuple[float, ...]) -> Callable[[Any], str]:
    exact, labels = bands(bounds)

    def band(value: Any) -> str:
        if value != value:  # NaN belongs to no band
            raise ValueError("not a number has no band")
        return labels[bisect_right(exact, value)]

    return band


def code_table(grant: MapCodes, schema: Schema, code_lists: CodeLists) -> dict[str, str]:
    """What each value of one column is in the other.

    Raises:
        DeclarationError: the code list does not serve.
    """
    entries = code_lists.get(grant.code_list)
    if entries is None:
        raise DeclarationError(f"there is no code list {grant.code_list}")
    for column in (grant.source, grant.to):
        if not all(column in entry for entry in entries):
            raise DeclarationError(f"the code list {grant.code_list} has no column {column} in every entry")
    table = {entry[grant.source]: entry[grant.to] for entry in entries}
    if len(table) != len(entries):
        raise DeclarationError(f"the code list {grant.code_list} has a value twice in its column {grant.source}")
    if kind(schema) == "enum" and (missing := [symbol for symbol in schema["symbols"] if symbol not in table]):
        raise DeclarationError(f"the code list {grant.code_list} has no entry for {', '.join(missing)}")
    return table


def _mapping(grant: MapCodes, schema: Schema, code_lists: CodeLists) -> Callable[[str], str]:
    table = code_table(grant, schema, code_lists)

    def translate(value: str) -> str:
        try:
            return table[value]
        except KeyError:
            raise ValueError(f"the value is not in the code list {grant.code_list}") from None

    return translate
