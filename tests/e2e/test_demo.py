"""The demonstration, small: all that `make demo` starts works together, the account adds up, and nobody is named in passing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
from contextlib import suppress
from itertools import chain

import pytest

from demo.__main__ import SEED
from demo.population import populate
from hutong.embedded import down, status
from hutong.home import Home
from hutong.kafka.settings import Settings
from tests.torture import places
from tests.torture.needles import Needles
from tests.torture.personal import look, secrets_of, values_of
from tests.torture.places import Place

LAST_LINE = re.compile(r"demo: published=(\d+) delivered=(\d+) filtered=(\d+) quarantined=(\d+) lost=0 duplicated=0 (.*)")
PERSONS = 900
SERVICES = ("router", "coordinator")


@pytest.mark.timeout(300)
def test_a_small_world_is_accounted_for(own_home: Home) -> None:
    """Two routers, two coordinators, three acts: nothing lost, nothing there twice, no case unsettled, nothing left running.

    And nobody's number, name, telephone or address in logs, on pages, in reasons or control topics.
    """
    command = [sys.executable, "-m", "demo", "--persons", str(PERSONS), "--months", "4", "--routers", "2", "--keep"]
    command += ["--verifications", "25", "--deaths", "20", "--coordinators", "2"]
    try:
        output, seen = _play(own_home, command)
        _check_account(own_home, output)
        settings = Settings.resolve("operator", {"HUTONG_HOME": str(own_home.root)})
        noted, _ = places.quarantine(settings)
        _check_privacy(own_home, [*seen, *noted, *places.control_topics(settings), *places.files(own_home)])
    finally:
        down(own_home)
    assert {part.state for part in status(own_home).parts} <= {"down"}


def _play(home: Home, command: list[str]) -> tuple[list[str], list[Place]]:
    """What it printed, and what its services' pages and their command lines said meanwhile."""
    seen: dict[tuple[str, str], Place] = {}
    file = home.root / "output"
    with (
        file.open("w") as out,
        subprocess.Popen(command, env={**os.environ, "HUTONG_HOME": str(home.root)}, stdout=out, stderr=out) as demo,
    ):
        while demo.returncode is None:
            with suppress(urllib.error.URLError, ConnectionError):  # a service has ended meanwhile; the next look sees the others
                for place in chain(places.processes(home), places.pages(home)):
                    if place.kind != "environment":
                        seen[place.kind, place.name] = place  # the newest: counters only grow
            try:
                demo.wait(2)
            except subprocess.TimeoutExpired:
                continue
    output = file.read_text(encoding="utf-8").splitlines()
    file.unlink()  # it is made to tell of people
    assert demo.returncode == 0, "\n".join(output[-40:])
    return output, list(seen.values())


def _check_account(home: Home, output: list[str]) -> None:
    found = LAST_LINE.fullmatch(output[-1])
    assert found, output[-5:]
    published, delivered, filtered, quarantined = map(int, found.groups()[:4])
    assert re.fullmatch(r"cases=45 reports=45 refused=[1-9]\d* unsettled=0", found[5])
    assert published > 7 * PERSONS  # the register alone, and living systems beside it
    assert delivered > 0
    assert filtered > 0
    assert quarantined > 0
    report = json.loads((home.root / "demo" / "report.json").read_text(encoding="utf-8"))
    assert {"lost": 0, "duplicated": 0}.items() <= _totals(report).items()


def _check_privacy(home: Home, found: list[Place]) -> None:
    population = populate(SEED, PERSONS)
    hits = look(found, Needles({"personal": values_of(population), "secret": secrets_of(home)}))
    assert not hits, [str(hit) for hit in hits[:10]]
    for service in SERVICES:  # a look that has seen nothing of them would prove nothing
        assert any(place.kind == "log" and service in place.name and place.data for place in found), service
        assert any(place.kind == "page" and f"hutong_{service}_".encode() in place.data for place in found), service
    told = Place(kind="log", name="told", data=population.persons[7].identity_number.encode())
    assert look([told], Needles({"personal": values_of(population)}))


def _totals(report: dict[str, object]) -> dict[str, int]:
    totals = report["totals"]
    assert isinstance(totals, dict)
    return totals
