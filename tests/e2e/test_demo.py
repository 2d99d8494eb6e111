"""The demonstration, small: everything that `make demo` starts works together, and the account adds up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from hutong.embedded import status
from hutong.home import Home

LAST_LINE = re.compile(r"demo: published=(\d+) delivered=(\d+) filtered=(\d+) quarantined=(\d+) lost=0 duplicated=0 (.*)")


@pytest.mark.timeout(300)
def test_a_small_world_is_accounted_for(own_home: Home) -> None:
    """Two routers, two coordinators, three acts: nothing lost, nothing there twice, no case unsettled, nothing left running."""
    command = [sys.executable, "-m", "demo", "--persons", "1500", "--months", "6", "--routers", "2"]
    command += ["--verifications", "40", "--deaths", "30", "--coordinators", "2"]
    environment = {**os.environ, "HUTONG_HOME": str(own_home.root)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    found = LAST_LINE.fullmatch(done.stdout.splitlines()[-1])
    assert found, done.stdout[-500:]
    published, delivered, filtered, quarantined = map(int, found.groups()[:4])
    assert re.fullmatch(r"cases=70 reports=70 refused=[1-9]\d* unsettled=0", found[5])
    assert published > 11_910  # the register alone, and living systems beside it
    assert delivered > 0
    assert filtered > 0
    assert quarantined > 0
    report = json.loads((own_home.root / "demo" / "report.json").read_text(encoding="utf-8"))
    assert {"lost": 0, "duplicated": 0}.items() <= _totals(report).items()
    assert {part.state for part in status(own_home).parts} <= {"down"}


def _totals(report: dict[str, object]) -> dict[str, int]:
    totals = report["totals"]
    assert isinstance(totals, dict)
    return totals
