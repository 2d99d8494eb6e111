"""Who reads: every recipient of an agreement on what this demo publishes, and how its ministry's system does it.

Neighbours: ``ministry`` and ``bare_client`` are the programs, ``rights`` says who there is, ``holdings`` what they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.account import Held
from demo.holdings import count_held, read_held
from demo.ministry import store_of
from demo.processes import Crew
from demo.rights import Right
from hutong.home import Home

__all__ = ["Ministries"]

_WITHOUT_HUTONG = "sta"  # the ministry whose developers took their own Kafka client


@dataclass(frozen=True, slots=True, kw_only=True)
class Ministries:
    """All ministries' systems of a run.

    Attributes:
        directory: where their holdings are.
        channels: recipient and channel of each.
    """

    directory: Path
    channels: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, rights: Iterable[Right], contracts: Iterable[str], directory: Path) -> Ministries:
        """The ministries that have a right to something that is published."""
        published = set(contracts)
        channels = {(right.recipient, right.channel) for right in rights if right.contract in published}
        return cls(directory=directory, channels=tuple(sorted(channels)))

    def start(self, crew: Crew, home: Home) -> None:
        """Start each ministry's system."""
        by_ministry: dict[str, list[tuple[str, str]]] = {}
        for recipient, channel in self.channels:
            by_ministry.setdefault(recipient.partition(".")[0], []).append((recipient, channel))
        for ministry, channels in by_ministry.items():
            if ministry == _WITHOUT_HUTONG:
                self._start_bare(crew, home, channels)
            else:
                names = [f"{recipient}/{channel}" for recipient, channel in channels]
                crew.start(f"ministry-{ministry}", "demo.ministry", str(self.directory), *names)

    def _start_bare(self, crew: Crew, home: Home, channels: Sequence[tuple[str, str]]) -> None:
        address = home.address()
        assert address is not None  # noqa: S101 - the bus is up
        for recipient, channel in channels:
            crew.start(
                f"ministry-{recipient}-{channel}",
                "demo.bare_client",
                str(self.directory),
                f"{recipient}/{channel}",
                environment={
                    "KAFKA_BOOTSTRAP_SERVERS": address.bootstrap_servers,
                    "SCHEMA_REGISTRY_URL": address.registry_url,
                    "KAFKA_PASSWORD_FILE": str(home.secrets / recipient),
                },
            )

    def count(self) -> int:
        """How many deliveries they hold at the moment."""
        return sum(count_held(store_of(self.directory, *channel)) for channel in self.channels)

    def held(self) -> Iterator[Held]:
        """All that they hold."""
        for channel in self.channels:
            yield from read_held(store_of(self.directory, *channel))
