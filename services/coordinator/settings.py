"""The coordinator's settings: from flags, else from the environment."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from hutong.runtime.settings import ServiceSettings

__all__ = ["CoordinatorSettings"]

_GROUP = r"^hutong\.coordinator[a-z0-9.-]{0,89}$"
_INTAKE_GROUP = r"^hutong\.intake[a-z0-9.-]{0,94}$"


class CoordinatorSettings(ServiceSettings):
    """How one coordinator runs. Its copy of the cases lies in ``HUTONG_HOME`` under the name of the instance."""

    service: ClassVar[str] = "coordinator"

    group: Annotated[str, Field(pattern=_GROUP, description="consumer group; coordinators of one group share the cases")] = (
        "hutong.coordinator"
    )
    intake_group: Annotated[
        str, Field(pattern=_INTAKE_GROUP, description="consumer group that brings published events to the cases")
    ] = "hutong.intake"
    batch_records: Annotated[int, Field(ge=1, le=10_000, description="most records of the inbox that are taken at once")] = 1_000
    session_seconds: Annotated[
        float, Field(ge=6, le=300, description="after so long without a sign of life a coordinator's cases go to the others")
    ] = 6.0
