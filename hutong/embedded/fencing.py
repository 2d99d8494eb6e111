"""After all brokers were killed: their controllers run alone until they have noticed it, and only then the brokers start.

A broker that was killed, with nobody left to notice, is still in service as far as its cluster knows. Started again, it leads its
partitions from what it reads, and goes on with transactions that were being ended. Seconds later the controller finds that this
is another process, and takes the leadership away until it has registered anew. Kafka 4.3 takes partitions without a leader for
deleted ones and leaves their part of such a transaction out: what was committed never becomes visible there, and readers, and
the group's positions, stand still behind it for ever. Without a broker there is nobody to go on too early.
Neighbours: ``bus`` calls this before it starts brokers, ``kafka`` knows the program.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from hutong.embedded import kafka
from hutong.embedded.java import environment
from hutong.embedded.process import last_words, start, stop
from hutong.embedded.state import Node, State
from hutong.errors import HutongError
from hutong.home import Home

__all__ = ["fence_killed"]

_FENCED_SECONDS = 60.0  # 3 on two idle cores
_NOTICED_SECONDS = 3.0  # an active controller that has not fenced a broker by then has found it fenced
_STOP_SECONDS = 15.0
_TICK = 0.05
_ACTIVE, _FENCING = "Performing controller activation", "Fencing broker {} "


def fence_killed(home: Home, state: State, missing: Sequence[Node], program: Path, *, attached: bool) -> None:
    """Let the controllers notice which brokers have died, where too few of them were left to notice.

    Args:
        home: the bus's.
        state: its layout.
        missing: nodes that do not run.
        program: Kafka's files.
        attached: end what is started when the calling process ends.

    Raises:
        HutongError: the controllers do not start.
    """
    killed = [node for node in missing if kafka.was_killed(home, node)]
    if not killed or len(missing) <= len(state.nodes) // 2:
        return
    began = {node.name: _size(_log(home, node)) for node in missing}
    started = []
    try:
        for node in missing:
            kafka.configure(home, state, node, alone=True)
            command, output = kafka.command(home, node, program, alone=True), home.log / f"{node.name}-controller.out"
            started.append(start(node.name, command, run=home.run, output=output, environment=environment(), attached=attached))
        deadline, active_since = time.monotonic() + _FENCED_SECONDS, 0.0
        while True:
            text = "".join(_said(_log(home, node), began[node.name]) for node in missing)
            if all(_FENCING.format(node.id) in text for node in killed):
                return
            if not active_since and _ACTIVE in text:
                active_since = time.monotonic()
            if active_since and time.monotonic() > active_since + _NOTICED_SECONDS:
                return
            for process in started:
                if not process.alive:
                    output = home.log / f"{process.name}-controller.out"
                    raise HutongError(f"{process.name} stopped while its controller started: {last_words(output)}")
            if time.monotonic() > deadline:
                raise HutongError(
                    f"the controllers did not get ready within {_FENCED_SECONDS:g} s; see {home.log}, then try again"
                )
            time.sleep(_TICK)
    finally:
        stop(started, patience=_STOP_SECONDS)


def _log(home: Home, node: Node) -> Path:
    return kafka.log_file(home, node, alone=True)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _said(file: Path, since: int) -> str:
    """What stands in a log behind a place."""
    if not file.exists():
        return ""
    with file.open("rb") as log:
        log.seek(since)
        return log.read().decode("utf-8", "replace")
