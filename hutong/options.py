"""What a subscription may be told, and which of it makes sense together.

Neighbours: ``subscription`` and ``aio`` take these as keyword arguments.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypedDict

from hutong.errors import ConfigurationError
from hutong.transport import Start, Transport

if TYPE_CHECKING:
    from hutong.kafka.settings import Settings

__all__ = ["Options", "check_options", "start_of"]


class Options(TypedDict, total=False):
    """What a subscription may be told.

    Attributes:
        group: consumer group; by default ``<recipient>.<channel>``. It must begin with ``<recipient>.``.
        from_beginning: a group without a position begins with the oldest event kept, not with the next one.
        since: a group without a position begins with the first event delivered at or after this time.
        on_undecodable: ``stop`` raises ``MalformedEvent`` and stays before the record; ``skip`` counts it, logs it and goes on.
        commit: ``processed`` stores positions by itself as events are processed; ``manual`` only when ``commit()`` is called, for
            a recipient that writes many events in one transaction of its own.
        idle_timeout: end the iteration after so many seconds without an event; by default it never ends.
        remembered_ids: how many event ids are kept to leave repetitions out; 0 hands everything out.
        settings: where the bus is; by default from the environment or the embedded bus.
        transport: another bus than Kafka, for tests.
    """

    group: str | None
    from_beginning: bool
    since: datetime | None
    on_undecodable: Literal["stop", "skip"]
    commit: Literal["processed", "manual"]
    idle_timeout: float | None
    remembered_ids: int
    settings: Settings | None
    transport: Transport | None


def start_of(options: Options) -> Start:
    """Where a group without a position begins."""
    return options.get("since") or ("beginning" if options.get("from_beginning") else "end")


def check_options(recipient: str, group: str, options: Options) -> None:
    """Refuse options that contradict each other.

    Raises:
        ConfigurationError: they do.
    """
    since = options.get("since")
    if since is not None and (options.get("from_beginning") or since.tzinfo is None):
        raise ConfigurationError("since is a time with a time zone, and goes without from_beginning")
    if options.get("on_undecodable", "stop") not in ("stop", "skip"):
        raise ConfigurationError("on_undecodable is 'stop' or 'skip'")
    if options.get("commit", "processed") not in ("processed", "manual"):
        raise ConfigurationError("commit is 'processed' or 'manual'")
    if not group.startswith(f"{recipient}."):
        raise ConfigurationError(
            f"group {group!r}: the groups of {recipient} begin with '{recipient}.'; others are not allowed to it"
        )
