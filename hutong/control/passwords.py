"""Another password for a principal: on the brokers and in the home, so that whatever breaks it off leaves one that works.

First the new one is kept beside the present one, then the brokers take it, then it takes the present one's place. Clients that
follow the file try both while there are two. Neighbours: ``hutong keys password`` asks for it; ``hutong.kafka.passwords`` is the
clients' side.
"""

from __future__ import annotations

import time

from pydantic import SecretStr

from hutong.errors import ConfigurationError, NotAuthorised
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.probe import brokers_in_service
from hutong.kafka.settings import Settings
from hutong.principals import OPERATOR, REGISTRY

__all__ = ["administrator", "change"]

_IN_FORCE_SECONDS = 10.0  # until the brokers take the new password; some milliseconds in practice
_LOGIN_SECONDS = 5.0
_FIXED = (REGISTRY,)
"""Written down where their owners start with it: what is changed there is changed by starting them again."""


def administrator(settings: Settings, home: Home) -> tuple[Admin, Settings]:
    """The operator, also where a change of its own password was broken off.

    Args:
        settings: of the operator.
        home: where its password is.

    Raises:
        BusError: it cannot log in, or is none.
    """
    admin = Admin(settings)
    try:
        admin.brokers()
    except NotAuthorised:
        new = home.staged_secret(OPERATOR) if settings.password_file else None
        if new is None:
            raise
        settings = _with(settings, new)
        admin = Admin(settings)
        admin.brokers()
    return admin, settings


def change(principal: str, settings: Settings, admin: Admin, home: Home) -> None:
    """Give a principal another password.

    Args:
        principal: whom.
        settings: of the operator.
        admin: the cluster's administrator.
        home: where its password is.

    Raises:
        ConfigurationError: the principal's password is not in this home, or is not changed like this.
        BusError: the brokers do not take it; try again.
    """
    if "-" in principal or principal in _FIXED:
        raise ConfigurationError(f"the password of {principal} stands in its server's settings; it is not changed here")
    if home.read_secret(principal) is None:
        raise ConfigurationError(f"this home has no password of {principal}; change it in the home that made it")
    if principal not in admin.users():
        raise ConfigurationError(f"the bus has no principal {principal}; run 'hutong apply'")
    with home.secrets_alone():  # two at once would leave one password here and another with the brokers
        new = home.stage_secret(principal)
        admin.set_passwords({principal: new})
        _await(_with(settings.model_copy(update={"username": principal}), new))
        home.settle_secret(principal)


def _await(settings: Settings) -> None:
    """Wait until a login with the new password is taken: the controllers tell the brokers a moment later."""
    deadline = time.monotonic() + _IN_FORCE_SECONDS
    while True:
        try:
            brokers_in_service(settings, seconds=_LOGIN_SECONDS)
        except NotAuthorised:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _with(settings: Settings, password: str) -> Settings:
    return settings.model_copy(update={"password": SecretStr(password), "password_file": None})
