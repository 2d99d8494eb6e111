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
from hutong.runtime.health import Health, HealthServer
from hutong.runtime.logs import configure
from hutong.runtime.loop import Stop, run
from hutong.transcode.choice import is_native, set_native_aside
from services.router.account import Account
from services.router.handler import Router
from services.router.settings import RouterSettings
from services.router.table import Agreements

_LOG = logging.getLogger("hutong")

PRINCIPAL = "services"


def _leave_long_lived_objects_alone() -> None:
    """Keep the garbage collector from the compiled agreements, which live as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def main(arguments: list[str]) -> None:
    """Run one router until SIGTERM."""
    own = RouterSettings.read(arguments)
    settings = Settings.resolve(PRINCIPAL)
    set_native_aside(aside=not own.native)
    stop, health = Stop().on_signals(), Health()
    health.wait_for("agreements", "the control topic has not been read yet")
    server = HealthServer(health, host=own.host, port=own.port)
    _LOG.info("starting", extra={"facts": {"instance": own.instance, "health_port": server.port, "native": is_native()}})

    agreements = Agreements(Home.find())
    control = ControlTopic(settings, AGREEMENTS_TOPIC, agreements.update)
    router = Router(lambda: agreements.table, WriterSchemas(Registry.of(settings)), Account(REGISTRY))
    transaction = TransactionalStep(
        settings,
        group=own.group,
        instance=own.instance,
        topics=["^pub\\..*"],
        begin=router.begin,
        handle=router.handle,
        batch_events=own.batch_events,
        transaction_seconds=own.transaction_seconds,
    )

    def step() -> bool:
        if not control.started:
            control.start()
            health.have("agreements")
            _leave_long_lived_objects_alone()
        control.check()
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
        server.close()
        _LOG.info("stopped")


if __name__ == "__main__":
    configure("router")
    try:
        main(sys.argv[1:])
    except HutongError as error:
        _LOG.error("ended", extra={"facts": {"error": str(error)}})
        sys.exit(1)
