"""The picture as SVG: no script, no font and no address from elsewhere; pointing at a line or a box tells what it is.

Neighbours: ``layout`` has found the places.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from hutong.export.layout import SIZE, Box, Drawing, Link, lay_out
from hutong.export.picture import Scene

__all__ = ["svg"]

_FONTS = "'Noto Sans CJK SC', 'Source Han Sans SC', 'Microsoft YaHei', 'PingFang SC', 'Helvetica Neue', Arial, sans-serif"

_STYLE = f"""
text {{ font-family: {_FONTS}; font-size: {SIZE}px; fill: #1c2733 }}
.title {{ font-size: 18px; font-weight: 600 }}
.column {{ font-size: 13px; fill: #5b6875 }}
.code {{ font-size: 11px; fill: #5b6875 }}
.group {{ fill: #f4f6f8; stroke: #d6dce2 }}
.publisher, .recipient {{ fill: #ffffff; stroke: #9aa7b4 }}
.contract, .agreement {{ fill: #ffffff; stroke: #d6dce2 }}
.line {{ fill: none; stroke-width: 1.4; stroke-opacity: .75 }}
.near {{ fill: none; stroke: #000000; stroke-opacity: 0; stroke-width: 9; pointer-events: stroke }}
.link:hover .line {{ stroke: #c2185b; stroke-width: 3; stroke-opacity: 1 }}
.link:hover .agreement, .box:hover rect {{ stroke: #c2185b }}
"""


def svg(scene: Scene) -> str:
    """The picture."""
    drawing = lay_out(scene)
    title = scene.label("Who sends what to whom")
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width:g} {drawing.height:g}" '
        f'width="{drawing.width:g}" height="{drawing.height:g}" role="img" lang="{scene.language}">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{drawing.width:g}" height="{drawing.height:g}" fill="#ffffff"/>',
        f'<text class="title" x="16" y="30">{escape(title)}</text>',
        *_body(drawing),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _body(drawing: Drawing) -> Iterator[str]:
    for x, heading in drawing.columns:
        yield f'<text class="column" x="{x:g}" y="58">{escape(heading)}</text>'
    for group in drawing.groups:
        yield _rectangle(group, radius=6)
    for link in drawing.links:
        yield from _link(link)
    for box in drawing.boxes:
        yield '<g class="box">'
        yield f"<title>{escape(box.about)}</title>"
        yield _rectangle(box)
        yield from _text(box)
        yield "</g>"


def _link(link: Link) -> Iterator[str]:
    """An arrow with the line of text that it ends at: one thing to point at."""
    x1, y1 = link.start.x + link.start.width, link.start.middle
    x2, y2 = link.end.x, link.end.middle
    bend = (x2 - x1) / 2
    path = f"M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}"
    dash = ' stroke-dasharray="5 3"' if link.dotted else ""
    yield '<g class="link">'
    yield f"<title>{escape(link.end.about)}</title>"
    yield f'<path class="near" d="{path}"/>'
    yield f'<path class="line" d="{path}" stroke="{_colour(link.publisher)}"{dash}/>'
    yield f'<path d="M{x2:g} {y2:g}l-7 -3.5v7z" fill="{_colour(link.publisher)}"/>'
    yield _rectangle(link.end)
    yield from _text(link.end)
    yield "</g>"


def _rectangle(box: Box, *, radius: int = 3) -> str:
    return f'<rect class="{box.kind}" x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="{radius}"/>'


def _text(box: Box) -> Iterator[str]:
    pitch = box.height / len(box.lines) if box.lines else 0
    for number, line in enumerate(box.lines):
        kind = ' class="code"' if number else ""
        y = box.y + pitch * number + pitch / 2 + SIZE * 0.36
        yield f'<text{kind} x="{box.x + 6:g}" y="{y:g}">{escape(line)}</text>'


def _colour(number: int) -> str:
    """A colour per publisher; neighbours differ, since the golden angle spreads them."""
    return f"hsl({number * 137.508 % 360:.0f} 55% 42%)"
