"""All departments of act three in one process: they receive questions, follow cases, and publish what their plots say.

``python -m demo.agencies PLOTS DIRECTORY PUBLISHED RECIPIENT/CHANNEL ...``; begins when the plots are there, ends when all
cases have. It uses the SDK as the departments' own systems would, each under its own name, and keeps what it receives.
Neighbours: ``play`` decides who publishes when, ``holdings`` keeps, ``act_three`` starts this.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from demo.holdings import Holdings
from demo.ministry import store_of
from demo.play import Play
from demo.plot import Deed, read_plots
from hutong import HutongError, Publisher, ReceivedEvent, Subscription
from hutong.runtime.loop import Stop

__all__ = ["main"]

_BEAT_SECONDS = 0.15  # departments look several times a second: events that come together cost the bus far less
_TELL_SECONDS = 0.3
_STALLED_SECONDS = 40.0  # longer than any deadline: nothing more will come
_LINGER_SECONDS = 1.0  # what comes too often would come now


class _Departments:
    """Everybody who publishes, each with a publisher of its own."""

    def __init__(self, published: Path, stack: ExitStack) -> None:
        self._stack = stack
        self._publishers: dict[str, Publisher] = {}
        self._published = stack.enter_context(published.open("w", encoding="ascii"))

    def publish(self, deed: Deed, data: dict[str, Any]) -> None:
        if deed.department not in self._publishers:
            self._publishers[deed.department] = self._stack.enter_context(Publisher(deed.department))
        self._publishers[deed.department].publish(data, deed.contract, id=deed.id)
        self._published.write(f"{deed.id}\n")


class _Inbox:
    """A channel and its store."""

    def __init__(self, directory: Path, name: str, stack: ExitStack) -> None:
        recipient, _, channel = name.partition("/")
        self._holdings = stack.enter_context(Holdings(store_of(directory, recipient, channel)))
        # Remembering no ids hands repetitions out: the account must see them, and judge.
        self._subscription = stack.enter_context(Subscription(recipient, channel, from_beginning=True, remembered_ids=0))

    def take(self) -> ReceivedEvent[dict[str, Any]] | None:
        event = self._subscription.poll(0)
        if event is not None:
            attributes = event.attributes
            self._holdings.take(attributes.agreement or "", attributes.id, event.key or "", event.data, event.timestamp_ms)
        return event

    def write(self) -> None:
        self._holdings.write()


def main(arguments: Sequence[str]) -> int:
    """Play all plots; 1 where it cannot go on."""
    plots, directory, published = (Path(argument) for argument in arguments[:3])
    stop = Stop().on_signals()
    try:
        with ExitStack() as stack:
            departments = _Departments(published, stack)
            inboxes = [_Inbox(directory, name, stack) for name in arguments[3:]]
            while not plots.exists() and not stop.is_set():
                time.sleep(_BEAT_SECONDS)
            if stop.is_set():
                return 1
            play = Play(read_plots(plots), departments.publish)
            _run(play, inboxes, stop)
    except HutongError as error:
        print(f"the agencies: {error}", file=sys.stderr, flush=True)
        return 1
    _tell(play, done=True)
    return 0


def _run(play: Play, inboxes: Sequence[_Inbox], stop: Stop) -> None:
    changed = told = time.monotonic()
    patience = _STALLED_SECONDS
    while not stop.is_set() and time.monotonic() - changed < patience:
        play.begin()
        if sum(_drain(play, inbox) for inbox in inboxes):
            changed = time.monotonic()
        time.sleep(_BEAT_SECONDS)
        patience = _LINGER_SECONDS if play.finished else _STALLED_SECONDS
        if time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            _tell(play)


def _drain(play: Play, inbox: _Inbox) -> int:
    count = 0
    while (event := inbox.take()) is not None:
        count += 1
        if "question_number" in event.data:
            play.question(event.data)
        else:
            play.progress(event.data)
    if not count:
        inbox.write()
    return count


def _tell(play: Play, *, done: bool = False) -> None:
    print(json.dumps({"begun": play.begun, "closed": play.closed, "done": done}), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
