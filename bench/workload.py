"""A case's agreements and events, and what each event must become: pure functions of the case and the event's number.

The expected deliveries are made from plain dicts with fastavro and hmac, from schemas written down here: no line of the router's
own transcoding takes part, so that it cannot confirm itself. Neighbours: ``bus`` declares and publishes this, ``check`` compares.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import fastavro

from bench.cases import Case
from hutong.agreements.agreement import Agreement

__all__ = ["Delivered", "Party", "Workload"]

Headers = tuple[tuple[str, bytes], ...]

_FIRST_REGION, _ELSEWHERE = 110_000, 650_000
_SPAN = "00f067aa0ba902b7"
_TRACE = f"00-4bf92f3577b34da6a3ce929d{{:08x}}-{_SPAN}-{{:02x}}"
_BORN = date(1949, 12, 31).toordinal() - date(1970, 1, 1).toordinal()
_RECORDED_MS = 1_793_000_000_000
_NAMES = ("张三丰", "王小明", "欧阳娜娜", "李雷", "阿依古丽")
_SEXES = ("MALE", "FEMALE")
_OFFICE = {"credit_code": "121401004057470005", "name": "太原市民政局登记处"}
_TEXTS = 997  # different texts that events of one size share; prime, so that they do not march in step with regions
_TEXT_BYTES = {"small": (0, 0, 0), "medium": (820, 0, 0), "large": (2_000, 16, 490)}
"""Size -> bytes of the remark, pages, bytes of a page."""

_SEX = {"type": "enum", "name": "Sex", "symbols": ["UNKNOWN", "MALE", "FEMALE", "NOT_STATED"]}
_TIME = {"type": "long", "logicalType": "timestamp-millis"}
_DATE = {"type": "int", "logicalType": "date"}
_PAGES = {"type": "array", "items": "string"}


def _record(name: str, /, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": field, "type": type_} for field, type_ in fields.items()]}


_PERSON = _record("Person", identity_number="string", name="string", sex=_SEX, birth_date=_DATE)
_OFFICE_WHOLE = _record("Office", credit_code="string", name="string")
_WRITTEN = fastavro.parse_schema(
    _record(
        "Event",
        number="string",
        region="string",
        person=_PERSON,
        office=_OFFICE_WHOLE,
        address="string",
        recorded_at=_TIME,
        remark="string",
        pages=_PAGES,
    )
)

_HIDDEN: tuple[dict[str, Any], ...] = (
    {"field": "person.identity_number", "transform": "pseudonymise"},
    {"field": "person.name", "transform": "mask", "keep_first": 1},
)
_TEXT: tuple[dict[str, Any], ...] = ({"field": "recorded_at"}, {"field": "remark"}, {"field": "pages"})

# What agreements grant, in three shapes that take turns. Each costs one pseudonym, one mask and the rest in copies.
_GRANTED: tuple[tuple[dict[str, Any], ...], ...] = (
    ({"field": "number"}, {"field": "region"}, *_HIDDEN, {"field": "person.birth_date"}, *_TEXT),
    ({"field": "number"}, {"field": "office"}, *_HIDDEN, {"field": "address"}, *_TEXT),
    ({"field": "number"}, {"field": "region"}, *_HIDDEN, {"field": "person.sex"}, {"field": "office.name"}, *_TEXT),
)
_DELIVERED = tuple(
    fastavro.parse_schema(_record("Delivery", **fields, recorded_at=_TIME, remark="string", pages=_PAGES))
    for fields in (
        {
            "number": "string",
            "region": "string",
            "person": _record("P", identity_number="string", name="string", birth_date=_DATE),
        },
        {
            "number": "string",
            "office": _OFFICE_WHOLE,
            "person": _record("P", identity_number="string", name="string"),
            "address": "string",
        },
        {
            "number": "string",
            "region": "string",
            "person": _record("P", identity_number="string", name="string", sex=_SEX),
            "office": _record("O", name="string"),
        },
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """An agreement as every contender is told of it.

    Attributes:
        id: of the agreement.
        topic: where deliveries go.
        schema_id: of the delivery schema.
        region: which events it grants; None for all.
        shape: which of the three sets of fields.
        secret: the pseudonym key.
    """

    id: str
    topic: str
    schema_id: int
    region: str | None
    shape: int
    secret: bytes


class Delivered(NamedTuple):
    """A record on a destination topic."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


