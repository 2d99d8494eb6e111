"""The router's work in plain Python, for the frameworks that are compared: filter by region, project, pseudonym, mask, encode.

Written for speed, without anything of Hutong: it runs in the frameworks' own virtual environments. Neighbours: ``quix_app`` and
``faust_app`` call it for every event.
"""

from __future__ import annotations

import hmac
import io
from collections.abc import Iterator
from typing import Any

import fastavro

__all__ = ["Route"]

_FRAME = 5

_SEX = {"type": "enum", "name": "Sex", "symbols": ["UNKNOWN", "MALE", "FEMALE", "NOT_STATED"]}
_PAGES = {"type": "array", "items": "string"}


def _record(name: str, fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": field, "type": type_} for field, type_ in fields]}


# Dates and times are left as the numbers that they are: nobody looks at them.
_IDENTITY = [("identity_number", "string"), ("name", "string")]
_OFFICE = _record("Office", [("credit_code", "string"), ("name", "string")])
_REST = [("recorded_at", "long"), ("remark", "string"), ("pages", _PAGES)]
_EVENT = fastavro.parse_schema(
    _record(
        "Event",
        [
            ("number", "string"),
            ("region", "string"),
            ("person", _record("Person", [*_IDENTITY, ("sex", _SEX), ("birth_date", "int")])),
            ("office", _OFFICE),
            ("address", "string"),
            *_REST,
        ],
    )
)
_SHAPES = [
    fastavro.parse_schema(_record("Delivery", [("number", "string"), *fields, *_REST]))
    for fields in (
        [("region", "string"), ("person", _record("P", [*_IDENTITY, ("birth_date", "int")]))],
        [("office", _OFFICE), ("person", _record("P", _IDENTITY)), ("address", "string")],
        [
            ("region", "string"),
            ("person", _record("P", [*_IDENTITY, ("sex", _SEX)])),
            ("office", _record("O", [("name", "string")])),
        ],
    )
]


class Route:
    """Event bytes to deliveries' bytes.

    Args:
        agreements: as the plan lists them.
    """

    def __init__(self, agreements: list[dict[str, Any]]) -> None:
        self._by_region: dict[str | None, list[tuple[str, bytes, bytes, Any, bytes]]] = {}
        for one in agreements:
            entry = (
                one["topic"],
                one["id"].encode(),
                one["schema_id"].to_bytes(_FRAME, "big"),
                _SHAPES[one["shape"]],
                bytes.fromhex(one["secret"]),
            )
            self._by_region.setdefault(one["region"], []).append(entry)

    def __call__(self, value: bytes) -> Iterator[tuple[str, bytes, bytes]]:
        """Topic, value and agreement of each delivery of an event."""
        body = io.BytesIO(value)
        body.seek(_FRAME)
        event: Any = fastavro.schemaless_reader(body, _EVENT, None)
        person = event["person"]
        number = person["identity_number"].encode()
        name = person["name"]
        person["name"] = name[0] + "*" * (len(name) - 1)
        for topic, agreement, frame, shape, secret in (
            *self._by_region.get(None, ()),
            *self._by_region.get(event["region"], ()),
        ):
            person["identity_number"] = hmac.digest(secret, number, "sha256").hex()
            out = io.BytesIO()
            out.write(frame)
            fastavro.schemaless_writer(out, shape, event)
            yield topic, out.getvalue(), agreement
