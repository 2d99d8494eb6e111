"""What deploys the bus is valid for public schemas: the Compose Specification's, and those of Kubernetes."""

from __future__ import annotations

import copy
from typing import Any

import kubernetes_validate
import pytest
from compose_pydantic import ComposeSpecification
from pydantic import ValidationError

from tests.unit.test_deploy import compose, manifests

CORE = ("v1", "apps/v1", "policy/v1", "networking.k8s.io/v1")
VERSION = "1.34"


def specification() -> dict[str, Any]:
    """Without the extensions (``x-...``), which the specification allows and this model of it does not know."""
    return {name: value for name, value in compose().items() if not name.startswith("x-")}


def test_compose_file_is_valid_for_the_compose_specification() -> None:
    """Every field is one that the specification has, with a value of the right kind."""
    ComposeSpecification.model_validate(specification())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("imagee",), "x"),
        (("healthcheck", "intervall"), "3s"),
        (("depends_on", "access", "condition"), "healthy"),
        (("mem_limit",), [1]),
    ],
)
def test_a_mistake_in_the_compose_file_would_be_seen(path: tuple[str, ...], value: Any) -> None:
    """The check above tells a misspelt field, an unknown condition, a wrong kind of value."""
    wrong = copy.deepcopy(specification())
    place = wrong["services"]["registry"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(ValidationError):
        ComposeSpecification.model_validate(wrong)


@pytest.mark.parametrize(
    "manifest",
    [one for one in manifests() if one["apiVersion"] in CORE],
    ids=lambda one: f"{one['kind']}-{one['metadata']['name']}",
)
def test_manifests_are_valid_for_kubernetes(manifest: dict[str, Any]) -> None:
    """Strictly: a field that Kubernetes does not know is an error, as it would be ignored there."""
    kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_the_rest_belongs_to_operators() -> None:
    """What no schema here covers is named: Strimzi's, KEDA's and the Prometheus operator's own kinds."""
    found = {one["kind"] for one in manifests() if one["apiVersion"] not in CORE}
    assert found == {"Kafka", "KafkaNodePool", "KafkaUser", "ScaledObject", "PodMonitor"}
