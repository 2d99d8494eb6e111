"""What librdkafka does when the answer to an EndTxn does not come, and that the writing end notices: against its own mock.

It sends the request again by itself, and says that all is well; the first one may still arrive (KAFKA-17754).
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from hutong.kafka.outlet import Outlet
from hutong.kafka.settings import Settings
from tests.torture.proxy import Held, Proxy
from tests.torture.wire import END_TRANSACTION, end_transaction_error


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A broker of librdkafka's own, in this process."""
    config: dict[str, Any] = {"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 0}
    client = AdminClient(config, logger=logging.getLogger("mock"))
    yield next(iter(client.list_topics(timeout=10).brokers.values())).port
    client.poll(0)  # the broker lives as long as its client


@pytest.fixture
def proxy(port: int) -> Iterator[Proxy]:
    proxy = Proxy(port)
    yield proxy
    proxy.close()


@pytest.fixture
def outlet(proxy: Proxy) -> Outlet:
    settings = Settings(bootstrap_servers=proxy.address, registry_url="http://127.0.0.1:1")
    made = Outlet(settings, transactional_id="hutong.late", instance="late", transaction_seconds=2, closed={})
    transact(made)
    return made


def transact(outlet: Outlet) -> None:
    outlet.begin()
    outlet.produce("t", b"k", b"v", [])
    outlet.producer.commit_transaction(-1)


def closed(held: Held) -> None:
    held.cut()


def reset(held: Held) -> None:
    assert held.connection is not None
    held.connection.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    held.connection.client.close()


def silent(_: Held) -> None:
    """Until the client loses its patience."""


@pytest.mark.parametrize("breaks", [closed, reset, silent])
def test_an_end_that_is_sent_twice_costs_the_producer(outlet: Outlet, proxy: Proxy, breaks: Callable[[Held], None]) -> None:
    """The commit succeeds, by the second request; the first comes later, is taken, and would decide the next transaction."""
    assert not outlet.shaken
    held = proxy.hold(END_TRANSACTION)

    def break_it() -> None:
        if held.caught(20):
            breaks(held)

    breaking = threading.Thread(target=break_it)
    breaking.start()
    transact(outlet)
    breaking.join()
    assert outlet.shaken
    held.release()
    assert held.request is not None
    assert end_transaction_error(held.request, held.answered(10)) == 0


def test_what_goes_well_costs_nothing(outlet: Outlet) -> None:
    """Transaction after transaction with one producer."""
    for _ in range(5):
        transact(outlet)
    assert not outlet.shaken


def test_a_broker_that_is_not_there_costs_nothing(outlet: Outlet, proxy: Proxy) -> None:
    """Of several servers one does not exist: it is tried all the time, and nothing can be on its way there."""
    del outlet
    settings = Settings(bootstrap_servers=f"127.0.0.1:1,{proxy.address}", registry_url="http://127.0.0.1:1")
    writing = Outlet(settings, transactional_id="hutong.late", instance="late", transaction_seconds=2, closed={})
    transact(writing)
    assert not writing.shaken
