"""A place for everything in the picture: three columns, left to right as events go, ordered so that few lines cross.

Publishers stand left, each beside its contracts; recipients right, each with a line of text per agreement, where its arrow ends.
The width of a text is estimated, since no font is at hand: what does not fit is cut. Neighbours: ``picture`` says what is there,
``svg`` draws it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from hutong.agreements.agreement import Agreement
from hutong.contracts.contract import Contract
from hutong.contracts.departments import Department
from hutong.export.picture import Scene

__all__ = ["Box", "Drawing", "Link", "fitted", "lay_out", "text_width"]

SIZE = 12
"""Of the letters, in the picture's units."""

_MARGIN, _TOP = 16, 72
_ROW, _BETWEEN = 19, 3  # a box of one line, and the room below it
_HEAD = 36  # two lines: a name and a code
_GAP, _MOST_GAP = 12, 48  # between two departments; the shorter column spreads as far as that
_PUBLISHER, _CONTRACT, _RECIPIENT = 250, 300, 340  # widths of the columns
_SPAN = 330  # what the lines cross
_SWEEPS = 8  # the order settles after a few

_Contracts = tuple[Department, tuple[Contract, ...]]
_Agreements = tuple[Department, tuple[Agreement, ...]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle with text.

    Attributes:
        kind: what it stands for.
        x: left edge.
        y: upper edge.
        width: to the right.
        height: downwards.
        lines: the text, cut to the width.
        about: what is shown when somebody points at it.
    """

    kind: Literal["group", "publisher", "contract", "recipient", "agreement"]
    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...] = ()
    about: str = ""

    @property
    def middle(self) -> float:
        """Height of its middle."""
        return self.y + self.height / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An agreement's arrow.

    Attributes:
        start: the contract's box.
        end: the agreement's box.
        publisher: number of the publisher, for the colour.
        dotted: whether the contract is shared unconditionally.
    """

    start: Box
    end: Box
    publisher: int
    dotted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """The picture, laid out.

    Attributes:
        width: of it all.
        height: of it all.
        groups: what stands behind a department's boxes.
        boxes: everything with text but the agreements, which come with their links.
        links: one per agreement.
        columns: left edge and heading of each column.
    """

    width: float
    height: float
    groups: tuple[Box, ...]
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    columns: tuple[tuple[float, str], ...]


def text_width(text: str, size: float = SIZE) -> float:
    """An estimate on the safe side for sans-serif letters: a Chinese character is a square, a Latin letter two thirds at most."""
    return sum(size if unicodedata.east_asian_width(c) in "WF" else size * _latin(c) for c in text)


def _latin(character: str) -> float:
    if character in "mwMW@%":
        return 0.95
    if character in "iljtfrI.,:;|'!() -":
        return 0.4
    return 0.7 if character.isupper() else 0.57


def fitted(text: str, width: float, size: float = SIZE) -> str:
    """The text, or as much of its beginning as fits, with an ellipsis."""
    text = " ".join(text.split())
    if text_width(text, size) <= width:
        return text
    while text and text_width(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def lay_out(scene: Scene) -> Drawing:
    """Find the places."""
    publishers, recipients = _ordered(scene)
    bands = [_band(contracts) for _, contracts in publishers]
    cards = [_card(agreements) for _, agreements in recipients]
    height = max(sum(column) + _GAP * (len(column) - 1) for column in (bands, cards))
    groups: list[Box] = []
    boxes: list[Box] = []
    starts = _left(scene, publishers, _tops(bands, height), groups, boxes)
    ends = _right(scene, recipients, _tops(cards, height), groups, boxes)
    colours = {party.code: number for number, (party, _) in enumerate(scene.publishers)}
    links = []
    for agreement, end in ends:
        contract = scene.bus.catalogue.contracts[agreement.contract]
        dotted = contract.sharing == "unconditional"
        links.append(Link(start=starts[contract.name], end=end, publisher=colours[contract.department], dotted=dotted))
    columns = (
        (_MARGIN, scene.label("Publishers")),
        (_contract_x(), scene.label("Contracts")),
        (_contract_x() + _CONTRACT + 40, scene.label("Dotted: shared unconditionally")),
        (_recipient_x(), scene.label("Recipients and their agreements")),
    )
    return Drawing(
        width=_recipient_x() + _RECIPIENT + _MARGIN,
        height=_TOP + height + _MARGIN,
        groups=tuple(groups),
        boxes=tuple(boxes),
        links=tuple(links),
        columns=columns,
    )


def _contract_x() -> float:
    return _MARGIN + _PUBLISHER + 12


def _recipient_x() -> float:
    return _contract_x() + _CONTRACT + _SPAN


def _stack(rows: int) -> float:
    return rows * _ROW + (rows - 1) * _BETWEEN


def _band(contracts: Sequence[Contract]) -> float:
    return max(_HEAD, _stack(len(contracts))) + 12


def _card(agreements: Sequence[Agreement]) -> float:
    return _HEAD + _BETWEEN + _stack(len(agreements)) + 12


def _tops(heights: Sequence[float], height: float) -> list[float]:
    """Where each of a column's groups begins: spread over the height, the rest of it above and below."""
    between = max(len(heights) - 1, 1)
    gap = max(_GAP, min(_MOST_GAP, (height - sum(heights)) / between))
    top = _TOP + (height - sum(heights) - gap * (len(heights) - 1)) / 2
    return [top + sum(heights[:number]) + gap * number for number in range(len(heights))]


def _left(
    scene: Scene, publishers: Sequence[_Contracts], tops: Sequence[float], groups: list[Box], boxes: list[Box]
) -> dict[str, Box]:
    """Publishers with their contracts; the boxes of the contracts by name."""
    starts: dict[str, Box] = {}
    for (party, contracts), top in zip(publishers, tops, strict=True):
        band = _band(contracts)
        width = _PUBLISHER + _CONTRACT + 24
        groups.append(Box(kind="group", x=_MARGIN - 6, y=top, width=width, height=band))
        boxes.append(_party(scene, "publisher", party, _MARGIN, top + (band - _HEAD) / 2, _PUBLISHER))
        y = top + (band - _stack(len(contracts))) / 2
        for contract in contracts:
            lines = (fitted(scene.contract(contract), _CONTRACT - 12),)
            about = scene.about_contract(contract)
            box = Box(kind="contract", x=_contract_x(), y=y, width=_CONTRACT, height=_ROW, lines=lines, about=about)
            starts[contract.name] = box
            boxes.append(box)
            y += _ROW + _BETWEEN
    return starts


def _right(
    scene: Scene, recipients: Sequence[_Agreements], tops: Sequence[float], groups: list[Box], boxes: list[Box]
) -> list[tuple[Agreement, Box]]:
    """Recipients with their agreements; the box of each agreement."""
    ends: list[tuple[Agreement, Box]] = []
    x = _recipient_x()
    for (party, agreements), top in zip(recipients, tops, strict=True):
        card = _card(agreements)
        groups.append(Box(kind="group", x=x - 6, y=top, width=_RECIPIENT + 12, height=card))
        boxes.append(_party(scene, "recipient", party, x, top + 6, _RECIPIENT))
        y = top + 6 + _HEAD + _BETWEEN
        for agreement in agreements:
            lines = (fitted(scene.agreement(agreement), _RECIPIENT - 12),)
            about = scene.about_agreement(agreement)
            box = Box(kind="agreement", x=x, y=y, width=_RECIPIENT, height=_ROW, lines=lines, about=about)
            ends.append((agreement, box))
            y += _ROW + _BETWEEN
    return ends


def _party(scene: Scene, kind: Literal["publisher", "recipient"], party: Department, x: float, y: float, width: float) -> Box:
    lines = (fitted(scene.party(party), width - 12), fitted(party.code, width - 12))
    about = "\n".join([party.code, *party.name.values(), *party.head.values(), party.contact])
    return Box(kind=kind, x=x, y=y, width=width, height=_HEAD, lines=lines, about=about)


def _ordered(scene: Scene) -> tuple[list[_Contracts], list[_Agreements]]:
    """Each column in turn sorted by where its lines come from or go to, as long as that leaves fewer crossings."""
    publishers, recipients = list(scene.publishers), list(scene.recipients)
    best, fewest = (publishers, recipients), _crossings(publishers, recipients)
    for _ in range(_SWEEPS):
        place = {contract.name: float(i) for i, contract in enumerate(one for _, contracts in publishers for one in contracts)}
        recipients = _sorted(recipients, _start(place))
        ends: dict[str, list[float]] = {}
        for i, agreement in enumerate(one for _, agreements in recipients for one in agreements):
            ends.setdefault(agreement.contract, []).append(i)
        publishers = _sorted(publishers, _mean_end(ends))
        crossings = _crossings(publishers, recipients)
        if crossings < fewest:
            best, fewest = (publishers, recipients), crossings
    return best


def _start(place: Mapping[str, float]) -> Callable[[Agreement], float]:
    return lambda agreement: place[agreement.contract]


def _mean_end(ends: Mapping[str, list[float]]) -> Callable[[Contract], float]:
    def mean(contract: Contract) -> float:
        found = ends.get(contract.name)
        return sum(found) / len(found) if found else float("inf")  # what nobody gets stands last

    return mean


def _sorted(
    groups: Sequence[tuple[Department, tuple[T, ...]]], place: Callable[[T], float]
) -> list[tuple[Department, tuple[T, ...]]]:
    """The members of each group by their place, and the groups by the mean of their members'."""

    def mean(members: Sequence[T]) -> float:
        found = [place(one) for one in members if place(one) != float("inf")]
        return sum(found) / len(found) if found else float("inf")

    inner = [(party, tuple(sorted(members, key=place))) for party, members in groups]
    return sorted(inner, key=lambda group: mean(group[1]))


def _crossings(publishers: Sequence[_Contracts], recipients: Sequence[_Agreements]) -> int:
    """How many pairs of lines cross."""
    place = {contract.name: i for i, contract in enumerate(one for _, contracts in publishers for one in contracts)}
    starts = [place[one.contract] for _, agreements in recipients for one in agreements]
    return sum(starts[j] < start for i, start in enumerate(starts) for j in range(i + 1, len(starts)))
