"""The paper's claim in one figure: what each method's rising prior score does to measures that nobody climbed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from dmap.image.plot import BACKGROUND, COLOURS, GRID, INK

from .judges import MEASURES
from .tables import Row

PANEL = (470, 320)
SHOWN = ("ssim", "psnr", "judge", "niqe", "piqe", "vif")


def mean_points(rows: Sequence[Row], measure: str) -> dict[str, list[tuple[float, float]]]:
    """By method: (mean prior score, mean of the measure) at each prior weight, in the order of the weights."""
    points: dict[str, list[tuple[float, float]]] = {}
    for method in dict.fromkeys(str(row["method"]) for row in rows):
        mine = [row for row in rows if row["method"] == method]
        for weight in sorted({float(row["weight"]) for row in mine}):
            here = [row for row in mine if float(row["weight"]) == weight]
            x, y = (sum(float(row[key]) for row in here) / len(here) for key in ("prior", measure))
            points.setdefault(method, []).append((x, y))
    return points


def figure(rows: Sequence[Row], file: Path) -> None:
    """Draw one panel a measure over the prior's score, a line a method, a point a prior weight."""
    shown = [name for name in SHOWN if all(name in row for row in rows)]
    lines = (len(shown) + 2) // 3
    canvas = Image.new("RGB", (3 * PANEL[0], lines * PANEL[1] + 30), BACKGROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    for index, measure in enumerate(shown):
        left, top = index % 3 * PANEL[0], index // 3 * PANEL[1]
        better = "higher" if MEASURES[measure][1] > 0 else "lower"
        _panel(draw, (left + 62, top + 34, left + PANEL[0] - 16, top + PANEL[1] - 36), mean_points(rows, measure))
        draw.text((left + 62, top + 10), f"{measure}, {better} is better", fill=INK, font=font)
        draw.text((left + 62, top + PANEL[1] - 18), "prior score ->", fill=INK, font=font)
    x = 62
    for index, method in enumerate(dict.fromkeys(str(row["method"]) for row in rows)):
        y = lines * PANEL[1] + 12
        draw.line((x, y, x + 24, y), fill=COLOURS[index % len(COLOURS)], width=3)
        draw.text((x + 30, y), method, fill=INK, font=font, anchor="lm")
        x += 60 + round(font.getlength(method))
    canvas.save(file)


def _panel(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], lines: dict[str, list[tuple[float, float]]]
) -> None:
    x0, y0, x1, y1 = box
    font = ImageFont.load_default(12)
    everything = [point for line in lines.values() for point in line]
    low = [min(point[axis] for point in everything) for axis in (0, 1)]
    span = [max(max(point[axis] for point in everything) - low[axis], 1e-9) for axis in (0, 1)]
    for tick in range(5):
        y, x = y1 - tick * (y1 - y0) / 4, x0 + tick * (x1 - x0) / 4
        draw.line((x0, y, x1, y), fill=GRID)
        draw.text((x0 - 5, y), f"{low[1] + tick * span[1] / 4:.3g}", fill=INK, font=font, anchor="rm")
        draw.text((x, y1 + 3), f"{low[0] + tick * span[0] / 4:.0f}", fill=INK, font=font, anchor="mt")
    for index, line in enumerate(lines.values()):
        colour = COLOURS[index % len(COLOURS)]
        points = [(x0 + (x - low[0]) / span[0] * (x1 - x0), y1 - (y - low[1]) / span[1] * (y1 - y0)) for x, y in line]
        if len(points) > 1:
            draw.line(points, fill=colour, width=2)
        for x, y in points:
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour)
