"""What a service may be told, and how it is read: a flag, else a variable of the environment, else the default.

A service's ``settings.py`` names the service and adds its own fields, each with a description: ``--help`` and
``docs/configuration.md`` tell them. Neighbours: ``hutong.kafka.settings`` says where the bus is; ``logs`` and ``hutong.tracing``
read the two variables that concern them.
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from hutong.errors import ConfigurationError

__all__ = ["ServiceSettings"]

_INSTANCE = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$"  # it names files and transactions


class ServiceSettings(BaseModel):
    """How one process of a service runs. A subclass says ``service`` and adds fields.

    A field that is a ``SecretStr`` has no flag: arguments are seen by everybody on the machine.

    Attributes:
        service: the service's name, as ``hutong run`` takes it; its variables begin with ``HUTONG_<SERVICE>_``.
        usual_instance: what the instance is called where nobody says: ``{machine}`` is the host's name, others are fields.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    service: ClassVar[str]
    usual_instance: ClassVar[str] = "{machine}"

    instance: Annotated[
        str, Field(pattern=_INSTANCE, description="its name: unique among those that run, the same after a restart")
    ]
    host: Annotated[str, Field(description="address of the health and metrics port")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535, description="the port; 0 for a free one, which is logged")] = 0

    @classmethod
    def read(cls, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Self:
        """Read flags (``--batch-events``) and variables (``HUTONG_ROUTER_BATCH_EVENTS``); a flag wins.

        Args:
            arguments: of the command line, without the program's name.
            environment: variables to read; the process's by default. An empty one counts as absent.

        Raises:
            ConfigurationError: a value makes no sense; the message names the setting.
        """
        variables = os.environ if environment is None else environment
        parser = argparse.ArgumentParser(
            prog=f"hutong run {cls.service}",
            description="Flags; each may be given as a variable instead.",
            argument_default=argparse.SUPPRESS,
        )
        found: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            variable = cls.variable(name)
            if variables.get(variable):
                found[name] = variables[variable]
            if field.annotation is not SecretStr:
                parser.add_argument(cls.flag(name), metavar=name.upper(), help=_help(cls.default_of(name), variable, field))
        found |= vars(parser.parse_args(arguments))
        machine = socket.gethostname().partition(".")[0] or cls.service
        found.setdefault(
            "instance", cls.usual_instance.format_map(dict.fromkeys(cls.model_fields, "") | found | {"machine": machine})
        )
        try:
            return cls(**found)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = str(first["loc"][0])
            raise ConfigurationError(f"{cls.flag(name)} ({cls.variable(name)}): {first['msg']}") from None

    @classmethod
    def flag(cls, name: str) -> str:
        """The flag of a field."""
        return f"--{name.replace('_', '-')}"

    @classmethod
    def variable(cls, name: str) -> str:
        """The environment's variable of a field."""
        return f"HUTONG_{cls.service.upper()}_{name.upper()}"

    @classmethod
    def default_of(cls, name: str) -> str:
        """A field's default, as one writes it; empty where there is none, or where it is a secret."""
        field = cls.model_fields[name]
        if name == "instance":
            return cls.usual_instance.replace("{machine}", "the host's name")
        if field.is_required() or field.annotation is SecretStr:
            return ""
        return f"{field.default:g}" if isinstance(field.default, int | float) else str(field.default)


def _help(default: str, variable: str, field: FieldInfo) -> str:
    return f"{field.description} ({variable}; {default or 'required'})".replace("%", "%%")
