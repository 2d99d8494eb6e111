"""The router's settings: from flags, else from the environment."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from hutong.runtime.settings import ServiceSettings

__all__ = ["RouterSettings"]


class RouterSettings(ServiceSettings):
    """How one router runs."""

    service: ClassVar[str] = "router"

    group: Annotated[
        str, Field(pattern=r"^hutong\.router[a-z0-9.-]{0,94}$", description="consumer group; routers of one group share the work")
    ] = "hutong.router"
    batch_events: Annotated[
        int, Field(ge=1, le=1_000_000, description="most events in one transaction; the router finds how many are best")
    ] = 200_000
    transaction_seconds: Annotated[
        float, Field(ge=2, le=900, description="after this long the brokers abort a transaction whose router has died")
    ] = 10.0
    native: Annotated[bool, Field(description="0 leaves the Rust extension aside, where it was built")] = True
