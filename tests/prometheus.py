"""A real Prometheus for tests: the Debian package ``prometheus``, unpacked anywhere; started and ended by its process id.

In continuous integration (``CI`` or ``HUTONG_CI`` in the environment) it must be there; elsewhere tests that need it are skipped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.integration.processes import await_true

__all__ = ["ROOT", "Prometheus", "free_port", "hurried", "program"]

ROOT = Path(__file__).parents[1]
UNPACKED = ROOT / ".venv" / "prometheus" / "usr" / "bin"  # where .ci/run puts it
_WINDOWS = {"5m": "4s", "15m": "5s", "30m": "5s", "1h": "20s", "2h": "10s", "6h": "30s", "1d": "6s", "3d": "60s"}
_AFTER = {
    "> 7200": "> 3",  # publisher silent
    ">= 8": ">= 2",
    "offset 1w": "offset 10s",
    "offset 1d": "offset 6s",
    "offset 5m": "offset 4s",
    "> 1800": "> 2",  # recipient stuck
    "> 300": "> 2",  # outbox
    "> 60": "> 3",  # stuck, monitor away, hanging transaction
}
_REQUIRED = bool(os.environ.get("CI") or os.environ.get("HUTONG_CI"))


def program(name: str) -> str:
    """The path of ``prometheus`` or ``promtool``."""
    found = shutil.which(name) or shutil.which(name, path=str(UNPACKED))
    if found is None:
        missing = f"{name} is not there; on Debian: apt-get download prometheus && dpkg -x prometheus_*.deb .venv/prometheus"
        if _REQUIRED:
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def hurried(text: str) -> str:
    """Rules with their windows, waits and thresholds of time cut to seconds; everything else stays."""
    text = re.sub(r"\[(\w+)\]", lambda found: f"[{_WINDOWS[found.group(1)]}]", text)
    text = re.sub(r"^( *for:) .*$", r"\1 1s", text, flags=re.MULTILINE)
    for slow, quick in _AFTER.items():
        text = re.sub(rf"{re.escape(slow)}(?![\d.])", quick, text)
    return text


class Prometheus:
    """One Prometheus.

    Args:
        folder: its configuration (``prometheus.yml`` and what that names); its data go there too.
    """

    def __init__(self, folder: Path) -> None:
        self._url = f"http://127.0.0.1:{(port := free_port())}"
        command = [program("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
        self._log = folder / "prometheus.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)

    def await_ready(self) -> Prometheus:
        """Wait until it answers."""
        await_true(self._ready, "Prometheus is ready")
        return self

    def _ready(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=5) as answer:  # noqa: S310 - http
                return bool(answer.status == 200)
        except OSError:
            return False

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of an instant query, each with ``metric`` and ``value``."""
        found: list[dict[str, Any]] = self._get("query", query=expr)["result"]
        return found

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are pending or firing."""
        found: list[dict[str, Any]] = self._get("alerts")["alerts"]
        return found

    def up(self) -> dict[str, bool]:
        """Each target's address, and whether its last scrape went well."""
        return {one["metric"]["instance"]: one["value"][1] == "1" for one in self.query("up")}

    def label_values(self, label: str, series: str) -> list[str]:
        """The values of a label, as a dashboard's variable asks for them."""
        found: list[str] = self._get(f"label/{label}/values", **{"match[]": series})
        return found

    def _get(self, path: str, **parameters: str) -> Any:
        address = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - http
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def stop(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
