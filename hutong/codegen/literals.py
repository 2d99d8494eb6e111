"""Values and prose as Python source, laid out within the line width as formatters do."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

__all__ = ["WIDTH", "attribute_doc", "call", "class_doc", "literal", "width"]

WIDTH = 110


def width(text: str) -> int:
    """Columns on a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def literal(value: Any, indent: int = 0, before: int = 0, after: int = 1) -> str:
    """A JSON-shaped value as a Python literal.

    Args:
        value: the value.
        indent: columns before the lines of its items.
        before: columns before its first character.
        after: columns that follow it on its last line.
    """
    flat = _flat(value)
    if before + width(flat) + after <= WIDTH or not isinstance(value, (Mapping, list, tuple, str)) or not value:
        return flat
    pad, inner = " " * indent, " " * (indent + 4)
    if isinstance(value, str):
        return _long_text(value, pad, inner)
    if isinstance(value, Mapping):
        lines = []
        for key, item in value.items():
            head = f"{_flat(key)}: "
            lines.append(f"{inner}{head}{literal(item, indent + 4, indent + 4 + width(head))},\n")
        return "{\n" + "".join(lines) + pad + "}"
    opening, closing = ("[", "]") if isinstance(value, list) else ("(", ")")
    return opening + "\n" + "".join(f"{inner}{literal(item, indent + 4, indent + 4)},\n" for item in value) + pad + closing


def call(name: str, arguments: Mapping[str, Any]) -> str:
    """A call with keyword arguments of JSON-shaped values, on one line."""
    return f"{name}({', '.join(f'{key}={_flat(value)}' for key, value in arguments.items())})"


def class_doc(summary: str, text: str) -> list[str]:
    """A class's docstring: the text where it fits one line, else the summary and the text below it."""
    text = _prose(text)
    one_line = _sentence(text)
    if text and width(one_line) + 10 <= WIDTH:
        return [f"    {_quoted(one_line)}"]
    if not text:
        return [f"    {_quoted(_sentence(_prose(summary)))}"]
    lines = [_sentence(_prose(summary)), "", *_wrapped(text, WIDTH - 4)]
    opening = 'r"""' if "\\" in "".join(lines) else '"""'
    return [f"    {opening}{lines[0]}", *(f"    {line}".rstrip() for line in lines[1:]), '    """']


def attribute_doc(text: str) -> list[str]:
    """A field's docstring, below the field."""
    text = _prose(text)
    if not text:
        return []
    if width(_sentence(text)) + 10 <= WIDTH:
        return [f"    {_quoted(_sentence(text))}"]
    lines = _wrapped(_sentence(text), WIDTH - 8)
    opening = 'r"""' if "\\" in text else '"""'
    return [f"    {opening}{lines[0]}", *(f"    {line}" for line in lines[1:-1]), f'    {lines[-1]}"""']


def _long_text(value: str, pad: str, inner: str) -> str:
    """A text over several lines, which Python puts together again."""
    parts = [""]
    for character in value:
        if width(inner) + width(_flat(parts[-1] + character)) > WIDTH:
            parts.append("")
        parts[-1] += character
    return _flat(value) if len(parts) == 1 else "(\n" + "".join(f"{inner}{_flat(part)}\n" for part in parts) + f"{pad})"


def _flat(value: Any) -> str:
    match value:
        case None | True | False:
            return str(value)
        case str():
            text = json.dumps(value, ensure_ascii=not value.isprintable())
            # As formatters have it: the quotes that need fewer escapes.
            return "'" + text[1:-1].replace('\\"', '"') + "'" if '"' in value and "'" not in value else text
        case Mapping():
            return "{" + ", ".join(f"{_flat(key)}: {_flat(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flat, value)) + "]"
        case tuple():
            return "(" + ", ".join(map(_flat, value)) + ("," if len(value) == 1 else "") + ")"
        case float():
            return repr(value) if value == value and value not in (float("inf"), -float("inf")) else f'float("{value}")'
        case _:
            return repr(value)


def _prose(text: str) -> str:
    """Text that can stand in a docstring: one space between words, no control characters, no closing quotes."""
    words = "".join(character if character.isprintable() else " " for character in text).split()
    return " ".join(words).replace('"""', "'''")


def _sentence(text: str) -> str:
    return text if not text or text[-1] in ".?!。？！" else f"{text}."


def _quoted(line: str) -> str:
    return f'{"r" if chr(92) in line else ""}"""{line}"""'


def _wrapped(text: str, columns: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        candidate = f"{lines[-1]} {word}" if lines[-1] else word
        if width(candidate) <= columns:
            lines[-1] = candidate
            continue
        if lines[-1]:
            lines.append("")
        for character in word:  # Chinese has no spaces to break at
            if width(lines[-1] + character) > columns:
                lines.append("")
            lines[-1] += character
    return lines
