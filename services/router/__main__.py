"""The router, wired by hand: settings, control topic, handler, transaction, loop."""

from __future__ import annotations

import gc
import logging
import sys
import time

from prometheus_client import REGISTRY

from hutong.errors import HutongError
from hutong.home import Home
from hutong.kafka.control import AGREEMENTS_TOPIC, ControlTopic
from hutong.kafka.registry import Registry
from hutong.kafka.schemas import WriterSchemas
from hutong.kafka.settings import Settings
from hutong.kafka.transaction import TransactionalStep
from hutong.principals import ROUTER
from hutong.runtime.health import Health, HealthServer
from hutong.runtime.logs import configure
from hutong.runtime.loop import run
from hutong.runtime.stop import GRACE_SECONDS, Stop
from hutong.transcode.choice import is_native, set_native_aside
from hutong.transcode.routing import RoutingTable
from services.router import metrics
from services.router.account import Account
from services.router.handler import Router
from services.router.otlp import trace_sender
from services.router.settings import RouterSettings
from services.router.table import Agreements
from services.router.traces import Traces

_LOG = logging.getLogger("hutong")


def _leave_long_lived_objects_alone() -> None:
    """Keep the garbage collector from the compiled agreements, which live as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def _transaction(settings: Settings, own: RouterSettings, router: Router) -> TransactionalStep:
    return TransactionalStep(
        settings,
        group=own.group,
        instance=own.instance,
        topics=["^pub\\..*"],
        begin=router.begin,
        handle=router.handle,
        pass_by=router.pass_by,
        batch_events=own.batch_events,
        transaction_seconds=own.transaction_seconds,
    )


def main(arguments: list[str]) -> None:
    """Run one router until SIGTERM."""
    own = RouterSettings.read(arguments)
    settings = Settings.resolve(ROUTER)
    set_native_aside(aside=not own.native)
    stop, health = Stop().on_signals(within=GRACE_SECONDS), Health()
    health.wait_for("agreements", "the control topic has not been read yet")
    spans, server = trace_sender(own), HealthServer(health, own)
    _LOG.info("starting", extra={"facts": {"instance": own.instance, "health_port": server.port, "native": is_native()}})

    agreements = Agreements(Home.find())
    control = ControlTopic(
        settings,
        AGREEMENTS_TOPIC,
        lambda documents: agreements.change(documents, control.changed_ms),
        agreements.may_be_better,
        current=True,
    )

    def table() -> RoutingTable:
        """What is in force, and never what has been revoked meanwhile."""
        control.await_current()
        return agreements.table

    schemas, traces = WriterSchemas(Registry.of(settings)), Traces(spans)
    router = Router(table, schemas, Account(REGISTRY), traces)
    transaction = _transaction(settings, own, router)
    REGISTRY.register(metrics.TransactionCollector(transaction))

    def step() -> bool:
        if not control.started:
            control.start()
            health.have("agreements")
            _leave_long_lived_objects_alone()
        control.check()
        control.await_current()
        began = time.perf_counter()
        busy = transaction.step()
        if busy:
            router.committed(time.perf_counter() - began)
        return busy

    try:
        run(step, stop=stop, health=health)
    finally:
        transaction.close()
        control.close()
        if spans is not None:
            spans.close()
        server.close()
        _LOG.info("stopped")


if __name__ == "__main__":
    configure("router")
    try:
        main(sys.argv[1:])
    except HutongError as error:
        _LOG.error("ended", extra={"facts": {"error": str(error)}})
        sys.exit(1)
