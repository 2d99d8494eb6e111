"""Services as processes for tests: started as an operator starts them, asked over their health port, ended by their ids."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self
from weakref import WeakSet

from hutong.home import Home

__all__ = ["ServiceProcess", "await_true", "hutong", "last_words"]

_LAST_LINES = 60  # of a service's log, where a test fails
_started: WeakSet[ServiceProcess] = WeakSet()


def await_true(holds: Callable[[], Any], what: str, seconds: float = 30.0) -> None:
    """Wait until something holds; fail with its name."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.02)


def hutong(home: Home, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    """Run a command against a bus; its output."""
    environment = {**os.environ, "HUTONG_HOME": str(home.root)}
    done = subprocess.run(
        [sys.executable, "-m", "hutong", *arguments], env=environment, capture_output=True, text=True, check=False, timeout=90
    )
    assert done.returncode in codes, done.stdout + done.stderr
    return done.stdout


class ServiceProcess:
    """One process of a service.

    Args:
        home: the bus's.
        service: ``services.<service>`` is run, unless the class names another module.
        name: the instance.
        flags: further arguments.
        environment: further variables.
    """

    module = ""

    def __init__(self, home: Home, service: str, name: str, *flags: str, environment: Mapping[str, str] | None = None) -> None:
        self._service = service
        self._log = home.log / f"{service}-{name}-{time.monotonic_ns()}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        variables = {**os.environ, "HUTONG_HOME": str(home.root), **(environment or {})}
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", self.module or f"services.{service}", "--instance", name, *flags]
            self.process = subprocess.Popen(command, env=variables, stderr=log)
        _started.add(self)

    def log(self) -> list[dict[str, Any]]:
        """What it has logged; every line is JSON, but one that is being written."""
        return [json.loads(line) for line in self._log.read_text().splitlines(keepends=True) if line[:1] + line[-1:] == "{\n"]

    def last_words(self) -> str:
        """The end of what it has logged, and how it ended."""
        code = self.process.poll()
        lines = self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join([*lines, "still running" if code is None else f"ended with {code}"])

    def spoke_since(self, moment: float) -> bool:
        """Whether it was there after this moment, in seconds since the epoch."""
        return self.process.poll() is None or (self._log.exists() and self._log.stat().st_mtime >= moment)

    @property
    def name(self) -> str:
        """Its log's name."""
        return self._log.name

    @property
    def port(self) -> int:
        """Its health port, once it is logged."""

        def is_logged() -> bool:
            if any("health_port" in line for line in self.log()):
                return True
            assert self.process.poll() is None, f"the {self._service} ended with {self.process.returncode} while it started"
            return False

        await_true(is_logged, f"the {self._service} logs its port")
        return next(int(line["health_port"]) for line in self.log() if "health_port" in line)

    def get(self, path: str, accept: str = "*/*") -> tuple[int, str]:
        """A page of its health server; 0 where it does not answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - http
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            found = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if found and all(f'{key}="{value}"' in (found.group(1) or "") for key, value in labels.items()):
                total += float(found.group(2))
        return total

    def await_ready(self, seconds: float = 60.0) -> Self:
        """Wait until it is ready."""
        await_true(lambda: self.get("/health/ready")[0] == 200, f"the {self._service} is ready", seconds)
        return self

    def kill(self) -> None:
        """End it without warning."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> float:
        """End it as an operator does; the seconds that it took."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        return time.monotonic() - began


def last_words(since: float) -> Iterator[tuple[str, str]]:
    """The ends of the logs of all services that were there after a moment: (name, text)."""
    for one in sorted(_started, key=lambda one: one.name):
        if one.spoke_since(since):
            yield one.name, one.last_words()
