"""How far the inbox had been read when a state was made: stamped onto the state, so that an older one never replaces a newer one.

A process that was stopped for longer than its session, and wakes in the middle of a write, may still write what it had in hand.
What its successor wrote counts then, whatever stands last on the changelog. Neighbours: ``services/coordinator`` stamps states,
and leaves older ones out when it reads its own; ``changelog`` leaves them out for ``hutong cases``.
"""

from __future__ import annotations

__all__ = ["Newest", "position_of", "stamped"]

_MARK = b',"position":'
_DIGITS = 24  # of a position, and the brace behind it: no more of a state is looked at


def stamped(document: bytes, position: int) -> bytes:
    """A JSON object that is not empty, with its position as the last member."""
    return b"%s%s%d}" % (document[:-1], _MARK, position)


def position_of(document: bytes) -> int:
    """The position of a stamped object; -1 for one that has none, which any stamped one replaces."""
    _, mark, digits = document[-len(_MARK) - _DIGITS :].rpartition(_MARK)
    number = digits[:-1]
    return int(number) if mark and digits.endswith(b"}") and number.isdigit() else -1


class Newest:
    """Which of a key's states counts, over all that was read."""

    def __init__(self) -> None:
        self._positions: dict[bytes, int] = {}

    def takes(self, key: bytes, document: bytes) -> bool:
        """Whether a state replaces what came before it."""
        position = position_of(document)
        if position < self._positions.get(key, -1):
            return False
        self._positions[key] = position
        return True
