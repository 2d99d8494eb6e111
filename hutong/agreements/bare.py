"""An agreement reduced to whom it serves, when, and which rows: of the fields the key alone, as it is.

Who only asks whether an event concerns an agreement (what waits, and for how long) needs no transform and no pseudonym key, and
should see no more data than that takes. Rows, validity and versions are compiled and tested as ever, so that the answer cannot
differ from the router's. Neighbours: ``hutong.lag`` makes its routing table of these.
"""

from __future__ import annotations

import json

from hutong.agreements.agreement import Copy
from hutong.agreements.delivery import delivery_schema
from hutong.agreements.grant import Grant
from hutong.contracts.schema import EventSchema

__all__ = ["bare"]


def bare(grant: Grant, reader: EventSchema) -> Grant:
    """The grant without its fields.

    Args:
        grant: the agreement.
        reader: the granted contract version, as ``grant.reader_schema`` describes it.

    Raises:
        DeclarationError: the contract version has no field of its own key.
    """
    fields = tuple(Copy.model_validate({"field": path, "as": f"key_{number}"}) for number, path in enumerate(reader.key))
    agreement = grant.agreement.model_copy(update={"fields": fields})
    packed = json.dumps(delivery_schema(agreement, reader, {})).encode()
    return grant.model_copy(
        update={"agreement": agreement, "packed_delivery_schema": packed, "code_lists": {}, "pseudonym_keys": None}
    )
