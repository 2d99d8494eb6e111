"""What each reason for quarantine means and what to do about it, word for word as ``docs/quarantine.md`` tells it. Pure.

Neighbours: ``hutong quarantine explain`` prints these; ``judge`` asks what a replay can do at all.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

__all__ = ["REMEDIES", "Remedy", "remedy_of"]

Way = Literal["replay", "publish", "flow"]
"""How the event gets on: routed again once the cause is mended; published anew, since its bytes can never pass; or it was routed,
and only a flow could not take it."""


class Remedy(NamedTuple):
    """What is known of a reason.

    Attributes:
        meaning: what is wrong.
        remedy: what to do.
        way: how the event gets on.
    """

    meaning: str
    remedy: str
    way: Way


_ANEW = "the publisher mends its program and publishes the event anew"

REMEDIES: Final[dict[str, Remedy]] = {
    "null_key": Remedy("the record has no key", f"{_ANEW}; the SDK sets the key", "publish"),
    "null_value": Remedy("the record has no value", f"{_ANEW}; a withdrawal is an event too, not a null", "publish"),
    "not_a_cloudevent": Remedy(
        "a required CloudEvents header is missing or unreadable", f"{_ANEW}; the SDK writes the headers", "publish"
    ),
    "forged_source": Remedy(
        "`ce_source` is not the topic's department",
        "find out who has the department's password, and change it; a slip of the publisher is published anew",
        "publish",
    ),
    "wrong_type": Remedy("`ce_type` is not the topic's contract", f"{_ANEW}, on its own topic", "publish"),
    "too_many_headers": Remedy("more than 64 headers, or 16 KiB of them", f"{_ANEW}, with fewer headers", "publish"),
    "not_framed": Remedy("no magic byte and schema id", f"{_ANEW}, in the Confluent wire format", "publish"),
    "unreadable_batch": Remedy(
        "events that were sent together are too large unpacked to be read (100 MB)",
        "find out who has the department's password, if it was no slip; the publisher publishes the events anew",
        "publish",
    ),
    "unknown_schema": Remedy(
        "the registry has no contract schema of this id",
        "restore the registry, or `hutong apply` where the version is declared and gets this id; then replay. "
        "Otherwise the publisher publishes the event anew, with a declared version",
        "replay",
    ),
    "foreign_schema": Remedy("the schema belongs to another contract", f"{_ANEW}, with a schema of this contract", "publish"),
    "undecodable": Remedy("the bytes are not exactly one value of the schema", _ANEW, "publish"),
    "wrong_key": Remedy("the Kafka key is not the value's key", f"{_ANEW}; the SDK makes the key", "publish"),
    "transform_failed": Remedy(
        "one agreement's rows or fields cannot take the event",
        "mend the agreement or its code list (the problem names the field), `hutong apply`, then replay; "
        "where the event's value is wrong, the publisher corrects it with a new event",
        "replay",
    ),
    "no_destination": Remedy(
        "the delivery's topic is not there or may not be written", "`hutong apply` makes it, then replay", "replay"
    ),
    "delivery_too_large": Remedy(
        "the delivery is larger than the brokers take",
        "grant fewer fields, or the newest version of the contract with a reference in place of the content; apply, then replay",
        "replay",
    ),
    "unusable_agreement": Remedy(
        "the router cannot apply the agreement (its pseudonym key is missing, say); its log says why",
        "copy the key to this home's `keys`, or `hutong apply` again; then replay",
        "replay",
    ),
    "internal_error": Remedy(
        "unforeseen; the router's log has kind and place",
        "report the fault, install the version that mends it, then replay",
        "replay",
    ),
    "flow_key_missing": Remedy(
        "an event that opens a case, or an answer, has no value where the case's key or number is",
        "its publisher sends a corrected event; recipients have had this one",
        "flow",
    ),
    "flow_rule_failed": Remedy(
        "a flow's condition on the event cannot be evaluated",
        "mend the flow's condition, `hutong apply`, and have the event published anew; recipients have had this one",
        "flow",
    ),
    "unknown_case": Remedy(
        "an answer to a case that there is not",
        "the agency answers with the case number and question number of the question; recipients have had this one",
        "flow",
    ),
    "no_flow": Remedy(
        "the case's flow is not applied any more", "apply the flow again, and have the answer published anew", "flow"
    ),
    "too_large": Remedy(
        "with what it means to its case the event is larger than the brokers take",
        "its publisher sends a reference in place of the content; recipients have had this one",
        "flow",
    ),
    "case_too_large": Remedy(
        "with this event the case would be larger than may be stored",
        "close the case and open another; recipients have had this one",
        "flow",
    ),
}


def remedy_of(reason: str) -> Remedy:
    """What is known of a reason; of a newer version's, that it is not known."""
    unknown = Remedy("this version does not know the reason", "look into docs/quarantine.md of the router's version", "replay")
    return REMEDIES.get(reason, unknown)
