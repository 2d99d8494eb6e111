"""Kafka on Kubernetes: the embedded bus's settings where they suit a cluster and Strimzi takes them, and brokers kept apart."""

from __future__ import annotations

import re
from typing import Any

from hutong.embedded import broker
from tests.unit.test_deploy import ROOT, manifests

# Prefixes that Strimzi leaves out, with no more than a warning: ``FORBIDDEN_PREFIXES`` of its ``KafkaClusterSpec``.
FORBIDDEN = (
    *("listeners", "advertised.", "broker.", "listener.", "host.name", "port", "inter.broker.listener.name", "sasl.", "ssl."),
    *("security.", "password.", "log.dir", "authorizer.", "super.user", "cruise.control.metrics.topic"),
    *("cruise.control.metrics.reporter.bootstrap.servers", "node.id", "process.roles", "controller.", "metadata.log.dir"),
)
STRIMZIS = r"(process|node|controller|listeners?|advertised|inter|sasl|super|authorizer|allow|log\.dirs)\b.*"
SMALL = {
    *("offsets.topic.num.partitions", "transaction.state.log.num.partitions", "share.coordinator.state.topic.num.partitions"),
    *("log.cleaner.dedupe.buffer.size", "num.network.threads", "num.io.threads"),
}
REFUSED = {"broker.heartbeat.interval.ms", "broker.session.timeout.ms"}


def theirs() -> dict[str, Any]:
    """The settings of the ``Kafka`` resource."""
    found: dict[str, Any] = next(one for one in manifests() if one["kind"] == "Kafka")["spec"]["kafka"]["config"]
    return found


def test_kubernetes_has_the_settings_of_the_embedded_bus() -> None:
    """Whatever both set is the same; what only the embedded bus sets is Strimzi's business, or for a small machine."""
    nodes = [broker.Place(id=n, host=f"k{n}", port=1, controller_port=2) for n in (1, 2, 3)]
    passwords = {broker.BROKER: "-", broker.CONTROLLER: "-"}
    ours = broker.settings(nodes, nodes[0], listen="", data="", passwords=passwords, tls=None)
    assert {name: str(value) for name, value in theirs().items()} == {name: ours[name] for name in theirs()}
    assert {name for name in ours.keys() - theirs().keys() if not re.fullmatch(STRIMZIS, name)} == SMALL | REFUSED


def test_strimzi_takes_every_setting() -> None:
    """None begins as those do that it leaves out; the two that the embedded bus sets nevertheless do."""
    assert [name for name in theirs() if name.startswith(FORBIDDEN)] == []
    assert all(name.startswith(FORBIDDEN) for name in REFUSED)


def test_the_page_names_the_settings_that_differ() -> None:
    """docs/operations.md, above its first heading, has each of them and no other."""
    head = (ROOT / "docs/operations.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert set(re.findall(r"`([a-z]+(?:\.[a-z]+)+)`", head)) == SMALL | REFUSED


def test_brokers_keep_only_each_other_off_a_machine() -> None:
    """By the pool's name, which no other pod of the cluster has: what brokers keep off has no place on three machines."""
    pool = next(one for one in manifests() if one["kind"] == "KafkaNodePool")
    affinity = pool["spec"]["template"]["pod"]["affinity"]["podAntiAffinity"]
    [term] = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
    cluster = pool["metadata"]["labels"]["strimzi.io/cluster"]
    wanted = {"strimzi.io/cluster": cluster, "strimzi.io/pool-name": pool["metadata"]["name"]}
    assert term == {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": wanted}}
