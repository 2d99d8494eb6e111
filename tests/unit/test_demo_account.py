"""The demo's account can fail: every doctored run is found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from demo.account import Account, Committed, Held, Published, Quarantined, settle
from demo.rights import Right, canonical

CONTRACT = "a.b.c"


def a_right(agreement: str = "granted", *, only_even: bool = False) -> Right:
    def even(event: Any) -> bool:
        return bool(event["n"] % 2 == 0)

    return Right(
        agreement=agreement,
        recipient="x.y",
        contract=CONTRACT,
        channel=agreement,
        conditions=(even,) if only_even else (),
        fields=({"field": "n"}, {"field": "k"}),
        codes={},
        key=b"",
    )


class Run:
    """An honest run: ten events of two keys, one agreement without and one with rows, two broken records."""

    def __init__(self) -> None:
        self.rights = [a_right(), a_right("even", only_even=True)]
        self.committed = [
            Committed(id=f"e{n}", contract=CONTRACT, key=str(n % 2), key_field="k", data={"n": n, "k": n % 2, "secret": "s"})
            for n in range(10)
        ]
        self.published = [Published(id=f"e{n}", contract=CONTRACT, made_ms=0, appended_ms=1000 + n) for n in range(10)]
        self.held = [self._held("granted", n) for n in range(10)] + [self._held("even", n) for n in range(0, 10, 2)]
        self.broken = {CONTRACT: ["claimed", ""]}
        self.published.append(Published(id="claimed", contract=CONTRACT, made_ms=0, appended_ms=999))
        self.quarantined = [Quarantined(contract=CONTRACT, reason="not_framed") for _ in range(2)]

    @staticmethod
    def _held(agreement: str, n: int) -> Held:
        return Held(
            agreement=agreement,
            id=f"e{n}",
            key=str(n % 2),
            data=canonical({"n": n, "k": n % 2}),
            delivered_ms=0,
            received_ms=1005 + n,
        )

    def settle(self) -> Account:
        return settle(self.rights, self.committed, self.published, self.held, self.broken, self.quarantined)


def test_an_honest_run_adds_up() -> None:
    """Nothing lost, nothing twice, and the counts of each agreement add up."""
    account = Run().settle()
    assert account.adds_up
    counts = (account.published, account.delivered, account.filtered, account.quarantined, account.lost, account.duplicated)
    assert counts == (12, 15, 5, 2, 0, 0)
    everything, even = account.agreements
    assert (everything.published, everything.delivered, everything.filtered, everything.quarantined) == (12, 10, 0, 2)
    assert (even.published, even.delivered, even.filtered, even.quarantined) == (12, 5, 5, 2)
    assert everything.latencies == [5] * 10
    assert everything.sample == ({"n": 0, "k": 0, "secret": "s"}, {"n": 0, "k": 0})


def lose_a_delivery(run: Run) -> None:
    del run.held[3]


def deliver_twice(run: Run) -> None:
    run.held.append(run.held[3])


def grant_a_row_too_many(run: Run) -> None:
    run.held.append(replace(run.held[1], agreement="even"))


def grant_a_field_too_many(run: Run) -> None:
    run.held[0] = replace(run.held[0], data=canonical({"n": 0, "k": 0, "secret": "s"}))


def keep_a_field_back(run: Run) -> None:
    run.held[0] = replace(run.held[0], data=canonical({}))


def change_a_value(run: Run) -> None:
    run.held[0] = replace(run.held[0], data=canonical({"n": 99, "k": 0}))


def betray_the_key(run: Run) -> None:
    run.held[0] = replace(run.held[0], key="the whole number")


def swap_two_of_one_key(run: Run) -> None:
    run.held[0], run.held[2] = run.held[2], run.held[0]


def deliver_what_nobody_committed(run: Run) -> None:
    run.held.append(replace(run.held[0], id="from-nowhere"))


def deliver_under_an_unknown_agreement(run: Run) -> None:
    run.held.append(replace(run.held[0], agreement="no-such"))


def never_publish(run: Run) -> None:
    del run.published[4]


def publish_twice(run: Run) -> None:
    run.published.append(run.published[4])


def publish_what_nobody_committed(run: Run) -> None:
    run.published.append(replace(run.published[0], id="from-nowhere"))


def drop_a_broken_record(run: Run) -> None:
    del run.quarantined[0]


def quarantine_a_sound_event(run: Run) -> None:
    run.quarantined.append(Quarantined(contract=CONTRACT, reason="transform_failed", id="e4"))


def quarantine_out_of_nowhere(run: Run) -> None:
    run.quarantined.append(Quarantined(contract="d.e.f", reason="not_framed"))


@pytest.mark.parametrize(
    ("doctor", "lost", "duplicated"),
    [
        (lose_a_delivery, 1, 0),
        (deliver_twice, 0, 1),
        (grant_a_row_too_many, 0, 0),
        (grant_a_field_too_many, 0, 0),
        (keep_a_field_back, 0, 0),
        (change_a_value, 0, 0),
        (betray_the_key, 0, 0),
        (swap_two_of_one_key, 0, 0),
        (deliver_what_nobody_committed, 0, 0),
        (deliver_under_an_unknown_agreement, 0, 0),
        (never_publish, 1, 0),
        (publish_twice, 0, 1),
        (publish_what_nobody_committed, 0, 0),
        (drop_a_broken_record, 1, 0),
        (quarantine_a_sound_event, 0, 0),
        (quarantine_out_of_nowhere, 0, 0),
    ],
)
def test_a_doctored_run_does_not_add_up(doctor: Callable[[Run], None], lost: int, duplicated: int) -> None:
    """Whatever was done to the run, the account notices, and says of losses and repetitions how many."""
    run = Run()
    doctor(run)
    account = run.settle()
    assert not account.adds_up
    assert (account.lost, account.duplicated) == (lost, duplicated)
