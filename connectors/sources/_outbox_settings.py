"""The relay's settings: from flags, else from the environment."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from hutong.runtime.settings import ServiceSettings

__all__ = ["RelaySettings"]


class RelaySettings(ServiceSettings):
    """How one relay runs."""

    service: ClassVar[str] = "outbox"
    usual_instance: ClassVar[str] = "{department}-{machine}"  # a machine has one for each of several departments

    department: Annotated[str, Field(min_length=1, description="the department's code, its Kafka principal too")]
    database: Annotated[
        SecretStr,
        Field(description="connection string of the database with the outbox; by default libpq's own variables (PGHOST, ...)"),
    ] = SecretStr("")
    batch: Annotated[int, Field(ge=1, le=100_000, description="rows per transaction")] = 2_000
