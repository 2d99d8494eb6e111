"""What Avro names are called in Python: never a keyword, never in the way of pydantic or of the generated module's own names."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Collection
from enum import StrEnum

from hutong.model import ChangeEvent, Delivery

__all__ = ["RESERVED_CLASSES", "attribute_name", "class_name", "member_name", "module_name"]

RESERVED_CLASSES = frozenset(
    {
        "Annotated",
        "Any",
        "AvroEnum",
        "AvroRecord",
        "ChangeEvent",
        "Decimal",
        "Delivery",
        "Digits",
        "Field",
        "Fixed",
        "Float",
        "Int",
        "LocalMoment",
        "Long",
        "Moment",
        "Rules",
        "UUID",
        "dt",
    }
) | frozenset(dir(builtins))
"""Names that a generated module uses itself."""

_NO_ATTRIBUTES = (
    frozenset(dir(ChangeEvent))
    | frozenset(dir(Delivery))
    | frozenset({"contract", "version", "agreement", "avro_name", "avro_schema", "dt"})
    | frozenset({"bool", "bytes", "dict", "float", "int", "list", "str"})  # a field of that name would hide the type
)
_NO_MEMBERS = frozenset(dir(StrEnum)) | {"mro", "name", "value"}


def attribute_name(avro_name: str, taken: Collection[str]) -> str:
    """The Python attribute of an Avro field; ``taken`` are the attributes and classes that are there already."""
    return _free(avro_name, lambda name: name not in taken and name not in _NO_ATTRIBUTES)


def member_name(symbol: str, taken: Collection[str]) -> str:
    """The Python member of an enum symbol."""
    return _free(symbol, lambda name: name not in taken and name not in _NO_MEMBERS)


def class_name(avro_name: str, root: str, taken: Collection[str]) -> str:
    """The Python class of an Avro type; where its own name is taken, the root record's name comes before it."""
    own = "".join(part[:1].upper() + part[1:] for part in re.split(r"_+", avro_name.rpartition(".")[2]) if part) or "Record"
    own = own if own[0].isalpha() else f"Record{own}"
    for name in (own, root + own):
        if name not in taken and name not in RESERVED_CLASSES and not keyword.iskeyword(name):
            return name
    number = 2
    while f"{root}{own}{number}" in taken:
        number += 1
    return f"{root}{own}{number}"


def module_name(text: str) -> str:
    """A department's, event's or agreement's name as a module."""
    name = re.sub(r"\W", "_", text)
    return f"{name}_" if keyword.iskeyword(name) or not name.isidentifier() else name


def _free(name: str, is_free: Callable[[str], bool]) -> str:
    wanted = name.lstrip("_") or "field"  # a leading underscore is private to pydantic and to enums
    if wanted[0].isdigit():
        wanted = f"n{wanted}"
    while keyword.iskeyword(wanted) or not is_free(wanted):
        wanted += "_"
    return wanted
