"""The router's settings: from flags, else from the environment."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hutong.errors import ConfigurationError

__all__ = ["RouterSettings"]

PREFIX = "HUTONG_ROUTER_"


class RouterSettings(BaseModel):
    """How one router runs.

    Attributes:
        instance: name of this router, unique among those that run, the same after a restart.
        group: consumer group; routers of one group share the work.
        batch_events: most events in one transaction; the router finds how many are best.
        transaction_seconds: after this long the brokers abort a transaction whose router died.
        native: whether the Rust extension routes, where it was built.
        host: address of the health and metrics port.
        port: the port; 0 for a free one, which is logged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    instance: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    group: Annotated[str, Field(pattern=r"^hutong\.[a-z0-9.-]{1,100}$")] = "hutong.router"
    batch_events: Annotated[int, Field(ge=1, le=1_000_000)] = 200_000
    transaction_seconds: Annotated[float, Field(ge=2, le=900)] = 10.0
    native: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 0

    @classmethod
    def read(cls, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> RouterSettings:
        """Read flags (``--batch-events``) and variables (``HUTONG_ROUTER_BATCH_EVENTS``); a flag wins.

        Raises:
            ConfigurationError: a value makes no sense; the message names the setting.
        """
        variables = os.environ if environment is None else environment
        parser = argparse.ArgumentParser(prog="hutong run router", description=cls.__doc__)
        for name in cls.model_fields:
            parser.add_argument(f"--{name.replace('_', '-')}", default=variables.get(PREFIX + name.upper()))
        found = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
        found.setdefault("instance", socket.gethostname().partition(".")[0] or "router")
        try:
            return cls(**found)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            raise ConfigurationError(f"--{name.replace('_', '-')} ({PREFIX}{name.upper()}): {first['msg']}") from None
