"""A declaration file as plain data that still knows on which line each part stands.

Neighbours: ``yaml`` and ``json`` make these from text; everything that checks a declaration asks them where a problem is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hutong.errors import DeclarationError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "Document", "Path", "field_text"]

Path = tuple[str | int, ...]
"""Keys and positions from the top of a document."""

MAX_BYTES = 1_000_000
"""Largest declaration that is read. The biggest real ones have some 30 kB; a larger file is a mistake or an attack."""

MAX_DEPTH = 100
"""Levels of nesting that a declaration may have; the readers recurse once per level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file's content.

    Attributes:
        file: path relative to the declarations' directory, with ``/``.
        data: the content, of JSON's types alone.
        lines: 1-based line of every part; a mapping's entry stands where its key stands.
    """

    file: str
    data: Any
    lines: Mapping[Path, int]

    def line(self, path: Sequence[str | int]) -> int:
        """The line of a part, or of the nearest part around it where it is missing.

        Segments that the document does not have are skipped: pydantic puts names of alternatives into its paths.
        """
        return self.lines.get(self.present(path), 1)

    def error(self, problem: str, path: Sequence[str | int] = (), *, field: str | None = None) -> DeclarationError:
        """A problem with the part at ``path``; ``field`` names it otherwise than by that path."""
        name = field_text(path) if field is None else field
        return DeclarationError(problem, file=self.file, line=self.line(path), field=name)

    def present(self, path: Sequence[str | int]) -> Path:
        """The path without the segments that the document does not have."""
        here: Path = ()
        for segment in path:
            if (*here, segment) in self.lines:
                here = (*here, segment)
        return here


def field_text(path: Sequence[str | int]) -> str:
    """A path as people write it: ``fields[2].field``."""
    out = ""
    for segment in path:
        out += f"[{segment}]" if isinstance(segment, int) else f".{segment}" if out else str(segment)
    return out
