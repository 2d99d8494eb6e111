"""What is asked about consumer groups, of brokers that answer as this file says: moved coordinators, silence, overload."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.protocol.admin import ApiVersionResponse_v0, DescribeGroupsResponse_v0, ListGroupsResponse_v0
from aiokafka.protocol.commit import OffsetFetchResponse_v2
from aiokafka.protocol.coordination import FindCoordinatorResponse_v0
from aiokafka.protocol.metadata import MetadataResponse_v1

from hutong.errors import BrokerUnavailable
from hutong.kafka.groups import Groups, Members
from hutong.kafka.settings import Settings

VERSIONS, METADATA, LIST, DESCRIBE, FIND, FETCH = 18, 3, 16, 15, 10, 9
NOT_COORDINATOR = 16


class Brokers:
    """A cluster of sockets: each node lists one group, and knows of the groups that it coordinates what it is asked."""

    def __init__(self) -> None:
        self.alive, self.frozen, self.coordinator = [1, 2], set[int](), 1
        self.asked: list[tuple[int, int]] = []
        self._sockets = {node: socket.create_server(("127.0.0.1", 0)) for node in (1, 2)}
        self._open: list[socket.socket] = []
        for node in self._sockets:
            threading.Thread(target=self._accept, args=(node,), daemon=True).start()

    def settings(self, *nodes: int) -> Settings:
        servers = ",".join(f"127.0.0.1:{self._sockets[node].getsockname()[1]}" for node in nodes)
        return Settings(bootstrap_servers=servers, registry_url="http://nowhere")

    def close(self) -> None:
        for one in [*self._sockets.values(), *self._open]:
            one.close()

    def _accept(self, node: int) -> None:
        try:
            while True:
                connection, _ = self._sockets[node].accept()
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(node, connection), daemon=True).start()
        except OSError:
            return

    def _serve(self, node: int, connection: socket.socket) -> None:
        try:
            while head := connection.recv(4, socket.MSG_WAITALL):
                request = connection.recv(struct.unpack(">i", head)[0], socket.MSG_WAITALL)
                kind, _, number = struct.unpack(">hhi", request[:8])
                self.asked.append((node, kind))
                while node in self.frozen:
                    time.sleep(0.01)
                answer = struct.pack(">i", number) + self._answer(node, kind).encode()
                connection.sendall(struct.pack(">i", len(answer)) + answer)
        except OSError:
            return

    def _answer(self, node: int, kind: int) -> Any:
        wrong = 0 if node == self.coordinator else NOT_COORDINATOR
        if kind == VERSIONS:
            known = [(VERSIONS, 0), (METADATA, 1), (LIST, 0), (DESCRIBE, 0), (FIND, 0), (FETCH, 2)]
            return ApiVersionResponse_v0(0, [(key, version, version) for key, version in known])
        if kind == METADATA:
            nodes = [(one, "127.0.0.1", self._sockets[one].getsockname()[1], None) for one in self.alive]
            return MetadataResponse_v1(nodes, self.alive[0], [])
        if kind == LIST:
            return ListGroupsResponse_v0(0, [(f"a.{node}", "consumer")])
        if kind == FIND:
            return FindCoordinatorResponse_v0(0, self.coordinator, "127.0.0.1", self._sockets[self.coordinator].getsockname()[1])
        if kind == DESCRIBE:
            assigned = ConsumerProtocolMemberAssignment(0, [("sub.a.x", [0])], b"").encode()
            member = ("m", "c", "h", b"", assigned)
            return DescribeGroupsResponse_v0([(wrong, "a", "Stable", "consumer", "range", [member])])
        return OffsetFetchResponse_v2([] if wrong else [("sub.a.x", [(0, 5, "", 0), (1, -1, "", 0)])], wrong)


@pytest.fixture
def brokers() -> Iterator[Brokers]:
    made = Brokers()
    yield made
    made.frozen.clear()
    made.close()


ONE = Members(count=1, topics=frozenset({"sub.a.x"}))


def test_all_brokers_are_asked(brokers: Brokers) -> None:
    """Each knows its own groups; members' topics and stored positions are told, and no position where there is none."""
    with Groups(brokers.settings(1)) as groups:
        assert groups.names() == ["a.1", "a.2"]
        assert groups.members(["a.1", "a.2"]) == {"a.1": ONE, "a.2": ONE}
        assert groups.committed(["a.1"]) == {"a.1": {("sub.a.x", 0): 5}}
        assert groups.members([]) == groups.committed([]) == {}


def test_a_coordinator_that_has_moved_is_found(brokers: Brokers) -> None:
    """It was somewhere else a moment ago, and says so itself."""
    with Groups(brokers.settings(2)) as groups:
        assert groups.committed(["a.1"])
        brokers.coordinator = 2
        assert groups.committed(["a.1"]) == {"a.1": {("sub.a.x", 0): 5}}
        brokers.coordinator = 1
        assert groups.members(["a.1"]) == {"a.1": ONE}


def test_a_silent_broker_keeps_nobody_from_the_others(brokers: Brokers) -> None:
    """Not from their groups, and for no longer than a question may take; its own groups are found where they have gone."""
    with Groups(brokers.settings(2), seconds=1.5) as groups:
        assert groups.committed(["a.1"])
        brokers.frozen.add(1)
        began = time.monotonic()
        assert groups.names() == ["a.2"]
        assert groups.committed(["a.1"]) == {}
        assert time.monotonic() - began < 6
        brokers.alive, brokers.coordinator = [2], 2
        assert groups.committed(["a.1"]) == {"a.1": {("sub.a.x", 0): 5}}
        began = time.monotonic()
    assert time.monotonic() - began < 3  # nor is it waited for at the end


def test_nobody_at_all(brokers: Brokers) -> None:
    """That is told where the groups' names are wanted; later they are there."""
    brokers.frozen |= {1, 2}
    with Groups(brokers.settings(1, 2), seconds=0.6) as groups:
        with pytest.raises(BrokerUnavailable, match="consumer groups"):
            groups.names()
        assert groups.members(["a.1"]) == groups.committed(["a.1"]) == {}
        brokers.frozen.clear()
        assert groups.names() == ["a.1", "a.2"]


def test_many_groups_do_not_keep_a_broker_busy(brokers: Brokers) -> None:
    """Where there is no time for all, what is answered is told, and the next question does not wait for what nobody wants."""
    names = [f"a.{number}" for number in range(20_000)]
    with Groups(brokers.settings(1), seconds=0.5) as groups:
        found = groups.members(names)
        assert 0 < len(found) < len(names)
        assert groups.committed(["b.1"]) == {"b.1": {("sub.a.x", 0): 5}}


def test_a_password_that_came_before_the_connection_holds(brokers: Brokers) -> None:
    """Whoever is told a new one before there is a client makes it with that."""
    with Groups(brokers.settings(1)) as groups:
        groups.set_sasl_credentials("a", "new")
        groups.names()
        assert groups._client._sasl_plain_password == "new"
        groups.set_sasl_credentials("a", "newer")
        assert groups._client._sasl_plain_password == "newer"
