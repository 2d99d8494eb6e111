"""Which transcoder serves: the extension where it was built, else the compiled one in Python; the reference where neither can.

A router can set the extension aside (``HUTONG_ROUTER_NATIVE=0``), to compare, or to go on without it.
Neighbours: ``routing`` asks here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hutong.contracts.schema import EventSchema
from hutong.transcode.compiled import CompiledTranscoder, Transcoder
from hutong.transcode.native.transcoder import NativeTranscoder, extension, writer_of
from hutong.transcode.reference import ReferenceTranscoder, VersionPlans

__all__ = ["Lane", "Transcoder", "is_native", "new_lane", "set_native_aside", "transcoder"]

Lane = Any
"""The extension's way for whole batches, by topic and schema id; see ``native/src/lane.rs``."""


_wanted = True


def set_native_aside(*, aside: bool = True) -> None:
    """Whether this process does without the extension from now on."""
    global _wanted
    _wanted = not aside


def is_native() -> bool:
    """Whether the extension is there and wanted."""
    return _wanted and extension is not None


def transcoder(event: EventSchema, versions: Sequence[VersionPlans], before: Transcoder | None = None) -> Transcoder:
    """The fastest transcoder that can serve these plans.

    Args:
        event: the writer's schema.
        versions: the plans.
        before: the transcoder that this one follows; what it compiled of the same plans is taken from it.
    """
    writer = writer_of(event) if is_native() else None
    if writer is not None:
        return NativeTranscoder(event, writer, versions)
    compiled = CompiledTranscoder(event, versions, before if isinstance(before, CompiledTranscoder) else None)
    return compiled if compiled.plans else ReferenceTranscoder(event, versions)


def new_lane() -> Lane | None:
    """An empty lane; None where records go through Python."""
    return extension.Lane() if extension is not None and is_native() else None
