"""Some thousand hostile values against every surface with every run of the tests; ``make fuzz`` gives them a million."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hutong.transcode.native.transcoder import extension
from tests.fuzz.attack import MOST_SECONDS, Found, Row, Surface, attack
from tests.fuzz.report import table, write
from tests.fuzz.surfaces import SURFACES

_SHARE = 200  # of a surface's part of a million


@pytest.mark.parametrize("surface", SURFACES, ids=[surface.name for surface in SURFACES])
def test_a_surface_takes_or_refuses_whatever_comes(surface: Surface, tmp_path: Path) -> None:
    """Nothing unforeseen gets out, no value takes long, and both good and bad values are among them."""
    if extension is None and surface.name in ("router", "subscription"):
        pytest.skip("the extension hutong_native, which draws their values, is not built")
    row = attack(surface, max(50, surface.share // _SHARE), 1, tmp_path)
    assert row.values >= 50
    assert row.slowest <= MOST_SECONDS
    assert len(row.outcomes) > 1, row.outcomes


def test_the_surfaces_share_a_million() -> None:
    """What is left is the transcoders', which are where most input comes in."""
    assert len({surface.name for surface in SURFACES}) == len(SURFACES)
    assert 200_000 < sum(surface.share for surface in SURFACES) < 400_000


class Careless:
    """A surface with faults."""

    def draw(self, rng: random.Random) -> int:
        return rng.randrange(1_000)

    def strike(self, value: int) -> str:
        if self.fault == "raises" and value > 990:
            raise KeyError(value)
        began = time.thread_time()
        while self.fault == "hangs" and value > 990 and time.thread_time() - began < 1.2 * MOST_SECONDS:
            pass
        if self.fault == "wrong" and value > 990:
            raise Found("wrong")
        return "fine"

    def __init__(self, fault: str) -> None:
        self.fault = fault


@pytest.mark.parametrize(("fault", "words"), [("raises", "KeyError got out"), ("hangs", "of processor time"), ("wrong", "wrong")])
def test_a_fault_is_found(fault: str, words: str, tmp_path: Path) -> None:
    """Whatever a surface might do wrong ends the run, with the value that shows it."""

    @contextmanager
    def careless(seed: int, directory: Path) -> Iterator[Any]:
        yield Careless(fault)

    surface = Surface(name="careless", says="", share=0, open=careless)
    with pytest.raises(Found, match=rf"careless: .*{words}[\s\S]*value 99[0-9]"):
        attack(surface, 2_000, 1, tmp_path)


def test_the_report_has_every_surface(tmp_path: Path) -> None:
    """Counts, rates and outcomes, for people and for programs."""
    row = Row(surface="router", values=10, seconds=2.0, slowest=0.001)
    row.outcomes.update({"delivered": 7, "filtered": 3})
    lines = table([row]).splitlines()
    assert len(lines) == 3
    assert lines[1].split()[:3] == ["router", "10", "5"]
    assert lines[1].endswith("delivered 7, filtered 3")
    write([row], 9, tmp_path / "deep" / "report.json")
    assert '"values_per_second": 5' in (tmp_path / "deep" / "report.json").read_text()
