"""A bus that is watched: its declarations, what goes on there all the time, and what may go wrong there.

Neighbours: ``watched`` runs services and Prometheus beside it, ``loan_flow`` has most of the declarations.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import yaml
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from hutong import Subscription
from hutong.errors import ContractViolation, HutongError
from tests.integration.coordinators import Bus
from tests.integration.loan_flow import LAND, OFFICE, REQUESTED, TAX, flow

__all__ = ["CHANNEL", "OBJECTIVE_SECONDS", "Traffic", "WatchedBus"]

OBJECTIVE_SECONDS = 3
CHANNEL = "requests"


class WatchedBus(Bus):
    """The bus of the small flow, with two agreements on its requests and a quicker promise.

    Attributes:
        ends: the days after which the two agreements end; None: they do not.
    """

    ends: Mapping[str, int | None] = {LAND: None, TAX: None}

    def apply(self, *flows: Mapping[str, Any]) -> None:
        """Put what is declared in force; a question of the flow is overdue after five seconds."""
        self._keep_promise()
        self._declare_agreements()
        super().apply(flow(ask=[one | {"within": {"seconds": 5}} for one in flow()["ask"]]))

    def _keep_promise(self) -> None:
        path = self._schemas / "contracts" / OFFICE / "requested" / "contract.yaml"
        contract = yaml.safe_load(path.read_text())
        [latency] = [one for one in contract["slaProperties"] if one["property"] == "latency"]
        latency["value"] = OBJECTIVE_SECONDS
        path.write_text(yaml.safe_dump(contract, sort_keys=False))

    def _declare_agreements(self) -> None:
        for agency, days in self.ends.items():
            valid = {"from": date(2026, 1, 1)}
            if days is not None:
                valid["until"] = (datetime.now(UTC) + timedelta(days=days)).date()
            document = {
                **{"id": f"requests-to-{agency.partition('.')[0]}", "title": {"en": "Requests"}, "recipient": agency},
                **{"contract": REQUESTED, "legal_basis": "Made up for tests", "purpose": "Made up for tests", "valid": valid},
                **{"channel": CHANNEL, "rows": [{"field": "person", "equals": "P"}]},
                "fields": [{"field": "loan"}, {"field": "person"}, {"field": "income"}],
            }
            path = self._schemas / "agreements" / agency / f"{document['id']}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(document, sort_keys=False))

    def garbage(self, count: int) -> None:
        """Put records that are no events onto a publisher's topic."""
        producer = Producer(self.settings().client())
        for _ in range(count):
            producer.produce(f"pub.{REQUESTED}", b"no event", b"key")
        producer.flush(30)

    def hang(self) -> Producer:
        """Open a transaction on a topic and leave it open; ``abort_transaction`` ends it."""
        producer = Producer(self.settings().client() | {"transactional.id": "hutong.test-hang"})
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce("pub.office.loans.report", b"never committed", b"key")
        producer.flush(30)
        return producer

    def delete(self, topic: str) -> None:
        """Delete all records of a topic, as retention does."""
        settings = self.settings().client()
        with Consumer(settings | {"group.id": "t.ends"}) as consumer:
            partitions = consumer.list_topics(topic, 10).topics[topic].partitions
            ends = [
                TopicPartition(topic, one, consumer.get_watermark_offsets(TopicPartition(topic, one), 10)[1])
                for one in partitions
            ]
        admin = AdminClient(settings)  # it must live until it is done
        for done in admin.delete_records(ends).values():
            done.result(30)


class Traffic:
    """What goes on all the time: requests, some of them refused, and an application that receives them.

    Args:
        bus: where.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus, self._stop, self._taking = bus, threading.Event(), threading.Event()
        self.failures: list[BaseException] = []
        self._taking.set()
        self._threads = [threading.Thread(target=self._guard, args=(work,), daemon=True) for work in (self._publish, self._take)]

    def start(self) -> Traffic:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def take(self, *, go_on: bool) -> None:
        """Let the application stand still, or go on."""
        (self._taking.set if go_on else self._taking.clear)()

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        self._taking.set()
        for thread in self._threads:
            thread.join(30)

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a thread's failure is the test's
            self.failures.append(error)

    def _publish(self) -> None:
        number = 0
        with self._bus.publisher(OFFICE) as publisher:
            while not self._stop.wait(0.1):
                number += 1
                person = "P" if number % 3 else "Q"
                try:
                    publisher.publish({"loan": f"{time.time_ns()}", "person": person, "income": 5}, REQUESTED)
                    publisher.poll(0)
                    if number % 5 == 0:
                        publisher.publish({"loan": f"{number}", "person": person, "income": "much"}, REQUESTED)
                except ContractViolation:
                    pass
                except HutongError as error:
                    if not error.retriable:
                        raise

    def _take(self) -> None:
        settings = self._bus.settings(LAND)
        with Subscription(LAND, CHANNEL, settings=settings, from_beginning=True) as subscription:
            while not self._stop.is_set():
                self._taking.wait()
                try:
                    subscription.poll(0.1)
                except HutongError as error:
                    if not error.retriable:
                        raise
