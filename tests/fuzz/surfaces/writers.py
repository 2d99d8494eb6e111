"""Schemas that anybody may have registered: events of a contract's are taken, or it is said that it is none."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hutong.contracts.framing import frame
from hutong.contracts.wellformed import faults
from hutong.decoding import Decoder
from hutong.errors import ContractViolation, HutongError, MalformedEvent
from hutong.kafka.schemas import WriterSchemas
from hutong.transcode.choice import transcoder
from tests.fuzz.attack import Found, Surface
from tests.fuzz.hostile import spoilt
from tests.samples import PERSON_REGISTERED, person

__all__ = ["MESHES", "SURFACE"]


def _mesh(wrap: Any, levels: int = 40) -> dict[str, Any]:
    """Each record is used twice by the one above: few names, 2^40 ways through them."""
    schema: Any = {"type": "record", "name": "R0", "fields": [{"name": "x", "type": "string"}]}
    for level in range(1, levels):
        fields = [{"name": "a", "type": wrap(schema)}, {"name": "b", "type": wrap(f"R{level - 1}")}]
        schema = {"type": "record", "name": f"R{level}", "fields": fields}
    facts = {"contract": "kin.registry.person_registered", "version": 1, "key": ["k"]}
    return {**schema, "fields": [{"name": "k", "type": "string"}, *schema["fields"]], "hutong": facts}


MESHES = [
    _mesh(lambda inner: inner),
    _mesh(lambda inner: ["null", inner]),
    _mesh(lambda inner: {"type": "array", "items": inner}),
    _mesh(lambda inner: {"type": "map", "values": inner}),
    _mesh(lambda inner: {"type": "array", "items": ["null", inner]}),
]
_LEAVES: list[Any] = [
    *(
        "null",
        "string",
        "R",
        {"type": "fixed", "name": "F", "size": 0},
        {"type": "fixed", "name": "F", "size": 10**12},
        [],
        ["null"],
        [[]],
    ),
    *({"type": "bytes", "logicalType": "decimal"}, {"type": "bytes", "logicalType": "decimal", "precision": 10**9, "scale": 0}),
    *(
        {"type": "array", "items": "null"},
        {"type": "map", "values": "null"},
        {"type": "enum", "name": "E", "symbols": []},
        {"type": {"type": "int"}},
    ),
    *(
        {"type": "string", "logicalType": "uuid"},
        {"type": "int", "logicalType": "uuid"},
        {"type": "long", "logicalType": "timestamp-nanos"},
    ),
    *(
        {"type": "array", "items": {"type": "record", "name": "Z", "fields": []}},
        {"type": "bytes", "logicalType": "decimal", "precision": -1},
    ),
]


class _Registry:
    schema: Any = None

    def by_id(self, schema_id: int) -> Any:
        return self.schema


class _Attack:
    def __init__(self) -> None:
        self._whole = json.dumps(PERSON_REGISTERED)
        self._registry = _Registry()

    def draw(self, rng: random.Random) -> tuple[Any, bytes]:
        body = rng.choice((b"", b"\2a", b"\2a" + b"\2" * 200, b"\2a\x80\x80\x80\x80\x20" + b"\0" * 9, rng.randbytes(40)))
        if rng.random() < 0.1:
            return rng.choice(MESHES), body
        schema = json.loads(self._whole)
        if rng.random() < 0.5:
            schema["fields"].append({"name": "z", "type": rng.choice(_LEAVES)})
        return (spoilt(schema, rng) if rng.random() < 0.8 else schema), body

    def strike(self, value: tuple[Any, bytes]) -> str:
        self._registry.schema, body = value
        framed = frame(7) + body
        try:
            Decoder(self._registry).decode(framed)  # type: ignore[arg-type]
            outcome = "read"
        except MalformedEvent as error:
            outcome = error.reason
        writers = WriterSchemas(self._registry)  # type: ignore[arg-type]
        writers.fetch([("pub.t", framed[:5])], Counter())
        event = writers.get(7)
        if event is None:
            return f"no contract's, {outcome}"
        try:
            made = transcoder(event, []).transcode(b"a", framed, (1, 1))
        except MalformedEvent as error:
            outcome = error.reason
        else:
            if made.outputs:
                raise Found("deliveries without an agreement")
        if faults(event.schema):
            return outcome  # no department publishes with it: `hutong apply` would not have registered it
        try:
            event.pack(person())
        except (ContractViolation, HutongError):
            return outcome
        return f"{outcome}, packs"


@contextmanager
def _open(seed: int, directory: Path) -> Iterator[_Attack]:
    yield _Attack()


SURFACE = Surface(
    name="schemas",
    says="schemas that anybody may register, through decoder, transcoder and packer",
    share=3_000,
    open=_open,
)
