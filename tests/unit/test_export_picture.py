"""The picture: everything on it, nothing on top of anything else, and readable by the tools that it is for."""

from __future__ import annotations

import itertools
import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.catalogue.load import load
from hutong.export.bus import Bus
from hutong.export.layout import SIZE, Box, Drawing, fitted, lay_out, text_width
from hutong.export.picture import Scene, graph, mermaid, scene
from hutong.export.svg import svg
from tests.declaring import FI

SAMPLE = Path(__file__).parents[2] / "schemas"
SVG = "{http://www.w3.org/2000/svg}"
CREMATION = "mca.funeral.cremation_recorded"


catalogue = cache(load)


@cache
def drawn(schemas: Path = SAMPLE, language: str = "en", recipient: str | None = None, contract: str | None = None) -> Scene:
    return scene(Bus.of(catalogue(schemas), recipient=recipient, contract=contract), language)


VIEWS = {
    "sample": (SAMPLE, "en", None, None),
    "chinese": (SAMPLE, "zh", None, None),
    "fi": (FI, "en", None, None),
    "recipient": (SAMPLE, "en", "mohrss.insurance", None),
    "contract": (SAMPLE, "zh", None, CREMATION),
    "one line": (SAMPLE, "en", "mohrss.insurance", CREMATION),
}
every_view = pytest.mark.parametrize("view", VIEWS.values(), ids=list(VIEWS))
View = tuple[Path, str, str | None, str | None]


def overlap(one: Box, other: Box) -> bool:
    across = one.x < other.x + other.width and other.x < one.x + one.width
    return across and one.y < other.y + other.height and other.y < one.y + one.height


def inside(one: Box, outer: Box) -> bool:
    across = outer.x <= one.x and one.x + one.width <= outer.x + outer.width
    return across and outer.y <= one.y and one.y + one.height <= outer.y + outer.height


def all_boxes(drawing: Drawing) -> list[Box]:
    return [*drawing.boxes, *(link.end for link in drawing.links)]


@every_view
def test_nothing_lies_on_anything_else(view: View) -> None:
    """Boxes are apart, each inside one department's group; groups are apart; all is inside the picture."""
    drawing = lay_out(drawn(*view))
    boxes = all_boxes(drawing)
    assert not [pair for pair in itertools.combinations(boxes, 2) if overlap(*pair)]
    assert not [pair for pair in itertools.combinations(drawing.groups, 2) if overlap(*pair)]
    whole = Box(kind="group", x=0, y=0, width=drawing.width, height=drawing.height)
    for box in boxes:
        assert sum(inside(box, group) for group in drawing.groups) == 1
    assert all(inside(group, whole) for group in drawing.groups)


@every_view
def test_text_fits_its_box(view: View) -> None:
    """By the estimate of widths that it was cut to."""
    for box in all_boxes(lay_out(drawn(*view))):
        assert box.lines
        assert all(text_width(line) <= box.width - 12 for line in box.lines)
        assert len(box.lines) * SIZE < box.height


@every_view
def test_everything_is_there_once(view: View) -> None:
    """A box per department on its side, per contract and per agreement; a line per agreement, from its contract."""
    shown = drawn(*view)
    drawing = lay_out(shown)
    kinds = [box.kind for box in drawing.boxes]
    assert kinds.count("publisher") == len(shown.publishers)
    assert kinds.count("recipient") == len(shown.recipients)
    assert kinds.count("contract") == len(shown.bus.contracts)
    ends = {link.end.about.split(":")[0]: link for link in drawing.links}
    assert ends.keys() == {one.id for one in shown.bus.agreements}
    assert len(drawing.links) == len(ends)
    for agreement in shown.bus.agreements:
        assert ends[agreement.id].start.about.startswith(f"{agreement.contract}\n")
        assert agreement.legal_basis in ends[agreement.id].end.about


