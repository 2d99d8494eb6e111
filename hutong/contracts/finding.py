"""A problem that a pure check found in declarations, before it is known in which file that is.

Neighbours: ``matching`` and the agreements' checks make these, the catalogue adds file and line.
"""

from __future__ import annotations

from dataclasses import dataclass

from hutong.contracts.wellformed import Place

__all__ = ["Finding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem.

    Attributes:
        problem: what is wrong and what to do.
        place: where in the document.
        field: dotted path in the event, where one is meant; empty where the place says enough.
        version: number of the Avro schema that is meant, or None for ``contract.yaml``.
        warning: true where it may stay as it is.
    """

    problem: str
    place: Place = ()
    field: str = ""
    version: int | None = None
    warning: bool = False
