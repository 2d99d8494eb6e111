"""Every error that Hutong raises on purpose, in one tree; its neighbours raise these and nothing of their own.

    HutongError
    ├── DeclarationError       a file under ``schemas/`` is wrong
    ├── ContractViolation      a value does not keep its contract; nothing was sent
    ├── MalformedEvent         a record on a topic is not an event that the bus can process
    ├── TransformFailed        an agreement's plan cannot take this record
    │   └── DeliveryTooLarge       what it makes of it is larger than the brokers take
    ├── UnknownContract        no such contract (or version) is on the bus
    ├── ConfigurationError     a setting is missing or makes no sense
    ├── PublisherClosed        publish after close
    ├── DeliveryFailed         the brokers did not confirm events
    ├── DatabaseUnavailable    a connector's database does not answer (retriable)
    ├── SnapshotRefused        a snapshot looks broken; taking it would withdraw what still exists
    └── BusError               the bus could not do it; the subclasses say whether trying again helps
        ├── BrokerUnavailable      (retriable)
        ├── RegistryUnavailable    (retriable)
        ├── QueueFull              (retriable)
        ├── NotAuthorised
        ├── EventTooLarge
        ├── NoSuchDestination      a topic that deliveries go to is not there, or may not be written
        └── Fenced                 another instance took over; start a new client

The message of each says what happened, where, and what to do. It never holds a field's value: values are personal data.
``retriable`` alone decides in the run loop whether a step is tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

__all__ = [
    "BrokerUnavailable",
    "BusError",
    "ConfigurationError",
    "ContractViolation",
    "DatabaseUnavailable",
    "DeclarationError",
    "DeliveryFailed",
    "DeliveryTooLarge",
    "EventTooLarge",
    "Fenced",
    "HutongError",
    "MalformedEvent",
    "NoSuchDestination",
    "NotAuthorised",
    "PublisherClosed",
    "QueueFull",
    "RegistryUnavailable",
    "SnapshotRefused",
    "TransformFailed",
    "UnknownContract",
]


class HutongError(Exception):
    """The root: catch this to catch everything that Hutong raises on purpose."""

    retriable: ClassVar[bool] = False


class DeclarationError(HutongError):
    """A declaration is wrong.

    Args:
        problem: what is wrong and what to do.
        file: path relative to the declarations' directory.
        line: 1-based line, where known.
        field: dotted path of the field inside the file or the contract, where one is meant.
    """

    def __init__(self, problem: str, *, file: str = "", line: int | None = None, field: str = "") -> None:
        self.problem, self.file, self.line, self.field = _shown(problem), _shown(file), line, _shown(field)
        file, field, problem = self.file, self.field, self.problem
        where = file + (f":{line}" if line else "")
        super().__init__(": ".join(part for part in (where, field, problem) if part))


_LONGEST_SHOWN = 1000


def _shown(text: str) -> str:
    """A declaration's words as a terminal may have them: names and keys in a file may hold control characters, or be endless."""
    if len(text) > _LONGEST_SHOWN:
        text = f"{text[:_LONGEST_SHOWN]}..."
    if text.isprintable():
        return text
    text = text.replace("\n", " ")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class ContractViolation(HutongError):
    """A value does not keep its contract. Raised before anything is sent.

    Args:
        contract: the contract's name.
        path: dotted path of the offending field, with ``[i]`` for array items and ``[key]`` for map values.
        rule: the broken rule's short name (``type``, ``missing``, ``unknown_field``, ``enum``, ``identifier``, ...).
        problem: what is expected there; never the value itself.
    """

    def __init__(self, contract: str, path: str, rule: str, problem: str) -> None:
        self.contract, self.path, self.rule, self.problem = contract, path, rule, problem
        super().__init__(f"{contract}: field {path or '(whole event)'}: {problem}")


class MalformedEvent(HutongError):
    """A record cannot be processed as an event; it belongs into quarantine.

    Args:
        reason: a short stable code, the quarantine's label (see ``docs/quarantine.md``).
        problem: what is wrong with it, without any of its values.
        place: topic, partition and offset of the record, where the reader knows it.
    """

    def __init__(self, reason: str, problem: str, place: tuple[str, int, int] | None = None) -> None:
        self.reason, self.problem, self.place = reason, problem, place
        at = f"{place[0]}[{place[1]}] offset {place[2]}: " if place else ""
        super().__init__(f"{at}{reason}: {problem}")


class TransformFailed(HutongError):
    """One agreement's plan cannot take this record; the other agreements' deliveries are not touched by it."""

    def __init__(self, agreement: str, path: str, problem: str) -> None:
        self.agreement, self.path, self.problem = agreement, path, problem
        super().__init__(f"agreement {agreement}: field {path or '(whole event)'}: {problem}")


class DeliveryTooLarge(TransformFailed):
    """A delivery would be larger than the brokers take; it is not built, nor sent."""


class UnknownContract(HutongError):
    """No such contract, or no such version of it, is known here."""


class ConfigurationError(HutongError):
    """A setting is missing or makes no sense; the message names it."""


class PublisherClosed(HutongError):
    """``publish`` was called after ``close``."""


class DeliveryFailed(HutongError):
    """Events that were published and not confirmed by the brokers.

    Args:
        problem: what happened and what to do.
        event_ids: ids of the events that are not confirmed; publishing them again with the same ids is safe.
    """

    def __init__(self, problem: str, event_ids: Sequence[str] = ()) -> None:
        self.event_ids = tuple(event_ids)
        super().__init__(problem)


class DatabaseUnavailable(HutongError):
    """A connector's database does not answer, or broke off."""

    retriable = True


class SnapshotRefused(HutongError):
    """A snapshot of a table looks truncated or broken; nothing of it was published."""


class BusError(HutongError):
    """The bus could not do what it was asked."""


class BrokerUnavailable(BusError):
    """No broker answers in time."""

    retriable = True


class RegistryUnavailable(BusError):
    """The schema registry does not answer in time."""

    retriable = True


class QueueFull(BusError):
    """The publisher's local queue is full: events come faster than the brokers take them."""

    retriable = True


class NotAuthorised(BusError):
    """The principal may not do this; the message names the principal and the resource."""


class EventTooLarge(BusError):
    """The encoded event is over the brokers' size limit."""


class NoSuchDestination(BusError):
    """A topic that deliveries go to does not exist or may not be written; ``hutong apply`` makes it."""


class Fenced(BusError):
    """A newer instance with the same identity is at work; this one must stop."""
