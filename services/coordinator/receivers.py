"""Who had got an event: for flows that correct what was published, and tell those who rely on it.

The event is looked for on its topic from its own time on, and the agreements in force are run over it as the router does.
Neighbours: the intake asks; ``hutong.runtime.agreements`` keeps the agreements, ``hutong.kafka.moments`` finds the event.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hutong.errors import BrokerUnavailable
from hutong.event import header
from hutong.home import Home
from hutong.kafka.control import AGREEMENTS_TOPIC, ControlTopic
from hutong.kafka.moments import records_since
from hutong.kafka.settings import Settings
from hutong.recovery.record import headers_of
from hutong.runtime.agreements import Agreements
from hutong.transcode.routing import Inbound
from services.coordinator.events import Events

__all__ = ["Receivers"]

_MOST = 200_000  # records looked at for one event: an hour of a busy topic; what came later is another's
_EARLY_MS = 60_000  # clocks of a publisher and of the brokers may differ by so much
_SECONDS = 3.0  # for looking, in one transaction, which the brokers keep open for 10; one that takes longer is the only one in it
_KEPT = 100  # events that were looked for last: an event may weigh a megabyte
_ABSENT_SECONDS = 60.0  # for so long it is believed that an event is not there


class Receivers:
    """Finds the recipients of an event.

    Args:
        settings: the bus.
        home: where the pseudonym keys lie.
        events: fetches the writers' schemas.
    """

    def __init__(self, settings: Settings, home: Home, events: Events) -> None:
        self._settings, self._events = settings, events
        self._agreements = Agreements(home)
        self._control = ControlTopic(settings, AGREEMENTS_TOPIC, self._agreements.update, self._agreements.may_be_better)
        self._found: OrderedDict[tuple[str, bytes], tuple[Inbound | None, float]] = OrderedDict()
        self._took = 0.0

    def begin(self) -> None:
        """A transaction begins: there is time to look again."""
        self._took = 0.0

    def of(self, data: Mapping[str, Any]) -> list[dict[str, str]]:
        """The agencies to which an event goes, and under which agreement.

        Args:
            data: names it: ``contract``, ``event_id``, ``event_time``.

        Returns:
            One ``{"agency": ..., "agreement": ...}`` for each; none where there is no such event.

        Raises:
            HutongError: the topic or the agreements cannot be read now, or this transaction has no more time for it. What was
                found is known the next time, so that any number of questions comes to an end.
        """
        contract, event_id, moment = data.get("contract"), data.get("event_id"), _ms(data.get("event_time"))
        if not contract or not event_id or moment is None:
            return []
        if not self._control.started:
            self._control.start()
        self._control.check()
        if contract not in self._agreements.table.contracts().values():
            return []  # nobody could get it; and any text may stand here, which is no topic's name
        found = self._look(f"pub.{contract}", str(event_id).encode(), moment)
        if found is None:
            return []
        self._events.fetch([(found.topic, found.value)])
        table = self._agreements.table
        routed = table.route(found, self._events.writers.get, time.time_ns() // 1_000_000)
        return [
            {"agency": table.grants[one.agreement].agreement.recipient, "agreement": one.agreement} for one in routed.deliveries
        ]

    def close(self) -> None:
        """Stop following the agreements."""
        self._control.close()

    def _look(self, topic: str, event_id: bytes, moment_ms: int) -> Inbound | None:
        now, key = time.monotonic(), (topic, event_id)
        found, at = self._found.get(key, (None, -_ABSENT_SECONDS))
        if found is not None or now - at < _ABSENT_SECONDS:
            return found
        if self._took > _SECONDS:
            raise BrokerUnavailable("looking for what objections name takes longer than a transaction; going on with the next")
        found = self._find(topic, event_id, moment_ms)
        ended = time.monotonic()
        self._took += ended - now
        self._found[key] = found, ended
        self._found.move_to_end(key)
        while len(self._found) > _KEPT:
            self._found.popitem(last=False)
        return found

    def _find(self, topic: str, event_id: bytes, moment_ms: int) -> Inbound | None:
        for message in records_since(self._settings, topic, moment_ms - _EARLY_MS, most=_MOST):
            headers = headers_of(message)
            if header(headers, "ce_id") == event_id:
                return Inbound(topic, message.key(), message.value(), headers, message.timestamp()[1])
        return None


def _ms(moment: Any) -> int | None:
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return None
    try:
        return int(moment.timestamp() * 1000) if isinstance(moment, datetime) else None
    except (ValueError, OverflowError, OSError):  # a time without a zone at the end of the calendar
        return None
