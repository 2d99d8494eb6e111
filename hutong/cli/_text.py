"""Plain text in columns, for lines that a person reads and another program may cut: no box, no colour of its own.

Neighbours: ``status`` and ``doctor`` print with this; ``_help`` counts the columns of Chinese.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from hutong.cli._help import cells

__all__ = ["columns", "padded", "visible"]

_GAP = 2


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows as lines, each column as wide as its widest cell; the last one is as long as it is."""
    widths = [max(_width(row[at]) for row in rows) for at in range(len(rows[0]) - 1)] if rows else []
    return [
        "".join([*(padded(cell, width + _GAP) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]


def visible(text: str) -> str:
    """A text that somebody else wrote, without what a terminal would obey: it might rewrite what stands above it."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def padded(text: str, width: int) -> str:
    """A text with blanks behind it, up to so many columns."""
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    return cells(click.unstyle(text))
