"""The monitor's settings: from flags, else from the environment."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from hutong.lag.look import ROUTER_GROUP
from hutong.runtime.settings import ServiceSettings

__all__ = ["MonitorSettings"]

_ROUTERS = r"^hutong\.router[a-z0-9.-]{0,94}$"


class MonitorSettings(ServiceSettings):
    """How the monitor runs. One is enough; a second one counts the same again."""

    service: ClassVar[str] = "monitor"

    round_seconds: Annotated[float, Field(ge=0.1, le=60, description="pause between two looks at the bus")] = 1.0
    read_seconds: Annotated[
        float, Field(ge=0.05, le=60, description="how long one look may read; what it has not read by then it estimates")
    ] = 0.4
    router_group: Annotated[
        str, Field(pattern=_ROUTERS, description="the routers' consumer group, HUTONG_ROUTER_GROUP there")
    ] = ROUTER_GROUP
