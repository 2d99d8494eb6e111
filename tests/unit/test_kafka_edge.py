"""The edge to Kafka: settings from environment and home, and Kafka's errors in Hutong's words. No broker is needed."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, ThrottleEvent

from hutong import Publisher, Subscription
from hutong.errors import (
    BrokerUnavailable,
    BusError,
    ConfigurationError,
    EventTooLarge,
    Fenced,
    HutongError,
    NotAuthorised,
    QueueFull,
    RegistryUnavailable,
)
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.clients import KafkaSender
from hutong.kafka.errors import translate
from hutong.kafka.resources import NewTopic
from hutong.kafka.settings import Settings
from tests.samples import CONTRACT, person

NOWHERE = Settings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1", registry_seconds=1, delivery_seconds=1)


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (KafkaError._ALL_BROKERS_DOWN, BrokerUnavailable, "check that the bus is up"),
        (KafkaError._MSG_TIMED_OUT, BrokerUnavailable, "b:9092"),
        (KafkaError.NOT_ENOUGH_REPLICAS, BrokerUnavailable, "try again"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, NotAuthorised, "a.b may not publish to pub.a.b.c"),
        (KafkaError._AUTHENTICATION, NotAuthorised, "HUTONG_KAFKA_PASSWORD"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, ConfigurationError, "hutong apply"),
        (KafkaError.MSG_SIZE_TOO_LARGE, EventTooLarge, "size limit"),
        (KafkaError._QUEUE_FULL, QueueFull, "slow down"),
        (KafkaError._FENCED, Fenced, "taken over"),
        (KafkaError._PURGE_QUEUE, BrokerUnavailable, "same id"),
        (KafkaError.INVALID_REQUEST, BusError, "INVALID_REQUEST"),
    ],
)
def test_every_kafka_error_has_its_own_class_and_says_what_to_do(code: int, error: type[HutongError], words: str) -> None:
    """Whether it comes as an error or inside an exception."""
    for problem in (KafkaError(code), KafkaException(KafkaError(code))):
        found = translate(problem, "publish to pub.a.b.c", principal="a.b", servers="b:9092")
        assert type(found) is error
        assert words in str(found)


def test_the_environment_wins(tmp_path: Path) -> None:
    """All that is needed may come from variables; the password is a secret in every form of output."""
    authority = tmp_path / "ca.pem"
    authority.write_text("")
    environment = {
        "HUTONG_HOME": str(tmp_path),
        "HUTONG_KAFKA_BOOTSTRAP_SERVERS": "k:1",
        "HUTONG_REGISTRY_URL": "https://r",
        "HUTONG_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "HUTONG_KAFKA_PASSWORD": "hush",
        "HUTONG_KAFKA_SSL_CA_LOCATION": str(authority),
        "HUTONG_MAX_EVENT_BYTES": "1000",
    }
    settings = Settings.resolve("a.b", environment)
    assert settings.client() | {} == settings.client()
    assert settings.client()["sasl.username"] == "a.b"
    assert settings.client()["sasl.password"] == "hush"
    assert settings.client()["ssl.ca.location"] == str(authority)
    assert settings.limits.max_event_bytes == 1000
    assert "hush" not in repr(settings)


def test_the_embedded_bus_answers_where_the_environment_does_not(tmp_path: Path) -> None:
    """Its address and the principal's password come from the home."""
    home = Home(root=tmp_path)
    home.write_bus({"bootstrap_servers": "127.0.0.1:9", "registry_url": "http://127.0.0.1:8/x"})
    home.write_secret("a.b", "hush")
    settings = Settings.resolve("a.b", {"HUTONG_HOME": str(tmp_path)})
    assert (settings.bootstrap_servers, settings.security_protocol) == ("127.0.0.1:9", "SASL_PLAINTEXT")
    assert settings.client()["sasl.password"] == "hush"
    with pytest.raises(ConfigurationError, match=r"no password for c\.d"):
        Settings.resolve("c.d", {"HUTONG_HOME": str(tmp_path)})


