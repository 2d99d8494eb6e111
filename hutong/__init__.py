"""Hutong: typed change events between government departments, on Apache Kafka.

The names below load on first use, so that ``import hutong`` is quick and pulls in nothing that is not asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hutong import outbox
    from hutong.aio import AsyncPublisher, AsyncSubscription
    from hutong.errors import ContractViolation, DeliveryFailed, HutongError
    from hutong.event import Attributes
    from hutong.handle import PublishHandle
    from hutong.model import AvroRecord, ChangeEvent
    from hutong.publisher import Publisher
    from hutong.subscription import ReceivedEvent, Subscription

__all__ = [
    "AsyncPublisher",
    "AsyncSubscription",
    "Attributes",
    "AvroRecord",
    "ChangeEvent",
    "ContractViolation",
    "DeliveryFailed",
    "HutongError",
    "PublishHandle",
    "Publisher",
    "ReceivedEvent",
    "Subscription",
    "outbox",
]

_PLACES = {
    "AsyncPublisher": "aio",
    "AsyncSubscription": "aio",
    "Attributes": "event",
    "AvroRecord": "model",
    "ChangeEvent": "model",
    "ContractViolation": "errors",
    "DeliveryFailed": "errors",
    "HutongError": "errors",
    "PublishHandle": "handle",
    "Publisher": "publisher",
    "ReceivedEvent": "subscription",
    "Subscription": "subscription",
}


def __getattr__(name: str) -> Any:
    if name == "outbox":
        return importlib.import_module("hutong.outbox")
    if name in _PLACES:
        return getattr(importlib.import_module(f"hutong.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'hutong' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
