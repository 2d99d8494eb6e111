"""What a recipient will read: the delivery's Avro schema, and every problem of an agreement against a contract version.

Neighbours: ``hutong check`` asks for the problems, ``hutong apply`` registers the schema, ``plan`` compiles the same agreement.
"""

from __future__ import annotations

from typing import Any

from hutong.agreements.agreement import Agreement
from hutong.agreements.grant import CodeLists
from hutong.agreements.projection import compile_projection
from hutong.agreements.rows import compile_row
from hutong.contracts.avro import parse
from hutong.contracts.rules import ATTRIBUTE
from hutong.contracts.schema import EventSchema
from hutong.errors import DeclarationError

__all__ = ["delivery_schema", "problems"]

_NO_SECRET = b""  # types do not depend on the key


def delivery_schema(agreement: Agreement, reader: EventSchema, code_lists: CodeLists) -> dict[str, Any]:
    """The derived Avro schema; its ``hutong`` attribute names the agreement and the purpose that binds the recipient.

    Raises:
        DeclarationError: the first problem of the field entries.
    """
    projection = compile_projection(agreement, reader.parsed, code_lists, _NO_SECRET)
    if projection.problems:
        raise projection.problems[0]
    facts = {
        "agreement": agreement.id,
        "recipient": agreement.recipient,
        "contract": agreement.contract,
        "version": reader.version,
        "purpose": agreement.purpose,
    }
    return {**projection.schema, ATTRIBUTE: facts}


def problems(agreement: Agreement, reader: EventSchema, code_lists: CodeLists) -> list[DeclarationError]:
    """Every problem of rows and fields against a contract version; ``.field`` says which entry, as ``rows[0].field``."""
    found = []
    for position, row in enumerate(agreement.rows):
        try:
            compile_row(row, reader.parsed)
        except DeclarationError as error:
            found.append(DeclarationError(error.problem, field=f"rows[{position}]"))
    projection = compile_projection(agreement, reader.parsed, code_lists, _NO_SECRET)
    found += projection.problems
    if not projection.problems:
        try:
            parse(projection.schema)
        except DeclarationError as error:
            found.append(DeclarationError(f"the delivery's schema is not valid: {error.problem}", field="fields"))
    return found