def test_the_operator_alone_logs_in_to_the_registry(tmp_path: Path) -> None:
    """Its password for the registry beside the bus goes nowhere else: not to departments, not to a registry named otherwise."""
    home, here = Home(root=tmp_path), {"HUTONG_HOME": str(tmp_path)}
    home.write_bus({"bootstrap_servers": "127.0.0.1:9", "registry_url": "http://127.0.0.1:8/x"})
    for name in ("operator", "a.b", "registry-writer"):
        home.write_secret(name, f"of {name}")

    def login(principal: str, **more: str) -> tuple[str | None, str | None]:
        found = Settings.resolve(principal, here | more)
        return found.registry_username, found.registry_password and found.registry_password.get_secret_value()

    assert login("operator") == ("registry-writer", "of registry-writer")
    assert login("a.b") == (None, None)
    assert login("operator", HUTONG_REGISTRY_URL="http://elsewhere") == (None, None)
    elsewhere = {"HUTONG_KAFKA_BOOTSTRAP_SERVERS": "k:1", "HUTONG_REGISTRY_URL": "http://elsewhere"}
    assert login("operator", **elsewhere) == (None, None)
    # As compose.yaml names it to the job that applies: the password is in the home.
    assert login("operator", **elsewhere, HUTONG_REGISTRY_USERNAME="registry-writer") == ("registry-writer", "of registry-writer")
    assert login("operator", HUTONG_REGISTRY_USERNAME="me", HUTONG_REGISTRY_PASSWORD="mine") == ("me", "mine")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "nothing says where the bus is"),
        ({"HUTONG_KAFKA_BOOTSTRAP_SERVERS": "k:1"}, "HUTONG_REGISTRY_URL"),
        ({"HUTONG_KAFKA_BOOTSTRAP_SERVERS": "k:1", "HUTONG_REGISTRY_URL": "ftp://r"}, "HUTONG_REGISTRY_URL"),
        (
            {"HUTONG_KAFKA_BOOTSTRAP_SERVERS": "k:1", "HUTONG_REGISTRY_URL": "http://r", "HUTONG_MAX_EVENT_BYTES": "big"},
            "HUTONG_MAX_EVENT_BYTES",
        ),
        (
            {"HUTONG_KAFKA_BOOTSTRAP_SERVERS": "k:1", "HUTONG_REGISTRY_URL": "http://r", "HUTONG_KAFKA_SECURITY_PROTOCOL": "TLS"},
            "HUTONG_KAFKA_SECURITY_PROTOCOL",
        ),
    ],
)
def test_settings_that_lack_or_break_something_are_named(tmp_path: Path, environment: dict[str, str], words: str) -> None:
    """The message names the variable."""
    with pytest.raises(ConfigurationError, match=words):
        Settings.resolve("a.b", {"HUTONG_HOME": str(tmp_path), **environment})


def test_no_registry_is_said_at_the_first_event() -> None:
    """The contract cannot be looked up."""
    publisher = Publisher("kin.registry", settings=NOWHERE)
    with pytest.raises(RegistryUnavailable, match="does not answer"):
        publisher.publish(person(), CONTRACT)
    publisher.close()


def test_no_broker_is_said_in_time() -> None:
    """Joining gives up with the address and what to check."""
    subscription = Subscription("kin.school", "x", settings=NOWHERE)
    with pytest.raises(BrokerUnavailable, match="check that the bus is up"):
        subscription.join(3)
    subscription._reader.close()


def test_a_full_queue_says_why() -> None:
    """Whoever was slowed down by the brokers a moment ago is over the quota; else events just come too fast."""
    sender = KafkaSender(NOWHERE.model_copy(update={"username": "kin.registry"}))
    assert "wait for confirmations" in sender._why_full()
    sender._on_throttle(ThrottleEvent("broker", 1, 0.5))
    assert "kin.registry is over its quota" in sender._why_full()


def test_the_import_is_light_and_quick() -> None:
    """``import hutong`` takes under 0.3 s; the SDK loads no command line, YAML, Faust or embedded module."""
    heavy = "{'click', 'rich', 'yaml', 'faust', 'psycopg', 'hutong.embedded', 'hutong.cli', 'hutong.catalogue', 'stdnum'}"
    use = "hutong.Publisher, hutong.Subscription, hutong.AsyncPublisher, hutong.AsyncSubscription, hutong.outbox"
    code = f"import sys, hutong; {use}; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    times = []
    for _ in range(3):
        bare = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        loaded = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import hutong"], check=True)
        times.append((time.perf_counter() - loaded) - (loaded - bare))
    assert min(times) < 0.3


def test_thousands_of_topics_are_made_in_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    """A controller refuses an operation of more than 10,000 records as a whole; all are made, each once."""
    admin = Admin(NOWHERE)
    lots: list[list[str]] = []

    def create(topics: list[Any], **_: Any) -> dict[str, Future[None]]:
        lots.append([topic.topic for topic in topics])
        done: Future[None] = Future()
        done.set_result(None)
        return {topic.topic: done for topic in topics}

    monkeypatch.setattr(admin, "_client", SimpleNamespace(create_topics=create))
    names = [f"sub.a.b.{number}" for number in range(3_001)]
    admin.create_topics(NewTopic(name=name, partitions=1, replication=1, config={}) for name in names)
    assert [name for lot in lots for name in lot] == names
    assert max(map(len, lots)) <= 500
