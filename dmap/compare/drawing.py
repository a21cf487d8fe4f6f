"""Line drawings for papers: the same strokes as SVG and as PDF, without a plotting library.

Both are vector formats with real text. PDF asks for Helvetica by name, one of the fonts that every reader brings, so
nothing is embedded.
"""

from __future__ import annotations

import html
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]
Colour = tuple[int, int, int]
BLACK, GREY, PALE = (0, 0, 0), (90, 90, 90), (222, 222, 222)
COLOURS: tuple[Colour, ...] = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (176, 125, 0), (58, 155, 214), (122, 92, 168),
    (92, 101, 108),
)  # fmt: skip
"""After Okabe and Ito, as in the report: distinguishable with colour-blind eyes."""
_CIRCLE = tuple((math.cos(turn * math.pi / 12), math.sin(turn * math.pi / 12)) for turn in range(24))
SHAPES: tuple[tuple[Point, ...], ...] = (
    _CIRCLE,
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    ((0, 1.2), (1.1, -0.8), (-1.1, -0.8)),
    (
        (-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4), (0.4, 1.2), (-0.4, 1.2),
        (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4),
    ),
    ((0, -1.2), (1.15, -0.37), (0.7, 1), (-0.7, 1), (-1.15, -0.37)),
    ((-1.2, -0.5), (1.2, -0.5), (1.2, 0.5), (-1.2, 0.5)),
)  # fmt: skip
"""Outlines of about unit radius: every series has a shape besides its colour."""
# Advance widths of Helvetica from the space to the tilde, in thousandths of its size (Adobe's font metrics).
_WIDTHS = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
)  # fmt: skip


def width_of(text: str, size: float) -> float:
    """How wide Helvetica sets a text, in the unit of ``size``; signs beyond ASCII count as a digit."""
    return sum(_WIDTHS[ord(sign) - 32] if 32 <= ord(sign) < 127 else 556 for sign in text) * size / 1000


@dataclass(frozen=True)
class Line:
    """A stroke through points."""

    points: tuple[Point, ...]
    colour: Colour
    width: float
    dash: bool


@dataclass(frozen=True)
class Area:
    """A filled polygon."""

    points: tuple[Point, ...]
    colour: Colour


@dataclass(frozen=True)
class Text:
    """A line of text; ``anchor`` is "start", "middle" or "end", ``upward`` turns it to read from below."""

    at: Point
    text: str
    size: float
    anchor: str
    colour: Colour
    upward: bool


@dataclass
class Drawing:
    """A picture of strokes, areas and texts; the origin is at the top left, in points (1/72 inch).

    Attributes:
        width, height: in points.
        title: what it shows, for readers that cannot see it.
        parts: what is drawn, the first lowest.
    """

    width: float
    height: float
    title: str
    parts: list[Line | Area | Text] = field(default_factory=list)

    def line(self, points: Sequence[Point], colour: Colour = BLACK, width: float = 1.0, dash: bool = False) -> None:
        """Add a stroke."""
        self.parts.append(Line(tuple(points), colour, width, dash))

    def area(self, points: Sequence[Point], colour: Colour) -> None:
        """Add a filled polygon."""
        self.parts.append(Area(tuple(points), colour))

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Add a filled rectangle."""
        self.area([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], colour)

    def mark(self, index: int, x: float, y: float, size: float = 4.0) -> None:
        """Add the mark of the series ``index``: its shape in its colour."""
        shape = SHAPES[index % len(SHAPES)]
        self.area([(x + size * a, y + size * b) for a, b in shape], COLOURS[index % len(COLOURS)])

    def text(
        self, x: float, y: float, text: str, size: float = 9.0, anchor: str = "start", colour: Colour = BLACK,
        upward: bool = False,
    ) -> None:  # fmt: skip
        """Add a text whose baseline is at ``y``."""
        self.parts.append(Text((x, y), text, size, anchor, colour, upward))

    def svg(self) -> str:
        """As SVG, in points."""
        rows = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:g}pt" height="{self.height:g}pt" '
            f'viewBox="0 0 {self.width:g} {self.height:g}" role="img" font-family="Helvetica, Arial, sans-serif">',
            f"<title>{html.escape(self.title)}</title>",
            f'<rect width="{self.width:g}" height="{self.height:g}" fill="#ffffff"/>',
            *(_svg(part) for part in self.parts),
            "</svg>",
        ]
        return "\n".join(rows) + "\n"

    def pdf(self) -> bytes:
        """As a PDF of one page, the same for the same drawing. Signs that Latin-1 does not know become "?"."""
        content = "\n".join(_pdf(part, self.height) for part in self.parts).encode("ascii")
        stream = zlib.compress(content)
        font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
        objects = [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            (
                f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {self.width:g} {self.height:g}] "
                f"/Resources << /Font << /F1 5 0 R >> >> /Contents 4 0 R >>"
            ).encode(),
            f"<< /Length {len(stream)} /Filter /FlateDecode >>\nstream\n".encode() + stream + b"\nendstream",
            font.encode(),
            f"<< /Title {_string(self.title)} >>".encode("ascii"),
        ]
        found, places = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
        for number, one in enumerate(objects, 1):
            places.append(len(found))
            found += f"{number} 0 obj\n".encode() + one + b"\nendobj\n"
        table = "".join(f"{place:010d} 00000 n \n" for place in places)
        head = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
        tail = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info 6 0 R >>\nstartxref\n{len(found)}\n%%EOF\n"
        return found + (head + tail).encode("ascii")


def _svg(part: Line | Area | Text) -> str:
    colour = "#" + "".join(f"{value:02x}" for value in part.colour)
    if isinstance(part, Text):
        x, y = part.at
        turn = f' transform="rotate(-90 {x:.2f} {y:.2f})"' if part.upward else ""
        return (
            f'<text x="{x:.2f}" y="{y:.2f}" font-size="{part.size:g}" text-anchor="{part.anchor}" '
            f'fill="{colour}"{turn}>{html.escape(part.text)}</text>'
        )
    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in part.points)
    if isinstance(part, Area):
        return f'<polygon points="{points}" fill="{colour}"/>'
    dash = ' stroke-dasharray="4 3"' if part.dash else ""
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{part.width:g}"{dash}/>'


def _pdf(part: Line | Area | Text, height: float) -> str:
    colour = " ".join(f"{value / 255:.3f}" for value in part.colour)
    if isinstance(part, Text):
        x, y = part.at[0], height - part.at[1]
        shift = width_of(part.text, part.size) * {"start": 0.0, "middle": 0.5, "end": 1.0}[part.anchor]
        x, y = (x, y - shift) if part.upward else (x - shift, y)
        turn = "0 1 -1 0" if part.upward else "1 0 0 1"
        return f"BT {colour} rg /F1 {part.size:g} Tf {turn} {x:.2f} {y:.2f} Tm {_string(part.text)} Tj ET"
    (first, *rest) = [f"{x:.2f} {height - y:.2f}" for x, y in part.points]
    path = f"{first} m " + " ".join(f"{point} l" for point in rest)
    if isinstance(part, Area):
        return f"{colour} rg {path} h f"
    return f"{colour} RG {part.width:g} w [{'4 3' if part.dash else ''}] 0 d {path} S"


def _string(text: str) -> str:
    """A text as PDF holds it, in ASCII."""
    signs = text.replace("\N{MINUS SIGN}", "-").encode("cp1252", "replace").decode("latin-1")
    kept = {"\\": "\\\\", "(": "\\(", ")": "\\)"}
    return "(" + "".join(kept.get(one, one if 32 <= ord(one) < 127 else f"\\{ord(one):03o}") for one in signs) + ")"
