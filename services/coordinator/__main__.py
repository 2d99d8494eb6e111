"""The coordinator, wired by hand: settings, control topic, the intake in its thread, the cases in this one."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from hutong.errors import HutongError
from hutong.home import Home
from hutong.kafka.changelog_writer import ChangelogWriter
from hutong.kafka.clients import KafkaSender
from hutong.kafka.control import ControlTopic
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from hutong.kafka.topics import FLOWS_TOPIC
from hutong.principals import COORDINATOR
from hutong.runtime.health import Health, HealthServer
from hutong.runtime.logs import configure
from hutong.runtime.stop import GRACE_SECONDS, Stop
from hutong.runtime.tracing import Tracing
from services.coordinator.app import CasesApp
from services.coordinator.cases import Worker
from services.coordinator.events import Events
from services.coordinator.flows import Flows
from services.coordinator.inbox import STATE
from services.coordinator.intake import IntakeHandler
from services.coordinator.line import Both, IntakeLine
from services.coordinator.outbound import Outbound
from services.coordinator.receivers import Receivers
from services.coordinator.serve import CaseService
from services.coordinator.settings import CoordinatorSettings
from services.coordinator.watch import Watch

_LOG = logging.getLogger("hutong")

_POLL_SECONDS = 0.2
_STOP_SECONDS = 5.0
_LEASE = 0.8  # of the session: the brokers' clock and this one's need not run alike


def main(arguments: list[str]) -> None:
    """Run one coordinator until SIGTERM."""
    own = CoordinatorSettings.read(arguments)
    settings, home = Settings.resolve(COORDINATOR), Home.find()
    stop, intake_health, cases_health = Stop().on_signals(within=GRACE_SECONDS), Health(), Health()
    cases_health.ends_with(stop)
    tracing, server = Tracing(own), HealthServer(Both(intake=intake_health, cases=cases_health), own)
    _LOG.info("starting", extra={"facts": {"instance": own.instance, "health_port": server.port}})

    flows, registry = Flows(home), Registry.of(settings)
    control = ControlTopic(settings, FLOWS_TOPIC, flows.update)
    receivers = Receivers(settings, home, Events(registry))
    handler = IntakeHandler(flows, Events(registry), receivers)
    intake = IntakeLine(settings, own, control, flows, handler, health=intake_health, stop=stop)

    async def cases() -> None:
        service = CaseService(
            CasesApp(settings, own, home),
            flows=flows,
            worker=Worker(flows, Events(registry), Outbound(settings, tracing.spans), tracing.spans),
            changelog=ChangelogWriter(settings, STATE, seconds=own.session_seconds / 2),
            lease_seconds=own.session_seconds * _LEASE,
            clock=KafkaSender(settings),
            watch=Watch(settings),
            batch_records=own.batch_records,
            stop=stop,
            health=cases_health,
        )
        await service.serve()

    cases_health.wait_for("cases", "the flows have not been read yet")
    intake.start()
    try:
        while not intake.ready.wait(_POLL_SECONDS) and not stop.is_set():
            cases_health.beat()
        if not stop.is_set():
            asyncio.run(cases())
    finally:
        stop.set()
        intake.join(_STOP_SECONDS)
        receivers.close()
        control.close()
        tracing.close()
        server.close()
    if intake.error is not None:
        raise intake.error
    _LOG.info("stopped")


def _end(code: int) -> None:
    """End at once: Faust's threads and clients may not notice that they should, and everything is stored."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    configure("coordinator")
    try:
        main(sys.argv[1:])
    except HutongError as error:
        _LOG.error("ended", extra={"facts": {"error": str(error)}})
        _end(1)
    except Exception:  # noqa: BLE001 - the process ends, and its log says where
        _LOG.exception("ended in an unforeseen way")
        _end(1)
    _end(0)
