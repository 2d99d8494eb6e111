"""What deploys the bus agrees with the code: images pinned, variables settings, files there. Kafka: ``test_deploy_kafka``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hutong.embedded import broker, containers, registry
from hutong.kafka.settings import _VARIABLES
from hutong.runtime.settings import ServiceSettings
from services.coordinator.settings import CoordinatorSettings
from services.monitor.settings import MonitorSettings
from services.router.settings import RouterSettings

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
SERVICES: dict[str, type[ServiceSettings]] = {
    "router": RouterSettings,
    "coordinator": CoordinatorSettings,
    "monitor": MonitorSettings,
}
JOBS = {"prepare", "access", "apply"}
EXACT = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+(-[a-z0-9.-]+)?(@sha256:[0-9a-f]{64})?")


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return found


def manifests() -> list[dict[str, Any]]:
    """Every resource that the kustomization names."""
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    assert sorted(kustomization["resources"]) == sorted(
        file.name for file in KUBERNETES.glob("*.yaml") if file.name not in ("kustomization.yaml", "bus.yaml")
    )
    return [one for name in kustomization["resources"] for one in yaml.safe_load_all((KUBERNETES / name).read_text())]


def dockerfile() -> list[str]:
    """The Dockerfile's instructions, each on one line."""
    text = "\n".join(line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#"))
    return [line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line.strip()]


def settings_of(service: str) -> set[str]:
    """Every variable that a process of this service reads."""
    own = SERVICES[service]
    return {own.variable(name) for name in own.model_fields} | set(_VARIABLES.values()) | {"HUTONG_HOME", "HUTONG_LOG_LEVEL"}


def images() -> Iterator[tuple[str, str]]:
    for name, service in compose()["services"].items():
        yield f"compose {name}", service["image"]
    for line in dockerfile():
        if line.startswith("ARG ") and "=" in line:
            yield "Dockerfile", line.partition("=")[2]
    pins = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["images"]
    named = {pin["name"]: f"{pin['newName']}:{pin['newTag']}" for pin in pins}
    for one in manifests():
        pod = one.get("spec", {}).get("template", {}).get("spec", {}) if one["kind"] != "KafkaNodePool" else {}
        for container in pod.get("containers", []):
            yield f"kubernetes {one['metadata']['name']}", named.get(container["image"], container["image"])


@pytest.mark.parametrize(("where", "image"), sorted(set(images())))
def test_every_image_has_an_exact_tag(where: str, image: str) -> None:
    """A version of three numbers, never "latest": what was tested is what runs."""
    assert EXACT.fullmatch(image), f"{where}: {image}"


def test_the_version_is_one() -> None:
    """The image's tag is the project's version, in compose.yaml and on Kubernetes."""
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    ours = {image for where, image in images() if image.partition(":")[0] == "hutong"}
    assert ours == {f"hutong:{version.group(1)}"}


def test_what_runs_here_runs_there() -> None:
    """Kafka and the registry have the version of the embedded bus."""
    lock = (ROOT / "hutong/embedded/jars.lock").read_text()
    kafka = re.search(r"^kafka-(\S+) ", lock, re.MULTILINE)
    registry = re.search(r"^apicurio-registry-(\S+) ", lock, re.MULTILINE)
    assert kafka is not None
    assert registry is not None
    found = {image for _, image in images()}
    assert f"apache/kafka:{kafka.group(1)}" in found
    assert {image for image in found if "apicurio" in image} == {f"apicurio/apicurio-registry:{registry.group(1)}"}
    assert next(one for one in manifests() if one["kind"] == "Kafka")["spec"]["kafka"]["version"] == kafka.group(1)


def test_every_file_that_a_container_gets_is_there() -> None:
    """Each bind mount names a file or folder of this repository, read-only; each volume is declared, and used."""
    stack = compose()
    used = set()
    for name, service in stack["services"].items():
        for mount in service.get("volumes", []):
            source, target, *mode = mount.split(":")
            assert target.startswith("/"), (name, mount)
            if source.startswith("."):
                assert (ROOT / source).exists(), (name, source)
                assert mode == ["ro"], (name, mount)
            else:
                used.add(source)
    assert used == set(stack["volumes"])


def test_every_variable_in_compose_is_a_setting() -> None:
    """What a service is told it also reads; the address of bus and registry is told to all."""
    for name, service in compose()["services"].items():
        told = {variable for variable in service.get("environment", {}) if variable.startswith("HUTONG_")}
        kind = name.split("-")[0]
        if kind in SERVICES:
            assert told <= settings_of(kind), name
            assert {"HUTONG_KAFKA_BOOTSTRAP_SERVERS", "HUTONG_REGISTRY_URL"} <= told, name
            assert service["command"] == ["run", kind]
        else:
            assert told <= {*_VARIABLES.values(), "HUTONG_SCHEMAS", "HUTONG_HOME"}, name


def test_containers_are_told_where_the_prepared_ones_are() -> None:
    """The brokers' names, ports and files of ``containers`` are those of compose.yaml."""
    stack = compose()["services"]
    nodes = [broker.Place(id=n, host=f"kafka-{n}", port=9092, controller_port=9093) for n in (1, 2, 3)]
    layout = containers.Containers(nodes=nodes)
    assert [node.host for node in nodes] == [name for name in stack if name.startswith("kafka-")]
    for name in ("router-1", "coordinator", "monitor", "apply"):
        told = stack[name]["environment"]
        assert told["HUTONG_KAFKA_BOOTSTRAP_SERVERS"] == layout.bootstrap_servers
        assert told["HUTONG_REGISTRY_URL"] == f"https://{layout.registry_host}:{layout.registry_port}/apis/ccompat/v7"
    for node in nodes:
        assert f"{node.host}:{layout.etc}:ro" in stack[node.host]["volumes"]
        assert f"{node.host}-data:{layout.data}" in stack[node.host]["volumes"]
    written = {mount.split(":")[1].removeprefix("/prepared/") for mount in stack["prepare"]["volumes"] if "/prepared/" in mount}
    made = " ".join(dockerfile())
    assert all(f"/prepared/{name}" in made for name in written)  # else the volume would be root's


def test_services_are_as_closed_as_they_can_be() -> None:
    """No capability, no new privilege, no port beyond loopback, a health check each, and jobs that run once."""
    for name, service in compose()["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert "privileged" not in service
        if name in JOBS:
            assert (service["restart"], service["healthcheck"]) == ("no", {"disable": True})
        else:
            assert service["restart"] == "unless-stopped"
            assert "healthcheck" in service or name.split("-")[0] in SERVICES, name  # those have the image's
    assert "HEALTHCHECK" in " ".join(dockerfile())
    assert any(line.startswith("USER 1000") for line in dockerfile())


def test_no_secret_stands_in_a_file() -> None:
    """Passwords are made where they are used: what deploys only names the file or the secret that has one."""
    files = [ROOT / "compose.yaml", ROOT / "Dockerfile", *(ROOT / "deploy/compose").rglob("*.*"), *KUBERNETES.glob("*")]
    given = re.compile(r"(?i)(?<!_)(password|passwd|api_?key)[\"']?\s*[:=]\s*[\"']?(?![{$<\s])\S+")
    for file in files:
        found = [line for line in file.read_text().splitlines() if given.search(line.partition("#")[0])]
        assert found == [], file


def test_prometheus_scrapes_every_service() -> None:
    """Each service of compose.yaml is a target, with the label that rules and dashboards rest on."""
    targets = yaml.safe_load((ROOT / "deploy/compose/targets/hutong.yml").read_text())
    found = {target: group["labels"]["service"] for group in targets for target in group["targets"]}
    names = [name for name in compose()["services"] if name.split("-")[0] in SERVICES]
    assert found == {f"{name}:8080": name.split("-")[0] for name in names}
    image = " ".join(dockerfile())
    assert all(f"HUTONG_{service.upper()}_PORT=8080" in image for service in SERVICES)


def test_grafana_finds_its_dashboards() -> None:
    """Where the provider looks, the dashboards are mounted; the data source is the Prometheus of compose.yaml."""
    stack = compose()["services"]
    provider = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/hutong.yml").read_text())
    path = provider["providers"][0]["options"]["path"]
    assert any(mount.split(":")[:2] == ["./deploy/grafana/dashboards", path] for mount in stack["grafana"]["volumes"])
    source = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"


def workloads() -> list[dict[str, Any]]:
    return [one for one in manifests() if one["kind"] in ("Deployment", "StatefulSet")]


@pytest.mark.parametrize("workload", workloads(), ids=lambda one: one["metadata"]["name"])
def test_every_pod_runs_unprivileged_with_probes_and_limits(workload: dict[str, Any]) -> None:
    """Restricted as the namespace demands, liveness apart from readiness, memory bounded."""
    pod = workload["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        closed = container["securityContext"]
        assert (closed["allowPrivilegeEscalation"], closed["capabilities"]) == (False, {"drop": ["ALL"]})
        assert container["livenessProbe"] != container["readinessProbe"]
        assert "startupProbe" in container
        assert "memory" in container["resources"]["limits"]
        names = {volume["name"] for volume in pod["volumes"]}
        names |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        assert {mount["name"] for mount in container["volumeMounts"]} <= names
    assert workload["spec"]["selector"]["matchLabels"].items() <= workload["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_on_kubernetes_is_a_setting(service: str) -> None:
    """What the manifests tell a service it reads; its port is the one that is probed and scraped."""
    shared = next(one["data"] for one in manifests() if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "hutong")
    workload = next(one for one in workloads() if one["metadata"]["name"] == service)
    [container] = workload["spec"]["template"]["spec"]["containers"]
    told = {variable["name"]: variable for variable in container["env"]}
    assert told.keys() | shared.keys() <= settings_of(service)
    assert told[f"HUTONG_{service.upper()}_PORT"]["value"] == str(container["ports"][0]["containerPort"])
    assert container["args"] == ["run", service]
    assert told["HUTONG_KAFKA_PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": service, "key": "password"}
    paths = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert shared["HUTONG_HOME"] in paths
    assert str(Path(shared["HUTONG_KAFKA_SSL_CA_LOCATION"]).parent) in paths


def test_every_service_has_a_home_of_its_own() -> None:
    """No two kinds of service share the volume that holds their password."""
    homes: dict[str, set[str]] = {}
    for name, service in compose()["services"].items():
        for mount in service.get("volumes", []):
            if mount.split(":")[1] == "/var/lib/hutong" and name.split("-")[0] in SERVICES:
                homes.setdefault(mount.split(":")[0], set()).add(name.split("-")[0])
    assert homes == {name: {name} for name in SERVICES}


def test_the_registry_may_the_same_everywhere() -> None:
    """Its rules on Kubernetes are those of ``containers``, and so is who may change schemas."""
    from tests.unit.test_export_strimzi import acls_of

    user = next(one for one in manifests() if one["kind"] == "KafkaUser")
    assert acls_of(user) == containers.ACCESS
    settings = next(one["data"] for one in manifests() if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "registry")
    told = dict(line.split("=", 1) for line in settings["access.properties"].splitlines())
    ours = dict(registry.access("x"))
    for own in ('users."registry-writer"', "plain-text", "algorithm"):  # there the password comes from a secret
        ours.pop(f"quarkus.security.users.embedded.{own}")
        told.pop(f"quarkus.security.users.embedded.{own}", None)
    assert told == ours


def test_routers_are_scaled_by_metrics_that_there_are() -> None:
    """The queries name metrics of the monitor, and the target is the routers' deployment, which says no number of its own."""
    scaled = next(one for one in manifests() if one["kind"] == "ScaledObject")["spec"]
    assert scaled["scaleTargetRef"]["name"] == "router"
    assert "replicas" not in next(one["spec"] for one in workloads() if one["metadata"]["name"] == "router")
    assert scaled["minReplicaCount"] >= 2
    code = "\n".join(file.read_text() for file in (ROOT / "services/monitor").glob("*.py"))
    named = {name for trigger in scaled["triggers"] for name in re.findall(r"hutong_\w+", trigger["metadata"]["query"])}
    assert named
    assert all(name.removeprefix("hutong_") in code for name in named), named
