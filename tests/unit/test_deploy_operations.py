"""docs/operations.md: its commands fit what is deployed, and can be given in their order."""

from __future__ import annotations

import re

from tests.unit.test_deploy import KUBERNETES, ROOT, compose, manifests

PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def commands(text: str) -> list[str]:
    """The lines of its blocks, without the remarks behind them."""
    blocks = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line.partition("   #")[0].strip() for block in blocks for line in block.splitlines()]


def test_compose_has_the_services_that_are_named() -> None:
    """Whatever `docker compose` is told to start, restart or enter is in compose.yaml."""
    named = re.findall(r"docker compose (?:restart|exec|run --rm|up --detach --no-deps) ([a-z0-9-]+)", PAGE)
    assert named
    assert set(named) <= compose()["services"].keys()


def test_new_certificates_are_taken_by_a_restart() -> None:
    """Each container with a certificate is restarted: `up` leaves one alone of which neither image nor configuration changed."""
    restarted = [line.removeprefix("docker compose restart ") for line in commands(section("In containers")) if "restart" in line]
    assert restarted == [*(name for name in compose()["services"] if name.startswith("kafka-")), "registry"]


def test_the_namespace_comes_before_what_is_in_it() -> None:
    """First the namespace is made and becomes the context's own; no command is given before that needs it."""
    given = [line for line in commands(section("On Kubernetes")) if "kubectl" in line]
    [namespace] = (one["metadata"]["name"] for one in manifests() if one["kind"] == "Namespace")
    assert given[:2] == [
        f"kubectl apply --filename {(KUBERNETES / 'namespace.yaml').relative_to(ROOT)}",
        f"kubectl config set-context --current --namespace {namespace}",
    ]
    order = [
        "kubectl create secret generic registry-writer",
        "kubectl apply --kustomize",
        "kubectl wait kafka/",
        "kubectl get secret",
    ]
    assert [next(at for at, line in enumerate(given) if line.startswith(words)) for words in order] == [2, 3, 4, 5]
