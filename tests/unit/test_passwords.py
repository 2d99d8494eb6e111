"""Passwords that change under running clients: who is told what, also where the change was broken off. No broker, no waiting."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient

from hutong.errors import BrokerUnavailable, ConfigurationError, NotAuthorised
from hutong.home import Home
from hutong.kafka import passwords
from hutong.kafka.passwords import Grace, follow, follow_in_turn
from hutong.kafka.settings import Settings


class Client:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def set_sasl_credentials(self, username: str, password: str) -> None:
        self.told.append((username, password))


class Owner:
    """Has a client."""

    def __init__(self) -> None:
        self.client: Client | None = Client()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(root=tmp_path)
    home.write_secret("x.y", "first")
    return home


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The thread looks only when it is told to."""
    monkeypatch.setattr(passwords, "_SECONDS", 3600.0)
    watch = passwords._Watch()
    monkeypatch.setattr(passwords, "_watch", watch)
    return watch


def settings_of(home: Home, **variables: str) -> Settings:
    where = {
        "HUTONG_HOME": str(home.root),
        "HUTONG_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "HUTONG_REGISTRY_URL": "http://127.0.0.1:1",
        "HUTONG_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    }
    return Settings.resolve("x.y", where | variables)


def test_settings_read_the_file_again(home: Home, tmp_path: Path) -> None:
    """A client that is made later logs in with what holds then; a password that was given as such is no file's."""
    settings = settings_of(home)
    assert settings.client()["sasl.password"] == "first"
    home.write_secret("x.y", "second")
    assert settings.client()["sasl.password"] == "second"
    given = settings_of(home, HUTONG_KAFKA_PASSWORD="given")
    assert (given.password_file, given.client()["sasl.password"]) == (None, "given")
    file = tmp_path / "mounted"
    with pytest.raises(ConfigurationError, match=r"no password for x\.y"):
        settings_of(home, HUTONG_KAFKA_PASSWORD_FILE=str(file))
    file.write_text("mounted\n")
    assert settings_of(home, HUTONG_KAFKA_PASSWORD_FILE=str(file)).current_password() == "mounted"


def test_a_client_is_told_once_of_each_change(home: Home, watch: Any) -> None:
    """Not again and again: each time the client would try its connections anew."""
    owner = Owner()
    follow(owner, settings_of(home), lambda one: one.client)
    assert owner.client is not None
    for _ in range(3):
        watch.look()
    home.write_secret("x.y", "second")
    for _ in range(3):
        watch.look()
    assert owner.client.told == [("x.y", "first"), ("x.y", "second")]


def test_a_change_that_was_broken_off_asks_the_brokers(home: Home, watch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They alone know whether they have the new one; where they are away, everything stays as it is."""
    owner, holds = Owner(), [""]

    def brokers(settings: Settings, **_: Any) -> int:
        assert (settings.username, settings.password_file) == ("x.y", None)
        if not holds[0]:
            raise BrokerUnavailable("away")
        if settings.client()["sasl.password"] != holds[0]:
            raise NotAuthorised("refused")
        return 1

    monkeypatch.setattr(passwords, "brokers_in_service", brokers)
    follow(owner, settings_of(home), lambda one: one.client)
    new = home.stage_secret("x.y")
    assert home.stage_secret("x.y") == new
    assert home.read_secret("x.y") == "first"
    assert owner.client is not None
    turns = ["first", new, "first"]
    for known, told in (("", 0), ("first", 1), ("", 1), (new, 2), ("first", 3)):
        holds[0] = known
        for _ in range(3):
            watch.look()
        assert [password for _, password in owner.client.told] == turns[:told]
    home.settle_secret("x.y")
    holds[0] = ""
    for _ in range(3):
        watch.look()
    assert [password for _, password in owner.client.told] == [*turns, new]
    assert home.read_secret("x.y") == new


def test_a_missing_file_changes_nothing(home: Home, watch: Any) -> None:
    """A home that is being put back, say."""
    owner = Owner()
    follow(owner, settings_of(home), lambda one: one.client)
    (home.secrets / "x.y").unlink()
    watch.look()
    owner.client, client = None, owner.client
    home.write_secret("x.y", "second")
    watch.look()  # an owner without a client just now
    assert client is not None
    assert client.told == []


def test_a_consumer_is_told_by_its_owner(home: Home, watch: Any) -> None:
    """Another thread would wait for its calls to end, and the next one begins at once."""
    owner, client = Owner(), Client()
    following = follow_in_turn(owner, settings_of(home))
    following.refresh(client)
    watch.look()
    home.write_secret("x.y", "second")
    watch.look()
    assert client.told == []
    following.refresh(client)
    following.refresh(client)
    assert client.told == [("x.y", "second")]


@pytest.mark.parametrize("kind", ["producer", "admin"])
def test_what_is_told_from_another_thread_takes_it(kind: str) -> None:
    """That a call is under way does not keep the real clients from it (it keeps consumers, see above)."""
    config: dict[str, str | int | float | bool] = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
    config |= {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512"}
    config |= {"sasl.username": "x.y", "sasl.password": "first"}
    client = Producer(config) if kind == "producer" else AdminClient(config)
    busy, stop = threading.Event(), threading.Event()

    def work() -> None:
        while not stop.is_set():
            busy.set()
            client.poll(1.0)

    at_work = threading.Thread(target=work, daemon=True)
    at_work.start()
    telling = threading.Thread(target=client.set_sasl_credentials, args=("x.y", "second"), daemon=True)
    assert busy.wait(5)
    telling.start()
    telling.join(10)
    stop.set()
    assert not telling.is_alive()


def test_nobody_is_kept_alive(home: Home, watch: Any) -> None:
    """A client whose owner is thrown away is not touched any more; after the last one the thread ends."""
    owner, other = Owner(), Owner()
    follow(owner, settings_of(home), lambda one: one.client)
    follow_in_turn(other, settings_of(home))
    thread, client = watch._thread, owner.client
    assert thread.is_alive()
    del owner, other
    gc.collect()
    watch.look()
    assert client is not None
    assert client.told == []
    thread.join(5.0)
    assert not thread.is_alive()


def test_only_files_are_followed(home: Home, watch: Any) -> None:
    """A password from the environment cannot change, and a bus without login has none."""
    owner = Owner()
    follow(owner, settings_of(home, HUTONG_KAFKA_PASSWORD="given"), lambda one: one.client)
    follow(owner, settings_of(home, HUTONG_KAFKA_SECURITY_PROTOCOL="PLAINTEXT"), lambda one: one.client)
    watch.look()
    assert owner.client is not None
    assert (watch._thread, owner.client.told) == (None, [])


def test_a_refused_login_is_excused_where_it_was_good(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """For half a minute, after it has worked, and only where the password can change; nothing else is excused."""
    now = [100.0]
    monkeypatch.setattr("hutong.kafka.passwords.time.monotonic", lambda: now[0])
    refused, away = KafkaError(KafkaError._AUTHENTICATION), KafkaError(KafkaError._ALL_BROKERS_DOWN)
    grace = Grace(settings_of(home))
    assert not grace.covers(refused)
    grace.worked()
    assert not grace.covers(away)
    assert grace.covers(refused)
    now[0] += 29
    assert grace.covers(refused)
    now[0] += 2
    assert not grace.covers(refused)
    grace.worked()
    assert grace.covers(refused)
    fixed = Grace(settings_of(home, HUTONG_KAFKA_PASSWORD="given"))
    fixed.worked()
    assert not fixed.covers(refused)
