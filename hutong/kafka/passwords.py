"""A password that is changed while clients run: each is told the new one, and logs in with it when it connects the next time.

Connections that stand are not touched by a change; without this, the first that breaks would never come back. Looked at is the
password's file, once a second, by one thread for all clients of the process. Where ``hutong keys password`` is under way, or was
broken off, the file and the one beside it hold one password each, and only the brokers know which is right: they are asked.
Neighbours: ``settings`` says where the file is; whatever keeps a client for long follows it here.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from confluent_kafka import KafkaError, KafkaException
from pydantic import SecretStr

from hutong.errors import ConfigurationError, HutongError
from hutong.home import read_private, staged
from hutong.kafka.errors import refuses
from hutong.kafka.probe import brokers_in_service
from hutong.kafka.settings import Settings

__all__ = ["Following", "Grace", "LogsIn", "follow", "follow_in_turn"]

_LOG = logging.getLogger("hutong")

_SECONDS = 1.0
_TRY_SECONDS = 5.0  # to be let in, or refused

_GRACE_SECONDS = 30.0  # a password that was changed is everywhere by then

Owner = TypeVar("Owner")


class LogsIn(Protocol):
    """A client of the brokers."""

    def set_sasl_credentials(self, username: str, password: str) -> None:
        """Log in like this from now on."""


class Following:
    """What one client is to log in with, for as long as its owner lives."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.file = settings, Path(settings.password_file or "")
        self._wanted: str | None = None
        self._told: str | None = None
        self.tell: Callable[[], None] = _nothing

    def note(self, password: str) -> None:
        """This password holds now."""
        self._wanted = password
        self.tell()

    def begin_anew(self) -> None:
        """The owner has another client now, which knows what its settings say and nothing of what was told."""
        self._told = None

    def refresh(self, client: LogsIn) -> None:
        """Pass a new password on to the client, if there is one."""
        password = self._wanted
        if password is None or password == self._told:
            return
        with suppress(KafkaException, RuntimeError):  # the client has been closed
            client.set_sasl_credentials(self.settings.username or "", password)
        if self._told is not None:
            _LOG.info("the password was changed", extra={"facts": {"principal": self.settings.username}})
        self._told = password


class Grace:
    """Whether a refused login is the end: not at once, where it was good before and its password comes from a file.

    Args:
        settings: what the client was made with.
    """

    def __init__(self, settings: Settings) -> None:
        self._changes = settings.password_file is not None
        self._good = False
        self._refused_since: float | None = None

    def worked(self) -> None:
        """The brokers have answered."""
        self._good, self._refused_since = True, None

    def covers(self, error: KafkaError) -> bool:
        """Whether it says that the login is refused, and the password may have been changed a moment ago."""
        if not (self._changes and self._good and refuses(error)):
            return False
        now = time.monotonic()
        self._refused_since = self._refused_since or now
        return now - self._refused_since < _GRACE_SECONDS


class _Watch:
    """All followed clients of this process, and the thread that looks after them while there are any."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a garbage collection in the middle of it may end another follower
        self._followings: set[Following] = set()
        self._thread: threading.Thread | None = None
        self._left = threading.Event()

    def join(self, following: Following) -> None:
        with self._lock:
            self._followings.add(following)
            if self._thread is None or not self._thread.is_alive():  # a forked process has its parent's object, and no thread
                self._left = threading.Event()
                self._thread = threading.Thread(target=self._run, args=(self._left,), name="follow passwords", daemon=True)
                self._thread.start()

    def leave(self, following: Following) -> None:
        with self._lock:
            self._followings.discard(following)
            if not self._followings:
                self._left.set()
                self._thread = None

    def look(self) -> None:
        """Note for every client the password that holds."""
        with self._lock:
            followings = list(self._followings)
        for file in {one.file for one in followings}:
            theirs = [one for one in followings if one.file == file]
            password = _current(theirs[0].settings, file)
            if password is not None:
                for one in theirs:
                    one.note(password)

    def _run(self, left: threading.Event) -> None:
        while not left.wait(_SECONDS):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - a look that fails must not be the last one
                _LOG.error("passwords cannot be looked at", extra={"facts": {"error": type(error).__name__}})


_watch = _Watch()


def follow(owner: Owner, settings: Settings, client_of: Callable[[Owner], LogsIn | None]) -> Following:
    """Tell a client of changes of its password from now on, in another thread: a producer, or one that administers.

    Args:
        owner: what keeps the client; when it is gone, nobody is told any more.
        settings: what the client was made with.
        client_of: owner -> the client that may be told now.
    """
    following, known = follow_in_turn(owner, settings), weakref.ref(owner)

    def tell() -> None:
        alive = known()
        client = None if alive is None else client_of(alive)
        if client is not None:
            following.refresh(client)

    following.tell = tell
    return following


def follow_in_turn(owner: object, settings: Settings) -> Following:
    """The same for a consumer, which can only be told between two of its owner's calls: the owner calls ``refresh`` there.

    A call that is under way in one thread keeps every other one waiting; where the next one begins at once, for ever.

    Args:
        owner: what keeps the client; when it is gone, nothing is looked for any more.
        settings: what the client was made with. Where its password comes from no file it cannot change, and is not looked for.
    """
    following = Following(settings)
    if settings.password_file is not None and settings.security_protocol.startswith("SASL"):
        weakref.finalize(owner, _watch.leave, following).atexit = False
        _watch.join(following)
    return following


def _nothing() -> None:
    """For a client that its owner tells."""


def _current(settings: Settings, file: Path) -> str | None:
    """The password that holds; None where nobody knows now."""
    try:
        password, new = read_private(file), read_private(staged(file))
    except ConfigurationError:
        return None
    if password and new:
        return next((one for one in (new, password) if _lets_in(settings, one)), None)
    return password or new


def _lets_in(settings: Settings, password: str) -> bool:
    with_it = settings.model_copy(update={"password": SecretStr(password), "password_file": None})
    try:
        return brokers_in_service(with_it, seconds=_TRY_SECONDS) > 0
    except HutongError:
        return False
