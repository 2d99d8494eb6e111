"""What the extension does not do is left to the reference transcoder, plan by plan."""

from __future__ import annotations

__all__ = ["Beyond"]


class Beyond(Exception):
    """The plan needs more than the extension does."""
