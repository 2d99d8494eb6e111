"""How the announced services are: each is asked for its health pages; one whose process is gone need not be asked.

Neighbours: ``runtime.addresses`` knows where they are, ``runtime.health`` is what answers.
"""

from __future__ import annotations

import http.client
import json
import math
import urllib.error
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from hutong.kafka.bounded_http import opener
from hutong.runtime.addresses import ServiceAddress

__all__ = ["ServiceState", "fetch", "look"]

_SECONDS = 2.0  # a page that takes longer is no answer to a person who waits
_LARGEST = 64 * 1024 * 1024  # bytes of a page: ten thousand agreements' metrics are a tenth of it

State = Literal["up", "not ready", "stuck", "down"]


@dataclass(frozen=True, kw_only=True)
class ServiceState:
    """A service as it is now.

    Attributes:
        service: ``router``, ...
        instance: which of them.
        url: where its pages are.
        pid: its process, where it is known.
        state: ``up``, ``not ready`` (it waits for something), ``stuck`` (its loop does not move) or ``down``.
        waiting_for: what it lacks, and why; empty unless it is not ready.
        step_seconds: time since its loop's last step, where it says so.
    """

    service: str
    instance: str
    url: str
    pid: int | None
    state: State
    waiting_for: dict[str, str] = field(default_factory=dict)
    step_seconds: float | None = None

    @property
    def name(self) -> str:
        """How people are told of it."""
        return f"{self.service}-{self.instance}"


def look(addresses: Iterable[ServiceAddress]) -> list[ServiceState]:
    """Ask every service, all at once."""
    asked: Sequence[ServiceAddress] = list(addresses)
    if not asked:
        return []
    with ThreadPoolExecutor(min(16, len(asked))) as pool:
        return list(pool.map(_state, asked))


def _state(address: ServiceAddress) -> ServiceState:
    live = _health(f"{address.url}/health/live")
    ready = _health(f"{address.url}/health/ready") if live is not None else None  # nobody waits twice for one that is silent
    state: State
    if live is None:
        # A process that runs and does not answer has lost its pages, or is stopped: its work does not go on either.
        state = "stuck" if address.alive else "down"
    elif not live.get("ok"):
        state = "stuck"
    else:
        state = "up" if ready is not None and ready.get("ok") else "not ready"
    return ServiceState(
        service=address.service,
        instance=address.instance,
        url=address.url,
        pid=address.pid if state != "down" else None,
        state=state,
        waiting_for=_lacking(ready) if state == "not ready" else {},
        step_seconds=_number(live.get("seconds_since_step")) if live else None,
    )


def _health(url: str) -> dict[str, Any] | None:
    """What a health page says, be it well or not; None where nobody says anything that can be read."""
    try:
        facts = json.loads(fetch(url))
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        return None
    return facts if isinstance(facts, dict) else None


def fetch(url: str, *, seconds: float = _SECONDS) -> bytes:
    """A page's content, whether it says well or not.

    Raises:
        OSError: nobody answers, or not in time.
        HTTPException: what answers does not speak HTTP.
    """
    try:
        with _OPENER.open(url, timeout=seconds) as answer:
            return bytes(answer.read(_LARGEST))
    except urllib.error.HTTPError as error:
        with error:
            if error.code == http.HTTPStatus.SERVICE_UNAVAILABLE:  # how a health page says no
                return bytes(error.read(_LARGEST))
            raise


def _lacking(ready: dict[str, Any] | None) -> dict[str, str]:
    lacking = (ready or {}).get("waiting_for")
    return {str(part): str(problem) for part, problem in lacking.items()} if isinstance(lacking, dict) else {}


def _number(value: object) -> float | None:
    try:
        found = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # JSON's numbers have no bounds
        return None
    return found if math.isfinite(found) else None


_OPENER = opener(None)
