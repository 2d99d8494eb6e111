"""A router process and an event of the sample contracts, for the SDK's benchmark, which fills a recipient's channel with them.

Neighbour: ``sdk`` measures publishing and receiving; the router itself is measured by the cases of ``python -m bench``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from hutong.home import Home

__all__ = ["CONTRACT", "RouterProcess", "event"]

CONTRACT = "mca.funeral.cremation_recorded"


def event(number: int) -> dict[str, Any]:
    """An event that all three agreements grant."""
    return {
        "certificate_number": f"C{number:011d}",
        "region": "140105",
        "facility": {"credit_code": "121401004057470005", "name": "太原市殡仪馆"},
        "deceased": {
            "identity_number": "11010519491231002X",
            "identity_unverified": False,
            "name": "张三丰",
            "sex": "FEMALE",
            "birth_date": date(1949, 12, 31),
        },
        "death_date": date(2026, 11, 1),
        "cause": "NATURAL",
        "cremated_at": datetime(2026, 11, 3, 9, 30, tzinfo=UTC),
        "applicant": {
            "identity_number": "11010519491231002X",
            "identity_unverified": False,
            "name": "张小明",
            "relation": "SON",
        },
        "death_certificate_number": "D2026110100012",
    }


class RouterProcess:
    """A router as ``hutong run router`` starts it, and its metrics page."""

    def __init__(self, home: Home, *, log: Path) -> None:
        self._log = log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.router", "--instance", "bench", "--port", "0"],
            env=os.environ | {"HUTONG_HOME": str(home.root)},
            stderr=self._log,
        )
        self.port = self._port(log)

    def _port(self, log: Path) -> int:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for line in log.read_text().splitlines(keepends=True):
                if line.endswith("\n") and (port := json.loads(line).get("health_port")):
                    return int(port)
            time.sleep(0.02)
        raise SystemExit(f"the router did not start; see {log}")

    def delivered(self) -> int:
        """Deliveries committed so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        lines = [line for line in text.splitlines() if line.startswith("hutong_router_deliveries_total{")]
        return int(sum(float(line.rpartition(" ")[2]) for line in lines))

    def stop(self) -> None:
        """End it by its id."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()
