"""Some thousand mutated values with every run of the tests; ``python -m tests.fuzz`` runs a million."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hutong.transcode.native.transcoder import extension
from tests.fuzz.corpus import Target, targets
from tests.fuzz.run import MAX_SECONDS, Difference, Summary, run

pytestmark = pytest.mark.skipif(extension is None, reason="the extension hutong_native is not built")


@pytest.fixture(scope="module")
def corpus() -> list[Target]:
    return targets(1, 100)


def test_mutated_values(corpus: list[Target]) -> None:
    """Handed back or equal, each in its time, and enough of them are taken for that to mean something."""
    summary = Summary()
    run(corpus, 20_000, random.Random(1), summary)
    assert summary.values == 20_000
    assert summary.taken > 2_000
    assert summary.deliveries > summary.taken
    assert summary.reformed > 20
    assert summary.slowest < MAX_SECONDS
    assert summary.growth < 20


def test_valid_values_in_rare_forms_are_not_handed_back(corpus: list[Target]) -> None:
    """Blocks with byte counts and padded decimals are the extension's too."""
    taken = [
        target.native.native.transcode(key, bytes(5) + body, 1, 1) is not None
        for target in corpus
        for key, body in zip(target.keys, target.bodies, strict=True)
    ]
    assert len(taken) > 500
    assert sum(taken) > 0.9 * len(taken)


class Wrong:
    """An extension that makes a mistake now and then."""

    def __init__(self, right: Any, mistake: str) -> None:
        self.right, self.mistake = right, mistake

    def transcode(self, key: bytes, value: bytes, earliest: int, latest: int) -> Any:
        made = self.right.transcode(key, value, earliest, latest)
        match self.mistake:
            case "takes all":
                return made or []
            case "last byte" if made:
                return [(plan, out_key, out[:-1] + bytes([out[-1] ^ 1])) for plan, out_key, out in made]
            case "key" if made:
                return [(plan, out_key + b"?", out) for plan, out_key, out in made]
            case "one missing":
                return made and made[1:]
        return made


@pytest.mark.parametrize("mistake", ["takes all", "last byte", "key", "one missing"])
def test_a_mistake_is_found(corpus: list[Target], mistake: str) -> None:
    """Whatever an extension might do wrong ends the run, with the value that shows it."""

    class Native:
        def __init__(self, of: Any) -> None:
            self.plans, self.native = of.plans, Wrong(of.native, mistake)

    spoilt = [Target(event=t.event, native=Native(t.native), reference=t.reference, keys=t.keys, bodies=t.bodies) for t in corpus]  # type: ignore[arg-type]
    with pytest.raises(Difference, match=r"value [0-9a-f]*"):
        run(spoilt, 1_000, random.Random(1), Summary())