@every_view
def test_the_picture_is_well_formed_and_by_itself(view: View) -> None:
    """XML that a parser takes, with a title on every box and line, and no address of anything elsewhere."""
    text = svg(drawn(*view))
    root = ElementTree.fromstring(text)  # noqa: S314 - our own text
    assert root.tag == f"{SVG}svg"
    links = [one for one in root.iter(f"{SVG}g") if one.get("class") == "link"]
    assert len(links) == len(drawn(*view).bus.agreements)
    assert all(one.find(f"{SVG}title") is not None for one in root.iter(f"{SVG}g"))
    assert re.findall(r"https?://[^\"'\s<]+", text.replace("http://www.w3.org/2000/svg", "")) == []
    assert "<script" not in text
    assert "@import" not in text


def test_lines_cross_less_than_in_the_order_of_the_files() -> None:
    """Ordering is worth its code: at most half of the crossings are left on the sample."""

    def crossings(pairs: list[tuple[float, float]]) -> int:
        return sum((a - c) * (b - d) < 0 for (a, b), (c, d) in itertools.combinations(pairs, 2))

    shown = drawn()
    plain = [name.name for _, contracts in shown.publishers for name in contracts]
    written = [
        (float(plain.index(one.contract)), float(number))
        for number, one in enumerate(one for _, agreements in shown.recipients for one in agreements)
    ]
    laid_out = [(link.start.middle, link.end.middle) for link in lay_out(shown).links]
    assert crossings(laid_out) * 2 <= crossings(written)


def test_names_are_in_the_language_of_the_reader() -> None:
    """Chinese names and headings where they are asked for, English else; the code stands under both."""
    english, chinese = svg(drawn()), svg(drawn(SAMPLE, "zh"))
    assert ">Funeral administration<" in english
    assert ">殡葬管理<" in chinese
    assert ">mca.funeral<" in english
    assert ">mca.funeral<" in chinese
    assert "法律依据: " in chinese
    assert "legal basis: " in english
    assert ">火化登记<" in chinese


def test_mermaid_has_a_node_and_an_arrow_for_each() -> None:
    """A subgraph per publisher, a node per contract and recipient, an arrow per agreement between nodes that are there."""
    shown = drawn()
    lines = mermaid(shown).splitlines()
    assert lines[0] == "flowchart LR"
    nodes = [match[1] for line in lines if (match := re.match(r"\s+([cr]\d+)\(?\[", line))]
    arrows = [match.groups() for line in lines if (match := re.match(r"\s+(c\d+) (?:-->|-\.->)\|\"[^\"]+\"\| (r\d+)$", line))]
    assert len(nodes) == len(set(nodes)) == len(shown.bus.contracts) + len(shown.recipients)
    assert len(arrows) == len(shown.bus.agreements)
    assert {name for pair in arrows for name in pair} <= set(nodes)
    assert sum("subgraph" in line for line in lines) == sum(line == "  end" for line in lines) == len(shown.publishers)
    assert len(lines) == 1 + len(nodes) + len(arrows) + 2 * len(shown.publishers)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80), st.integers(20, 300))
def test_a_text_is_cut_to_its_width(text: str, width: int) -> None:
    """What fits stays as it is, but for spaces; what does not is its own beginning with an ellipsis."""
    cut = fitted(text, width)
    assert text_width(cut) <= width
    plain = " ".join(text.split())
    assert cut == plain or (cut.endswith("…") and plain.startswith(cut[:-1]))


def test_the_graph_for_programs_has_the_same() -> None:
    """Departments, contracts and agreements by name, with all languages."""
    made = graph(drawn(SAMPLE, "en", "mohrss.insurance").bus)
    codes = {one["code"] for one in made["departments"]}
    assert {one["recipient"] for one in made["agreements"]} == {"mohrss.insurance"}
    assert {one["publisher"] for one in made["contracts"]} | {"mohrss.insurance"} == codes
    assert {one["contract"] for one in made["agreements"]} == {one["name"] for one in made["contracts"]}
