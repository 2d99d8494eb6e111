"""Strimzi's resources say the same as the declarations: topics, users and access rules, read back and compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hutong.catalogue.load import read
from hutong.control.desired import Layout, desired
from hutong.errors import ConfigurationError
from hutong.export.strimzi import documents, resource_name
from hutong.kafka.resources import Acl, NewTopic
from tests.declaring import FI, Declarations

SAMPLE = Path(__file__).parents[2] / "schemas"
LAYOUT = Layout(brokers=3)
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def exported(schemas: Path) -> list[dict[str, Any]]:
    """As a cluster gets them: through YAML."""
    return [yaml.safe_load(yaml.safe_dump(one)) for one in documents(read(schemas).catalogue, LAYOUT)]


def acls_of(user: dict[str, Any]) -> set[Acl]:
    """A user's rules, read as Strimzi's user operator reads them."""
    kinds: dict[str, Any] = {"topic": "topic", "group": "group", "transactionalId": "transactional_id", "cluster": "cluster"}
    patterns: dict[str, Any] = {"literal": "literal", "prefix": "prefixed"}
    found = set()
    for rule in user["spec"].get("authorization", {}).get("acls", []):
        assert rule["host"] == "*"
        resource = rule["resource"]
        for operation in rule["operations"]:
            found.add(
                Acl(
                    principal=user["metadata"]["name"],
                    resource=kinds[resource["type"]],
                    name=resource.get("name", "kafka-cluster"),
                    pattern=patterns[resource.get("patternType", "literal")],
                    operation=re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper(),
                    permission=rule["type"],
                )
            )
    return found


@pytest.mark.parametrize("schemas", [SAMPLE, FI], ids=["sample", "fi"])
def test_topics_and_rules_are_those_that_apply_makes(schemas: Path) -> None:
    """Read back, the resources are exactly the desired topics and access rules: none more, none less."""
    wanted = desired(read(schemas).catalogue, LAYOUT)
    found = exported(schemas)
    topics = [one for one in found if one["kind"] == "KafkaTopic"]
    assert {
        one["spec"].get("topicName", one["metadata"]["name"]): NewTopic(
            name=one["spec"].get("topicName", one["metadata"]["name"]),
            partitions=one["spec"]["partitions"],
            replication=one["spec"]["replicas"],
            config=one["spec"]["config"],
        )
        for one in topics
    } == dict(wanted.topics)
    users = {one["metadata"]["name"]: one for one in found if one["kind"] == "KafkaUser"}
    assert set.union(*map(acls_of, users.values())) == set(wanted.acls)
    assert users.keys() == wanted.principals | {acl.principal for acl in wanted.acls} | {"operator"}
    assert "authorization" not in users["operator"]["spec"]  # a super user of the cluster


def test_every_resource_has_a_name_of_its_own_that_kubernetes_takes() -> None:
    """No two resources of a kind share a name, each is a DNS subdomain, and all belong to one cluster."""
    found = exported(SAMPLE)
    names = [(one["kind"], one["metadata"]["name"]) for one in found]
    assert len(set(names)) == len(names)
    assert all(LABEL.fullmatch(name) and len(name) <= 253 for _, name in names)
    assert {(one["apiVersion"], one["metadata"]["labels"]["strimzi.io/cluster"]) for one in found} == {
        ("kafka.strimzi.io/v1", "hutong")
    }
    assert any("topicName" in one["spec"] for one in found)  # the sample has topics with underscores


@given(st.text(alphabet="ab_.-Z", min_size=1, max_size=249), st.text(alphabet="ab_.-Z", min_size=1, max_size=249))
def test_any_topic_name_becomes_a_name_of_its_own(one: str, other: str) -> None:
    """Whatever Kafka takes as a topic's name has a valid resource name, and different topics have different ones."""
    for topic in (one, other):
        name = resource_name(topic)
        assert LABEL.fullmatch(name)
        assert len(name) <= 253
    assert (resource_name(one) == resource_name(other)) == (one == other)


def test_a_code_that_cannot_name_a_user_is_told(tmp_path: Path) -> None:
    """Strimzi knows a principal by its resource's name: a code with an underscore cannot be one, and it is said what to do."""
    declarations = Declarations(tmp_path / "schemas")
    for file in declarations.directory.rglob("*.*"):
        if file.is_file():
            file.write_text(re.sub(r"\bkela\b", "kela_fi", file.read_text()))
    for folder in ("agreements", "contracts"):
        (declarations.directory / folder / "kela").rename(declarations.directory / folder / "kela_fi")
    with pytest.raises(ConfigurationError, match=r"kela_fi cannot be a KafkaUser.*without underscores"):
        list(documents(declarations.catalogue(), LAYOUT))
