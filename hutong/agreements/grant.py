"""An agreement on its way to the routers: the declaration with all that is needed to apply it, as one control record.

``hutong apply`` writes it to ``ctl.agreements`` (key: the agreement's id; a tombstone revokes), every router reads it. It holds
no secret: the pseudonym key stays in a file. Neighbours: ``plan`` compiles it.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from hutong.agreements.agreement import Agreement
from hutong.agreements.keys import KeyPeriod, Published, windows
from hutong.errors import DeclarationError

__all__ = ["CodeLists", "Grant", "contract_in"]

CodeLists = dict[str, list[dict[str, str]]]
"""Code list id -> its entries, each a column -> text."""


def _packed(schema: Any) -> bytes:
    if not isinstance(schema, dict):
        raise ValueError("the delivery schema is not an object")  # noqa: TRY004 - pydantic makes a finding of this one
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode()


_Packed = Annotated[Any, BeforeValidator(_packed), PlainSerializer(json.loads)]
"""Given and written as an object, kept as bytes of JSON."""


class Grant(BaseModel):
    """An agreement, self-contained.

    Attributes:
        agreement: the declaration.
        reader_schema: annotated Avro schema of the contract version that is granted.
        packed_delivery_schema: Avro schema of the deliveries as JSON. Each agreement has one of its own, and a router with
            thousands hardly looks at them: as text they take a tenth of the memory.
        delivery_schema_id: its id in the registry.
        subject: its subject there.
        code_lists: the code lists that its transforms use.
        valid_from_ms: first instant in force, ms since the epoch.
        valid_until_ms: first instant no more in force, ms since the epoch, or None.
        freshness_seconds: how old an event may get before it is delivered, as the contract promises; routers do not need it.
        pseudonym_keys: which pseudonym key is for which events, in the order of time; None for one key with the agreement's name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    agreement: Agreement
    reader_schema: dict[str, Any]
    packed_delivery_schema: _Packed = Field(alias="delivery_schema")
    delivery_schema_id: int
    subject: str
    code_lists: CodeLists = {}
    valid_from_ms: int
    valid_until_ms: int | None = None
    freshness_seconds: float | None = None
    pseudonym_keys: tuple[KeyPeriod, ...] | None = None

    @property
    def key_periods(self) -> list[tuple[KeyPeriod, Published]]:
        """Its pseudonym keys, each with the publications that it is for."""
        return windows(self.pseudonym_keys or (KeyPeriod(name=self.agreement.id),))

    @property
    def delivery_schema(self) -> dict[str, Any]:
        """Avro schema of the deliveries."""
        schema: dict[str, Any] = json.loads(self.packed_delivery_schema)
        return schema

    def in_force(self, moments: tuple[int, int]) -> bool:
        """Whether it is in force at both of two moments, ms since the epoch."""
        return self.valid_from_ms <= min(moments) and (self.valid_until_ms is None or max(moments) < self.valid_until_ms)

    def to_json(self) -> bytes:
        """Canonical JSON, so that an unchanged grant has unchanged bytes."""
        document = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps(document, ensure_ascii=False, sort_keys=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, document: bytes) -> Self:
        """Read it back.

        Raises:
            DeclarationError: it is not a grant that this version understands.
        """
        try:
            return cls.model_validate_json(document)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise DeclarationError(
                f"a grant on ctl.agreements cannot be read: {first['msg']}; apply again", field=where
            ) from None


def contract_in(document: bytes) -> str:
    """The contract of a grant that this version cannot read otherwise: its events must not pass as if there were no agreement.

    Raises:
        DeclarationError: not even that can be read.
    """
    try:
        return str(json.loads(document)["agreement"]["contract"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DeclarationError("a record on ctl.agreements is no grant; remove it, or apply again") from None
