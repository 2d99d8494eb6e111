"""What an export is of: the declarations, what they want on the bus, where that bus is, and how much of it is meant.

Neighbours: every kind of export takes one of these; ``hutong export`` makes it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hutong.agreements.agreement import Agreement
from hutong.agreements.plan import Plan
from hutong.catalogue.catalogue import Catalogue
from hutong.contracts.contract import Contract
from hutong.contracts.departments import Department
from hutong.contracts.schema import EventSchema
from hutong.control.desired import Desired, Layout, WantedGrant, desired
from hutong.errors import ConfigurationError

__all__ = ["PLACEHOLDER", "Bus", "words"]

PLACEHOLDER = "kafka.example:9092"
"""The brokers' address where nobody names one: an export is the same wherever it is made."""

_CREDENTIALS = re.compile(r"//[^/@]*@")  # a document that is handed around holds no password
_NO_SECRET = b""  # whether a key part is shown does not depend on the pseudonym key


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    """Declarations, and the part of them that is meant.

    Attributes:
        catalogue: all declarations.
        wanted: what they want on the bus.
        brokers: ``host:port`` of each.
        registry_url: base URL of the registry, if it is known.
        secure: whether clients sign in, or talk over TLS.
        partitions: of the topics, if it is known.
        recipient: the one whose agreements are meant; None for all.
        contract: the one that is meant; None for all.
    """

    catalogue: Catalogue
    wanted: Desired
    brokers: tuple[str, ...]
    registry_url: str | None = None
    secure: bool = True
    partitions: int | None = None
    recipient: str | None = None
    contract: str | None = None

    @classmethod
    def of(
        cls,
        catalogue: Catalogue,
        *,
        brokers: str = PLACEHOLDER,
        registry_url: str | None = None,
        secure: bool = True,
        partitions: int | None = None,
        recipient: str | None = None,
        contract: str | None = None,
    ) -> Bus:
        """The bus of declarations; ``brokers`` are comma-separated, the rest is as the attributes say.

        Raises:
            ConfigurationError: there is no such recipient or contract, or no agreement between the two.
        """
        _known(catalogue.departments, recipient, "department")
        _known(catalogue.contracts, contract, "contract")
        bus = cls(
            catalogue=catalogue,
            wanted=desired(catalogue, Layout(brokers=1, asked_partitions=partitions)),
            brokers=tuple(filter(None, map(str.strip, brokers.split(",")))),
            registry_url=_CREDENTIALS.sub("//", registry_url).rstrip("/") if registry_url else None,
            secure=secure,
            partitions=partitions,
            recipient=recipient,
            contract=contract,
        )
        if recipient and not bus.agreements:
            on = f" on {contract}" if contract else ""
            raise ConfigurationError(
                f"{recipient} has no agreement{on}; name a department that receives, or leave --recipient out"
            )
        return bus

    @property
    def agreements(self) -> list[Agreement]:
        """The agreements that are meant, by recipient, channel and id."""
        meant = [
            one
            for one in self.catalogue.agreements.values()
            if self.recipient in (None, one.recipient) and self.contract in (None, one.contract)
        ]
        return sorted(meant, key=lambda one: (one.recipient, one.channel_name, one.id))

    @property
    def contracts(self) -> list[Contract]:
        """The contracts that are meant, by name: with a recipient, those that its agreements grant."""
        granted = {one.contract for one in self.agreements} if self.recipient else self.catalogue.contracts.keys()
        return [
            one for name, one in sorted(self.catalogue.contracts.items()) if name in granted and self.contract in (None, name)
        ]

    @property
    def channels(self) -> dict[str, list[Agreement]]:
        """Topic -> the agreements that are meant and deliver to it."""
        found: dict[str, list[Agreement]] = {}
        for one in self.agreements:
            found.setdefault(one.topic, []).append(one)
        return found

    def department(self, code: str) -> Department:
        """A party."""
        return self.catalogue.departments[code]

    def grant(self, agreement: Agreement) -> WantedGrant:
        """An agreement with its delivery schema."""
        return self.wanted.grants[agreement.id]

    def reader(self, agreement: Agreement) -> EventSchema:
        """The contract version that an agreement grants."""
        found = self.catalogue.contracts[agreement.contract].version(agreement.version)
        if found is None:
            raise ConfigurationError(f"agreement {agreement.id}: {agreement.contract} has no version {agreement.version}")
        return found

    def key(self, agreement: Agreement) -> list[tuple[str, bool]]:
        """The parts of the deliveries' key: the event's field, and whether it is there as it is or as its pseudonym."""
        reader = self.reader(agreement)
        return list(zip(reader.key, Plan(self.grant(agreement).grant(0), reader, _NO_SECRET).key_shown, strict=True))


def words(texts: Mapping[str, str], language: str | None = None) -> str:
    """A text in a language, else in English, else in any; without a language in all of them, English first."""
    ordered = sorted(texts, key=lambda one: (one != language, one != "en", one))
    return " ".join(texts[one] for one in ordered) if language is None else texts[ordered[0]] if ordered else ""


def _known(there: Mapping[str, object], name: str | None, what: str) -> None:
    if name is not None and name not in there:
        near = difflib.get_close_matches(name, there, n=1)
        raise ConfigurationError(f"there is no {what} {name}" + (f"; do you mean {near[0]}?" if near else ""))
