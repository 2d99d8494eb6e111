"""The intake's thread: flows followed, published events brought to cases in transactions, for as long as the process lives.

Neighbours: ``intake`` is the handler; ``hutong.runtime.loop`` runs the step; ``__main__`` starts it.
"""

from __future__ import annotations

import threading
from typing import Any

from hutong.errors import BrokerUnavailable
from hutong.kafka.control import ControlTopic
from hutong.kafka.ends import is_there
from hutong.kafka.settings import Settings
from hutong.kafka.transaction import TransactionalStep
from hutong.runtime.health import Health
from hutong.runtime.loop import Stop, run
from services.coordinator.flows import Flows
from services.coordinator.inbox import INBOX
from services.coordinator.intake import IntakeHandler
from services.coordinator.settings import CoordinatorSettings

__all__ = ["Both", "IntakeLine"]

_IDLE_SECONDS = 0.2
_BATCH_EVENTS = 20_000  # a record of the inbox keeps its event and six headers: no more of them in one transaction
_TRANSACTION_SECONDS = 10.0


class Both(Health):
    """The health of a process of two loops: it lives and is ready while both do.

    Args:
        parts: by name.
    """

    def __init__(self, **parts: Health) -> None:
        super().__init__()
        self._parts = parts

    def age(self) -> float:
        """Seconds since the last step of the loop that moves least."""
        return max(part.age() for part in self._parts.values())

    def live(self) -> tuple[bool, dict[str, Any]]:
        """Whether both loops move."""
        return self._together({name: part.live() for name, part in self._parts.items()})

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether both do their work now."""
        return self._together({name: part.ready() for name, part in self._parts.items()})

    @staticmethod
    def _together(found: dict[str, tuple[bool, dict[str, Any]]]) -> tuple[bool, dict[str, Any]]:
        return all(well for well, _ in found.values()), {name: facts for name, (_, facts) in found.items()}


class IntakeLine:
    """Brings published events to cases.

    Args:
        settings: the bus.
        own: the coordinator's settings.
        control: the flows' topic.
        flows: the flows in force.
        handler: says what becomes of events.
        health: told how it goes.
        stop: ends it; set where it cannot go on.
    """

    def __init__(
        self,
        settings: Settings,
        own: CoordinatorSettings,
        control: ControlTopic,
        flows: Flows,
        handler: IntakeHandler,
        *,
        health: Health,
        stop: Stop,
    ) -> None:
        self._settings, self._own, self._control, self._flows, self._handler = settings, own, control, flows, handler
        self._health, self._stop = health, stop
        self._transaction: TransactionalStep | None = None
        self._contracts: frozenset[str] = frozenset()
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self.ready = threading.Event()
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin; ``ready`` is set once there are flows and an inbox, ``error`` where it has ended before its time."""
        self._health.wait_for("flows", "the control topic has not been read yet")
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for its end."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            run(self._step, stop=self._stop, health=self._health, idle_seconds=0.0)
        except BaseException as error:  # noqa: BLE001 - whatever it was: the process must not go on without an intake
            self.error = error
            self._stop.set()
        finally:
            if self._transaction is not None:
                self._transaction.close()

    def _step(self) -> bool:
        if not self.ready.is_set():
            self._begin()
        self._control.check()
        if self._contracts != self._flows.intake.contracts:
            self._follow(self._flows.intake.contracts)
        if self._transaction is None:
            return not self._stop.wait(_IDLE_SECONDS)
        busy = self._transaction.step()
        if busy:
            self._handler.committed()
        return busy

    def _begin(self) -> None:
        if not self._control.started:
            self._control.start()
        if not is_there(self._settings, INBOX):
            raise BrokerUnavailable(f"there is no {INBOX} yet: no flow is applied")
        self._health.have("flows")
        self.ready.set()

    def _follow(self, contracts: frozenset[str]) -> None:
        """Read other topics: no others than those of contracts that some flow takes, since buses carry far more."""
        if self._transaction is not None:
            self._transaction.close()
        self._transaction, self._contracts = None, contracts
        if contracts:
            self._transaction = TransactionalStep(
                self._settings,
                group=self._own.intake_group,
                instance=self._own.instance,
                topics=[f"pub.{name}" for name in sorted(contracts)],
                begin=self._handler.begin,
                handle=self._handler.handle,
                batch_events=_BATCH_EVENTS,
                transaction_seconds=_TRANSACTION_SECONDS,
            )
