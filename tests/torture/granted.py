"""What each agreement of ``declarations`` grants of an event, written by hand: it shares no code with the product.

An agreement may have several terms in the course of a run; their names are those that the ledger's ``Terms`` have. Pure.
Neighbours: ``judge`` holds what was delivered to this; ``faults/agreements`` changes the terms on the bus.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.torture.story import PAYMENT, PERSON

__all__ = ["AGREEMENTS", "DECLARATIONS", "DECLARED", "FAILS", "NARROW", "Agreement", "Delivered", "Fails"]

DECLARATIONS = Path(__file__).with_name("declarations")
DECLARED, NARROW = "declared", "narrow"

Data = Mapping[str, Any]


@dataclass(frozen=True)
class Delivered:
    """What a recipient gets of an event."""

    key: str
    data: Data


class Fails:
    """The agreement's fields cannot be made of the event: it goes to quarantine for this agreement alone."""


FAILS = Fails()
Terms = Callable[[Data, str], Delivered | Fails | None]
"""(event data, pseudonym key) -> what is granted of it; None is nothing."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """One agreement.

    Attributes:
        id: its id.
        contract: what it grants.
        topic: the recipient's topic.
        terms: its terms by name; those with which it begins are ``declared``.
    """

    id: str
    contract: str
    topic: str
    terms: Mapping[str, Terms]


def _welfare(data: Data, _: str) -> Delivered | None:
    if data["region"][0] != "3" or data["household_size"] < 1:
        return None
    fields = ("identity_number", "sequence", "name", "phone", "address", "changed_at")
    return Delivered(data["identity_number"], {name: data[name] for name in fields})


def _statistics(data: Data, secret: str) -> Delivered | Fails:
    if data["household_size"] == 0:
        return FAILS
    pseudonym = hmac.new(bytes.fromhex(secret), data["identity_number"].encode(), hashlib.sha256).hexdigest()
    moment = datetime.fromtimestamp(data["changed_at"] / 1000, UTC)
    made = {
        "person": pseudonym,
        "sequence": data["sequence"],
        "province": data["region"][:2] + "0000",
        "month": f"{moment.year}-{moment.month:02d}",
        "share": 100 // data["household_size"],
    }
    return Delivered(pseudonym, made)


def _tax(data: Data, _: str) -> Delivered | None:
    if data["household_size"] < 1:
        return None
    name = data["name"]
    made = {
        "identity_number": data["identity_number"],
        "sequence": data["sequence"],
        "name": name[0] + "*" * (len(name) - 1),
        "address": data["address"],
    }
    return Delivered(data["identity_number"], made)


def _tax_narrow(data: Data, _: str) -> Delivered | None:
    if data["household_size"] < 5:
        return None
    return Delivered(data["identity_number"], {"identity_number": data["identity_number"], "sequence": data["sequence"]})


def _payments(data: Data, _: str) -> Delivered:
    return Delivered(data["account"], {name: data[name] for name in ("account", "sequence", "amount")})


def _audit(data: Data, _: str) -> Delivered | None:
    amount = data["amount"]
    if amount < 500:
        return None
    band = "0-700" if amount < 700 else "700-900" if amount < 900 else ">=900"
    made = {"account": data["account"], "sequence": data["sequence"], "payee": data["payee"], "amount_band": band}
    return Delivered(data["account"], made)


def _nothing(_: Data, __: str) -> None:
    return None


AGREEMENTS = {
    one.id: one
    for one in (
        Agreement(id="people-to-welfare", contract=PERSON, topic="sub.welfare.office.people", terms={DECLARED: _welfare}),
        Agreement(
            id="people-for-statistics",
            contract=PERSON,
            topic="sub.stat.office.people-for-statistics",
            terms={DECLARED: _statistics},
        ),
        Agreement(
            id="people-to-tax",
            contract=PERSON,
            topic="sub.tax.office.people",
            terms={DECLARED: _tax, NARROW: _tax_narrow, "": _nothing},
        ),
        Agreement(
            id="people-to-health",
            contract=PERSON,
            topic="sub.health.office.people-to-health",
            terms={DECLARED: _nothing},
        ),
        Agreement(id="payments-to-tax", contract=PAYMENT, topic="sub.tax.office.people", terms={DECLARED: _payments}),
        Agreement(id="payments-to-welfare", contract=PAYMENT, topic="sub.welfare.office.people", terms={DECLARED: _payments}),
        Agreement(id="payments-to-audit", contract=PAYMENT, topic="sub.audit.office.payments-to-audit", terms={DECLARED: _audit}),
    )
}
"""By id."""
