"""Router processes for tests: started as an operator starts them, ended by their ids."""

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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hutong.home import Home

__all__ = ["RouterProcess", "await_true", "hutong"]


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


class RouterProcess:
    """One router."""

    def __init__(self, home: Home, name: str, *flags: str) -> None:
        self._log: Path = home.log / f"router-{name}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "HUTONG_HOME": str(home.root)}
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "services.router", "--instance", name, *flags]
            self.process = subprocess.Popen(command, env=environment, stderr=log)

    def log(self) -> list[dict[str, Any]]:
        """What it has logged; every line is JSON."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line[:1] == "{"]

    @property
    def port(self) -> int:
        """Its health port, once it is logged."""
        await_true(lambda: any("health_port" in line for line in self.log()), "the router logs its port")
        return next(int(line["health_port"]) for line in self.log() if "health_port" in line)

    def get(self, path: str) -> tuple[int, str]:
        """A page of its health server."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
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

    def await_ready(self) -> RouterProcess:
        """Wait until it is ready."""
        await_true(lambda: self.get("/health/ready")[0] == 200, "the router is ready")
        return self

    def kill(self) -> None:
        """End it without warning."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as an operator does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
