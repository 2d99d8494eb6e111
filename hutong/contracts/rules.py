"""What a contract says of one field beyond its Avro type: classification, and the rules that its values keep.

The facts stand in ``contract.yaml``; at registration they are written into the Avro schema under the attribute ``hutong``, so
that whoever holds only the registered schema has every rule. Neighbours: ``validation`` enforces them, ``annotate`` writes them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ATTRIBUTE", "LONGEST_TEXT", "Classification", "FieldRules"]

ATTRIBUTE = "hutong"
"""The Avro schema attribute that holds Hutong's facts."""

LONGEST_TEXT = 2**31 - 1
"""Characters that a text may be said to have; more than any event holds, and a number that every part of this can count."""

Classification = Literal["public", "internal", "personal", "sensitive"]


class FieldRules(BaseModel):
    """Facts of one field.

    Attributes:
        classification: how far the value may go.
        identifier: name of the number's standard: a ``python-stdnum`` module (``cn.ric``), or ``gb2260``.
        unverified_by: sibling boolean field; while it is true, the identifier is not checked (old records lack valid ones).
        code_list: id of the code list that the values come from.
        codes: the allowed values, for a string field with a code list (an enum has them in its type).
        pattern: regular expression that the whole string must match.
        min_length: characters, inclusive.
        max_length: characters, inclusive.
        minimum: inclusive.
        maximum: inclusive.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    classification: Classification = "internal"
    identifier: str | None = None
    unverified_by: Annotated[str | None, Field(alias="unverifiedBy")] = None
    code_list: Annotated[str | None, Field(alias="codeList")] = None
    codes: tuple[str, ...] | None = None
    pattern: str | None = None
    min_length: Annotated[int | None, Field(alias="minLength", ge=0, le=LONGEST_TEXT)] = None
    max_length: Annotated[int | None, Field(alias="maxLength", ge=0, le=LONGEST_TEXT)] = None
    minimum: float | None = None
    maximum: float | None = None

    def to_attribute(self) -> dict[str, Any]:
        """As JSON for the schema's attribute; what is not set is left out."""
        return self.model_dump(by_alias=True, exclude_none=True, mode="json")

    @property
    def checks_values(self) -> bool:
        """Whether any rule here looks at values."""
        return any(
            rule is not None
            for rule in (
                self.identifier,
                self.codes,
                self.pattern,
                self.min_length,
                self.max_length,
                self.minimum,
                self.maximum,
            )
        )
