"""The coordinator's settings: from flags, else from the environment."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hutong.errors import ConfigurationError

__all__ = ["CoordinatorSettings"]

PREFIX = "HUTONG_COORDINATOR_"


class CoordinatorSettings(BaseModel):
    """How one coordinator runs.

    Attributes:
        instance: name of this coordinator, unique among those that run, the same after a restart: its copy of the cases lies
            under this name.
        group: consumer group; coordinators of one group share the cases.
        intake_group: consumer group that brings published events to the cases.
        batch_records: most records of the inbox that are taken at once.
        session_seconds: after this long without a sign of life a coordinator's cases go to the others.
        host: address of the health and metrics port.
        port: the port; 0 for a free one, which is logged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    instance: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$")]
    group: Annotated[str, Field(pattern=r"^hutong\.[a-z0-9.-]{1,100}$")] = "hutong.coordinator"
    intake_group: Annotated[str, Field(pattern=r"^hutong\.[a-z0-9.-]{1,100}$")] = "hutong.intake"
    batch_records: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    session_seconds: Annotated[float, Field(ge=6, le=300)] = 6.0
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 0

    @classmethod
    def read(cls, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> CoordinatorSettings:
        """Read flags (``--batch-records``) and variables (``HUTONG_COORDINATOR_BATCH_RECORDS``); a flag wins.

        Raises:
            ConfigurationError: a value makes no sense; the message names the setting.
        """
        variables = os.environ if environment is None else environment
        parser = argparse.ArgumentParser(prog="hutong run coordinator", description=cls.__doc__)
        for name in cls.model_fields:
            parser.add_argument(f"--{name.replace('_', '-')}", default=variables.get(PREFIX + name.upper()))
        found = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
        found.setdefault("instance", socket.gethostname().partition(".")[0] or "coordinator")
        try:
            return cls(**found)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            raise ConfigurationError(f"--{name.replace('_', '-')} ({PREFIX}{name.upper()}): {first['msg']}") from None
