"""The five bytes before every Avro value: how a reader finds the writer's schema (Confluent wire format, magic byte 0).

Neighbours: ``schema`` makes and reads what follows the frame.
"""

from __future__ import annotations

import struct

from hutong.errors import MalformedEvent

__all__ = ["FRAME_BYTES", "frame", "unframe"]

FRAME_BYTES = 5
_HEADER = struct.Struct(">bI")


def frame(schema_id: int) -> bytes:
    """The five bytes to put before an Avro value written with the schema of this id."""
    return _HEADER.pack(0, schema_id)


def unframe(value: bytes) -> int:
    """The schema id of a framed value; the Avro value begins at ``FRAME_BYTES``.

    Raises:
        MalformedEvent: too short, or another magic byte; reason ``not_framed``.
    """
    if len(value) < FRAME_BYTES:
        raise MalformedEvent("not_framed", f"the value has {len(value)} bytes, too few for a schema id")
    magic, schema_id = _HEADER.unpack_from(value)
    if magic != 0:
        raise MalformedEvent("not_framed", f"the value starts with byte {magic & 0xFF}, not with the magic byte 0")
    return int(schema_id)
