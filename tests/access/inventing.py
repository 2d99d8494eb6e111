"""Made-up declarations out of a seed: departments, contracts and agreements whose names come as near to each other as names can.

They stand beside the second set, so that there is a flow too. Neighbours: ``oracle`` reads them, as any others.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import yaml

from tests.declaring import Declarations

NEIGHBOURS = ("a", "a.b", "a.bc", "a.b.c", "a.b.cd", "ab", "b")
"""Codes that begin or go on alike: one more dot, one more letter."""

_WORDS = ("a", "b", "bc", "c", "cd", "d1")
_EVENTS = ("b", "c", "cd", "c_done", "moved")
_CHANNELS = ("c", "cd", "b", "inbox")


def invent(directory: Path, seed: int) -> Path:
    """Write declarations; the same ones for the same seed."""
    chance = random.Random(seed)
    declarations = Declarations(directory)
    codes = set(NEIGHBOURS)
    while len(codes) < len(NEIGHBOURS) + 5:
        codes.add(".".join(chance.choices(_WORDS, k=chance.randint(1, 4))))
    departments = yaml.safe_load(declarations.text("departments.yaml"))
    departments["departments"] += [
        {"code": code, "name": {"en": code}, "head": {"en": f"Head of {code}"}, "contact": "data@made-up.example"}
        for code in chance.sample(sorted(codes), len(codes))
    ]
    declarations.write("departments.yaml", yaml.safe_dump(departments))
    contracts = []
    for code in sorted(codes):
        for event in chance.sample(_EVENTS, chance.randint(1, 3)):
            contracts.append(f"{code}.{event}")
            _contract(declarations, code, event)
    shared = set()  # no channel carries a contract twice: its reader could not tell the agreements apart
    for number in range(4 * len(codes)):
        contract, channel = chance.choice(contracts), chance.choice((None, None, *_CHANNELS))
        recipient = chance.choice(sorted(codes - {contract.rpartition(".")[0]}))
        if channel is None or (recipient, channel, contract) not in shared:
            shared.add((recipient, channel, contract))
            _agreement(declarations, f"made-up-{number}", recipient, contract, channel)
    return declarations.directory


def _contract(declarations: Declarations, code: str, event: str) -> None:
    """As the court's contract of the second set, with one field."""
    model = yaml.safe_load(declarations.text("contracts/om.courts.district/judgment_given/contract.yaml"))
    model |= {"id": f"{code}.{event}", "name": event}
    for one in model["customProperties"]:
        one["value"] = {"department": code, "sharing": "unconditional"}.get(one["property"], one["value"])
    model["schema"][0] |= {
        **{"name": event, "physicalName": f"pub.{code}.{event}", "description": "Made up."},
        "properties": model["schema"][0]["properties"][:1],
    }
    schema = {
        **{"type": "record", "name": event.title().replace("_", ""), "namespace": code, "doc": "Made up."},
        "fields": [{"name": "case_number", "type": "string", "doc": "Number of the case."}],
    }
    declarations.write(f"contracts/{code}/{event}/contract.yaml", yaml.safe_dump(model, sort_keys=False))
    declarations.write(f"contracts/{code}/{event}/v1.avsc", json.dumps(schema))


def _agreement(declarations: Declarations, id_: str, recipient: str, contract: str, channel: str | None) -> None:
    agreement = {
        **{"id": id_, "title": {"en": id_}, "recipient": recipient, "contract": contract},
        **{"legal_basis": "Made-up Act 1/2025, section 3", "purpose": "Made up for tests", "valid": {"from": "2025-01-01"}},
        **({} if channel is None else {"channel": channel}),
        "fields": [{"field": "case_number"}],
    }
    declarations.write(f"agreements/{recipient}/{id_}.yaml", yaml.safe_dump(agreement, sort_keys=False))
