"""The largest delivery that is made: what no broker takes need not be built, nor kept beside others of its kind.

A list of a million empty texts becomes 66 MB of pseudonyms, for every agreement anew. The extension stops at the same size and
hands the event back (``native/src/emit.rs``). Neighbours: ``reference`` asks here, ``routing`` says so in quarantine.
"""

from __future__ import annotations

from hutong.errors import DeliveryTooLarge, TransformFailed

__all__ = ["MOST_BYTES", "told", "too_large"]

MOST_BYTES = 2_000_000  # of the framed value: what the router's producer takes (``hutong.kafka.outlet``), and the topics with it


def too_large(agreement: str, size: int) -> DeliveryTooLarge | None:
    """The failure of a delivery whose framed value has so many bytes, if it is one."""
    if size <= MOST_BYTES:
        return None
    return DeliveryTooLarge(agreement, "", f"the delivery has {size} bytes, more than the brokers take")


def told(failure: TransformFailed) -> tuple[str, str]:
    """The reason and the problem as quarantine has them."""
    if isinstance(failure, DeliveryTooLarge):
        return ("delivery_too_large", failure.problem)
    return ("transform_failed", str(failure))
