"""Small words that plans and reports share."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: ``1 topic``, ``2 topics``, ``2 copies``."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
