"""The monitor, wired by hand: settings, control topic, onlooker, page, loop."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import suppress

from prometheus_client import REGISTRY

from hutong.errors import BrokerUnavailable, HutongError
from hutong.kafka.control import AGREEMENTS_TOPIC, ControlTopic
from hutong.kafka.registry import Registry
from hutong.kafka.schemas import WriterSchemas
from hutong.kafka.settings import Settings
from hutong.kafka.topics import REPLAYS_TOPIC
from hutong.lag.concern import Concern
from hutong.lag.look import Onlooker
from hutong.lag.settled import Settled
from hutong.principals import MONITOR
from hutong.runtime.health import Health, HealthServer
from hutong.runtime.logs import configure
from hutong.runtime.loop import run
from hutong.runtime.stop import GRACE_SECONDS, Stop
from services.monitor.metrics import ROUND_SECONDS, Page
from services.monitor.registry import RegistryWatch
from services.monitor.settings import MonitorSettings

_LOG = logging.getLogger("hutong")

_STALE_ROUNDS, _STALE_SECONDS = 5, 10.0
_REPLAYS_SECONDS = 1.0  # reading them on must not keep anybody from seeing that a broker is away


def main(arguments: list[str]) -> None:
    """Run one monitor until SIGTERM."""
    own = MonitorSettings.read(arguments)
    settings = Settings.resolve(MONITOR)
    stop, health = Stop().on_signals(within=GRACE_SECONDS), Health()
    health.wait_for("agreements", "the control topic has not been read yet")
    server = HealthServer(health, own)
    _LOG.info("starting", extra={"facts": {"instance": own.instance, "health_port": server.port}})

    concern = Concern(WriterSchemas(Registry.of(settings)))
    control = ControlTopic(settings, AGREEMENTS_TOPIC, concern.update)
    settled = Settled()
    replays = ControlTopic(settings, REPLAYS_TOPIC, settled.update)
    onlooker = Onlooker(settings, concern, settled, router_group=own.router_group)
    page = Page(REGISTRY, stale_seconds=max(_STALE_SECONDS, _STALE_ROUNDS * own.round_seconds))
    watch = RegistryWatch(settings, page.registry_answers)

    def step() -> bool:
        try:
            if not control.started:
                control.start()
                health.have("agreements")
            control.check()
            began = time.perf_counter()
            page.show(onlooker.look(seconds=own.read_seconds))
            ROUND_SECONDS.observe(time.perf_counter() - began)
        except HutongError:
            page.blind()
            raise
        if not replays.started and onlooker.sees(REPLAYS_TOPIC):  # not on a bus from before replays, until the next apply
            with suppress(BrokerUnavailable):  # the next look says whether anybody answers, and its turn is near
                replays.start(seconds=_REPLAYS_SECONDS)
        return False

    try:
        run(step, stop=stop, health=health, idle_seconds=own.round_seconds)
    finally:
        watch.close()
        onlooker.close()
        control.close()
        replays.close()
        server.close()
        _LOG.info("stopped")


if __name__ == "__main__":
    configure("monitor")
    try:
        main(sys.argv[1:])
    except HutongError as error:
        _LOG.error("ended", extra={"facts": {"error": str(error)}})
        sys.exit(1)
