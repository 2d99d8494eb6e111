"""When ``apply`` says that an agreement was taken back, it is: no router delivers under it any more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hutong.control import apply as module
from hutong.control.changes import Action, Change, Difference


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was written and how long was waited, in that order; the clock stands still meanwhile."""
    found: list[Any] = []
    clock = SimpleNamespace(monotonic=lambda: 5.0, sleep=found.append)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "write", lambda _, topic, records: found.append((topic, dict(records))))
    monkeypatch.setattr(module._Work, "grant", lambda *_: SimpleNamespace(to_json=lambda: b"{}"))
    return found


def applied(action: Action) -> None:
    change = Change(step="agreement", action=action, name="a", text="", agreement="a", prune=action == "remove")
    found: Any = SimpleNamespace(delivery_ids={}, grants={"a": b"{}"})
    nothing: Any = None
    module.apply(
        Difference(changes=(change,)),
        nothing,
        found,
        settings=nothing,
        admin=nothing,
        registry=nothing,
        home=nothing,
        prune=True,
    )


@pytest.mark.parametrize(("action", "record"), [("remove", None), ("change", b"{}")])
def test_what_was_taken_back_is_waited_for(done: list[Any], action: Action, record: bytes | None) -> None:
    """A second from the record on: by then every router has heard of it, or waits because it cannot."""
    applied(action)
    assert done == [("ctl.agreements", {"a": record}), 1.0]


def test_what_is_new_is_not_waited_for(done: list[Any]) -> None:
    """Nothing that was not granted is delivered the sooner."""
    applied("create")
    assert done == [("ctl.agreements", {"a": b"{}"})]
