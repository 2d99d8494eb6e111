"""Is this Avro binary exactly one value of its schema, and where in it does each field stand? Asked before anything decodes.

A decoder built for speed trusts its input: deep recursion overflows its stack, an array of 2^62 nulls fills the memory, a
negative index picks a wrong symbol. The guard walks the bytes without making a value, bounded by their length, and refuses
every encoding that is not the schema's (Avro 1.12 specification, "Binary encoding"), logical types included. It is generated as
straight-line Python per schema (``walk``): the walk costs a quarter of the decoding. Neighbours: both transcoders call it first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hutong.contracts.avro import Parsed
from hutong.errors import MalformedEvent
from hutong.transcode.checks import BadValue
from hutong.transcode.walk import compile_walk

__all__ = ["Guard", "compile_guard"]

Guard = Callable[[bytes, int], tuple[int, ...]]
"""(bytes, where the value begins) -> start and end of each marked field in turn, -1 where the record around it is null.

Raises ``MalformedEvent`` with reason ``undecodable``."""


def compile_guard(parsed: Parsed, marks: Sequence[str] = ()) -> Guard:
    """Generate the guard of a schema.

    Args:
        parsed: the writer's schema.
        marks: dotted paths, through records and nullable records only, whose places are wanted.
    """
    walk = compile_walk(parsed, marks)

    def guard(data: bytes, start: int) -> tuple[int, ...]:
        try:
            end, places = walk(data, start)
        except IndexError:
            raise MalformedEvent("undecodable", "the value ends in the middle of a field") from None
        except UnicodeDecodeError:
            raise MalformedEvent("undecodable", "a text is not UTF-8") from None
        except BadValue as bad:
            raise MalformedEvent("undecodable", str(bad)) from None
        if end != len(data):
            problem = (
                "the value ends in the middle of a field" if end > len(data) else f"{len(data) - end} bytes follow the value"
            )
            raise MalformedEvent("undecodable", problem)
        return places

    return guard