class Workload:
    """Events and agreements of one case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        # Repeatable text that compresses like prose, not like one letter repeated.
        chance = random.Random(case.size)  # noqa: S311 - filler
        remark, pages, page = _TEXT_BYTES[case.size]
        texts = _TEXTS if remark else 1
        self._texts = [(_prose(chance, remark), [_prose(chance, page) for _ in range(pages)]) for _ in range(texts)]

    def agreements(self) -> list[Agreement]:
        """The agreements, as a steward would declare them."""
        return [
            Agreement.model_validate(
                {
                    "id": f"{self.case.name}-{number}",
                    "recipient": f"bench.r{number % self.case.topics % 30:02d}",
                    "contract": self.case.contract,
                    "legal_basis": "none: these people do not exist",
                    "purpose": "Measure how fast events are routed.",
                    "valid": {"from": "2020-01-01"},
                    "channel": f"{self.case.name}-{number % self.case.topics:04d}",
                    "rows": [{"field": "region", "equals": region}] if (region := self._granted_region(number)) else [],
                    "fields": list(_GRANTED[number % len(_GRANTED)]),
                }
            )
            for number in range(self.case.agreements)
        ]

    def party(self, number: int, agreement: Agreement, schema_id: int, secret: bytes) -> Party:
        """An agreement with what the control plane has given it."""
        return Party(
            id=agreement.id,
            topic=agreement.topic,
            schema_id=schema_id,
            region=self._granted_region(number),
            shape=number % len(_GRANTED),
            secret=secret,
        )

    def _granted_region(self, number: int) -> str | None:
        match self.case.rows:
            case "none":
                return None
            case "region":
                return str(_FIRST_REGION + number // self.case.matching)
            case "elsewhere":
                return str(_ELSEWHERE + number)

    def data(self, number: int) -> dict[str, Any]:
        """An event."""
        remark, pages = self._texts[number % len(self._texts)]
        return {
            "number": f"P{number:011d}",
            "region": str(_FIRST_REGION + number % self.case.regions),
            "person": {
                "identity_number": f"110105{number % 100_000_000:08d}002X",
                "name": _NAMES[number % len(_NAMES)],
                "sex": _SEXES[number % 2],
                "birth_date": _BORN + number % 20_000,
            },
            "office": _OFFICE,
            "address": f"山西省太原市小店区平阳路{number % 1000}号滨河小区{number % 40}号楼2单元301室",
            "recorded_at": _RECORDED_MS + number,
            "remark": remark,
            "pages": pages,
        }

    def key(self, number: int) -> bytes:
        """An event's key."""
        return b"P%011d" % number

    def value(self, number: int) -> bytes:
        """An event's Avro value, without a frame."""
        return _encoded(_WRITTEN, self.data(number))

    def headers(self, number: int) -> Headers:
        """The seven headers of a CloudEvent with a trace."""
        return (
            ("ce_specversion", b"1.0"),
            ("ce_id", f"0193a5c0-{number >> 16 & 0xFFFF:04x}-7000-8000-{number:012x}".encode()),
            ("ce_source", f"urn:hutong:{self.case.contract.rpartition('.')[0]}".encode()),
            ("ce_type", self.case.contract.encode()),
            ("ce_time", f"2026-11-03T09:30:{number // 1000 % 60:02d}.{number % 1000:03d}Z".encode()),
            ("content-type", b"application/avro"),
            ("traceparent", _TRACE.format(number, number % self.case.sampled_every == 0).encode()),
        )

    def expected(self, number: int, by_region: Mapping[str | None, Sequence[Party]]) -> Iterator[Delivered]:
        """What must become of an event.

        Args:
            number: the event's.
            by_region: all parties by their region.
        """
        data = self.data(number)
        key, headers = self.key(number), self.headers(number)
        for party in (*by_region.get(None, ()), *by_region.get(data["region"], ())):
            value = party.schema_id.to_bytes(5, "big") + _encoded(_DELIVERED[party.shape], _granted(data, party.secret))
            yield Delivered(party.topic, key, value, (*headers, ("ce_agreement", party.id.encode())))

    def copied(self, number: int, frame: bytes, by_region: Mapping[str | None, Sequence[Party]]) -> Iterator[Delivered]:
        """What the raw copy must make of an event: its own bytes, at the same places."""
        region = str(_FIRST_REGION + number % self.case.regions)
        value = frame + self.value(number)
        for party in (*by_region.get(None, ()), *by_region.get(region, ())):
            yield Delivered(party.topic, self.key(number), value, (*self.headers(number), ("ce_agreement", party.id.encode())))


def untraced(delivered: Delivered) -> Delivered:
    """A delivery as it would be without the router's spans: with the event's own in its header."""
    headers = tuple((name, _own_span(value) if name == "traceparent" else value) for name, value in delivered.headers)
    return delivered._replace(headers=headers)


def _own_span(traceparent: bytes) -> bytes:
    before, _, flags = traceparent.rsplit(b"-", 2)
    return b"-".join((before, _SPAN.encode(), flags))


def _granted(data: Mapping[str, Any], secret: bytes) -> dict[str, Any]:
    """All that any shape grants; its schema takes what it needs."""
    person = data["person"]
    identity = hmac.new(secret, person["identity_number"].encode(), hashlib.sha256).hexdigest()
    name = person["name"]
    return {**data, "person": {**person, "identity_number": identity, "name": name[0] + "*" * (len(name) - 1)}}


def _encoded(schema: Any, data: Mapping[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, data)
    return out.getvalue()


def _prose(chance: random.Random, size: int) -> str:
    words: list[str] = []
    length = 0
    while length < size:
        word = "".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9)))
        words.append(word)
        length += len(word) + 1
    return " ".join(words)[:size]
