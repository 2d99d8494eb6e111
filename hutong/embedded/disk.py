"""Room on the disk: looked at before a step that needs it, and said in one line when it runs out all the same."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hutong.errors import HutongError

__all__ = ["full_disk_said_plainly", "is_full", "require_room"]

_MIB = 1024 * 1024


def require_room(place: Path, needed: int, purpose: str) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        place: a directory, existing or to be made.
        needed: bytes.
        purpose: what they are for.

    Raises:
        HutongError: there are fewer.
    """
    existing = next(path for path in (place, *place.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise HutongError(
            f"disk full: {purpose} needs {needed // _MIB} MiB in {place}, and {free // _MIB} MiB are free; "
            "make room, or point HUTONG_HOME to another disk"
        )


def is_full(place: Path) -> bool:
    """Whether there is so little room that a program which ended there most likely ended of it."""
    return shutil.disk_usage(place).free < _MIB


@contextmanager
def full_disk_said_plainly(place: Path) -> Iterator[None]:
    """Turn the system's "no space left" of the block within into the line that ``require_room`` says."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise HutongError(
            f"disk full: no space left in {place}; make room, or point HUTONG_HOME to another disk, then run it again"
        ) from exc
