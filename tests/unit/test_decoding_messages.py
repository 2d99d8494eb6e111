"""What is said of a value that a recipient's model does not take: the field's name, and not the key of a map."""

from __future__ import annotations

import io
from typing import Annotated, Any, ClassVar

import fastavro
import pytest

from hutong.contracts.framing import frame
from hutong.decoding import Decoder
from hutong.errors import MalformedEvent
from hutong.model import RootRecord, Rules

SCHEMA = {
    "type": "record",
    "name": "Amounts",
    "namespace": "x.y",
    "fields": [{"name": "amounts", "type": {"type": "map", "values": "string"}}],
}


class Amounts(RootRecord):
    """A model with a map."""

    avro_name: ClassVar[str] = "x.y.Amounts"
    avro_schema: ClassVar[dict[str, Any]] = SCHEMA
    amounts: dict[str, Annotated[str, Rules(pattern="[a-z]+")]]


class _Registry:
    def by_id(self, _: int) -> Any:
        return SCHEMA


@pytest.mark.parametrize("key", ["11010519491231002X", "王小明"])
def test_the_key_of_a_map_is_not_told(key: str) -> None:
    """It may be somebody's number or name; the message goes into logs."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, {"amounts": {key: "UPPER"}})
    with pytest.raises(MalformedEvent) as caught:
        Decoder(_Registry(), [Amounts]).decode(frame(1) + out.getvalue())  # type: ignore[arg-type]
    assert "field amounts.?: " in str(caught.value)
    assert key not in str(caught.value)
    assert "UPPER" not in str(caught.value)
