"""A router that trusts its producer: the negative control of the late EndTxn. Never to be run on a bus that anybody needs.

It goes on with the same producer when the client has sent an EndTxn again, and when an abort after a commit that timed out has
been answered: as Hutong's did at first, and as most programs do. Run as a program, it is a router. Neighbours:
``hutong.kafka.transaction`` says what the guard is, ``faults.network`` strikes.
"""

from __future__ import annotations

import sys

from confluent_kafka import KafkaError, KafkaException

from hutong.kafka.outlet import Outlet
from hutong.kafka.transaction import TransactionalStep
from hutong.runtime.logs import configure
from services.router.__main__ import main
from tests.integration.routers import RouterProcess

__all__ = ["UnguardedRouter"]


class UnguardedRouter(RouterProcess):
    """The process."""

    module = "tests.torture.unguarded"


def _give_up(self: TransactionalStep, outlet: Outlet, error: KafkaError | None) -> None:
    """Abort, and go on with the producer whenever that was answered."""
    if error is None or error.txn_requires_abort():
        try:
            outlet.producer.abort_transaction(-1)
        except KafkaException:
            pass
        else:
            self.outcomes["aborted"] += 1
            return
    self.outcomes["unknown"] += 1
    self._outlet = None


if __name__ == "__main__":
    TransactionalStep._give_up = _give_up  # type: ignore[method-assign]
    Outlet.shaken = property(lambda _: False)  # type: ignore[method-assign, assignment]
    configure("router")
    main(sys.argv[1:])
