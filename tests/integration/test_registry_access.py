"""Who may do what at the registry: everybody reads, the operator alone changes; every operation that it knows is tried."""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from hutong.errors import NotAuthorised
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from hutong.principals import REGISTRY_WRITER
from tests.conftest import RunningBus

SUBJECT = "test.access-value"
SCHEMA = {"type": "record", "name": "R", "fields": []}
CHANGING = ("post", "put", "patch", "delete")
REFUSED = (401, 403)
SPECIFICATIONS = ("registry/v3", "registry/v2", "ccompat/v7", "ccompat/v8", "iceberg/v1")

# Questions that are too long for an address: they change nothing.
_LOOKS = re.compile(
    r"/apis/ccompat/v[78]/(subjects/\{subject\}|subjects/\{subject\}/versions/\{version\}|compatibility/.*)"
    r"|/apis/registry/v[23]/search/.*"
)


@pytest.fixture(scope="module")
def there(bus: RunningBus) -> RunningBus:
    """The bus, with one schema."""
    operator(bus).register(SUBJECT, SCHEMA)
    return bus


def operator(bus: RunningBus) -> Registry:
    return Registry.of(Settings.resolve("operator", bus.environment))


def base(bus: RunningBus) -> str:
    return bus.address.registry_url.partition("/apis/")[0]


def login(bus: RunningBus, who: str) -> str | None:
    """What somebody shows: nothing, or a name and a password."""
    password = bus.home.read_secret(who) if who != "nobody" else None
    if who == "wrong password":
        return f"{REGISTRY_WRITER}:wrong"
    return None if who == "nobody" else f"{who}:{password}"


def ask(bus: RunningBus, who: str, method: str, path: str, body: Any = None) -> int:
    """The status of an answer."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    shown = login(bus, who)
    if shown is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(shown.encode()).decode()
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base(bus) + path, method=method.upper(), data=content, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - an address of our own
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def operations(bus: RunningBus) -> Iterator[tuple[str, str]]:
    """Method and path of everything that the registry says it can do, from its own descriptions."""
    for name in SPECIFICATIONS:
        with urllib.request.urlopen(f"{base(bus)}/api-specifications/{name}/openapi.json", timeout=20) as response:  # noqa: S310
            document = json.load(response)
        paths = document["paths"]
        root = paths.pop("x-codegen-contextRoot", "")
        for path, methods in paths.items():
            for method in methods.keys() & {"get", *CHANGING}:
                yield method, root + path


def filled(path: str) -> str:
    """A path with something for each parameter."""
    return re.sub(r"\{[^}]*\}", "1", path.replace("{subject}", SUBJECT))


def test_every_changing_operation_is_refused_to_all_but_the_writer(there: RunningBus, capsys: pytest.CaptureFixture[str]) -> None:
    """Each operation of each of its interfaces, without a login, with a wrong one, and with a password of Kafka: none works."""
    began, before = time.monotonic(), operator(there).subjects()
    found = sorted((method, path) for method, path in operations(there) if method in CHANGING and not _LOOKS.fullmatch(path))
    assert len(found) > 100
    counts: Counter[int] = Counter()
    through = []
    for method, path in found:
        for who in ("nobody", "wrong password", "router"):
            status = ask(there, who, method, filled(path), {} if method != "delete" else None)
            counts[status] += 1
            if status < 400:
                through.append((who, method, path, status))
    with capsys.disabled():
        took, told = time.monotonic() - began, dict(sorted(counts.items()))
        print(f"\nregistry: {len(found)} changing operations x 3 in {took:.1f} s: {told}")
    assert through == []
    assert operator(there).subjects() == before


@pytest.mark.parametrize("who", ["nobody", "wrong password", "router", "operator", REGISTRY_WRITER])
def test_the_interface_that_clients_use(there: RunningBus, who: str) -> None:
    """The Confluent API: what may be read is read, what changes something is the writer's; no Kafka password opens it."""
    schema = {"schema": json.dumps(SCHEMA), "schemaType": "AVRO"}
    subject, other = f"/apis/ccompat/v7/subjects/{SUBJECT}", "/apis/ccompat/v7/subjects/test.access-other-value"
    reads = [
        ("GET", "/apis/ccompat/v7/subjects", None),
        ("GET", f"{subject}/versions", None),
        ("GET", f"{subject}/versions/latest", None),
        ("POST", subject, schema),
    ]
    changes = [
        ("POST", f"{other}/versions", schema),
        ("PUT", "/apis/ccompat/v7/config/test.access-other-value", {"compatibility": "NONE"}),
        ("DELETE", other, None),
        ("POST", f"{other}/versions", schema),
        ("DELETE", f"{other}/versions/latest", None),
        ("GET", "/apis/registry/v3/admin/export", None),
        ("GET", "/apis/registry/v3/admin/config/properties", None),
    ]
    read = [ask(there, who, *one) for one in reads]
    changed = [ask(there, who, *one) for one in changes]
    if who == REGISTRY_WRITER:
        assert all(status < 300 for status in read + changed), (read, changed)
    else:
        assert all(status in REFUSED for status in changed), changed
        # Whoever shows a wrong password is told so, whatever it is that they want.
        assert all(status == 200 if who == "nobody" else status in (200, 401) for status in read), read


def test_a_department_reads_and_is_told_why_it_may_not_write(there: RunningBus) -> None:
    """The SDK's own client: schemas come without a login, and a refusal names the setting."""
    department = Registry(there.address.registry_url)
    assert SUBJECT in department.subjects()
    latest = department.latest(SUBJECT)
    assert latest is not None
    assert department.by_id(latest.id) is not None
    for attempt in (
        lambda: department.register("test.access-mine-value", SCHEMA),
        lambda: department.set_compatibility(SUBJECT, "NONE"),
        lambda: department.delete(SUBJECT),
    ):
        with pytest.raises(NotAuthorised, match="HUTONG_REGISTRY_USERNAME"):
            attempt()
    assert "test.access-mine-value" not in department.subjects()


def test_the_writers_password_lies_nowhere_but_in_its_file(there: RunningBus) -> None:
    """The registry knows a digest of it; its settings' file is private all the same."""
    password = there.home.read_secret(REGISTRY_WRITER)
    assert password
    file = there.home.registry / "access.properties"
    assert file.stat().st_mode & 0o077 == 0
    assert password not in file.read_text()
