"""Who works with events that are personal data, and why: asked of everybody whose doing is recorded.

Neighbours: ``quarantine`` and ``replay`` pass it on to ``hutong.recovery``.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from hutong.recovery.ledger import Author

__all__ = ["author_of", "author_options"]

Command = TypeVar("Command", bound=Callable[..., Any])


def author_options(command: Command) -> Command:
    """The options that say who, and why."""
    who = click.option("--as", "who", metavar="NAME", help="Recorded as who did it. By default this machine's user.")
    why = click.option("--why", default="", metavar="TEXT", help="Recorded as the purpose.")
    return who(why(command))


def author_of(who: str | None, why: str) -> Author:
    """The author that the options tell."""
    if not who:
        try:
            who = getpass.getuser()
        except (KeyError, OSError):  # a user without a name, as in a container
            who = f"uid {os.getuid()}"
    return Author(who=who, why=why)
