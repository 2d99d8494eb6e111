"""A ministry's system: reads its channels through ``hutong.Subscription`` and keeps every delivery.

``python -m demo.ministry DIRECTORY RECIPIENT/CHANNEL ...``, until SIGTERM. One thread for each channel. Neighbours: ``holdings``
is the ministry's store, ``bare_client`` does the same without Hutong.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from demo.holdings import Holdings
from hutong import HutongError, Subscription
from hutong.runtime.loop import Stop

__all__ = ["main", "store_of"]

_TICK = 0.1


def store_of(directory: Path, recipient: str, channel: str) -> Path:
    """The file that holds a channel's deliveries."""
    return directory / f"{recipient}.{channel}.sqlite"


def read_channel(directory: Path, recipient: str, channel: str, stop: Stop) -> None:
    """Keep all deliveries of a channel until ``stop``."""
    with (
        Holdings(store_of(directory, recipient, channel)) as holdings,
        # Remembering no ids hands repetitions out: the account must see them, and judge.
        Subscription(recipient, channel, from_beginning=True, remembered_ids=0) as subscription,
    ):
        while not stop.is_set():
            event = subscription.poll(_TICK)
            if event is None:
                holdings.write()
                continue
            attributes = event.attributes
            holdings.take(attributes.agreement or "", attributes.id, event.key or "", event.data, event.timestamp_ms)


def main(arguments: Sequence[str]) -> int:
    """Read every channel until SIGTERM; 1 when one of them failed."""
    directory, stop = Path(arguments[0]), Stop().on_signals()
    failed = threading.Event()

    def run(recipient: str, channel: str) -> None:
        try:
            read_channel(directory, recipient, channel, stop)
        except HutongError as error:
            print(f"{recipient}/{channel}: {error}", file=sys.stderr, flush=True)
            failed.set()
            stop.set()

    threads = [threading.Thread(target=run, args=name.split("/", 1), name=name) for name in arguments[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1 if failed.is_set() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
