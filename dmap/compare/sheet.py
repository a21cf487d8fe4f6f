"""A comparison as pictures: the contact sheet and the cross-score matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..errors import UserError
from ..image.plot import BACKGROUND, GRID, INK, as_batch
from ..output import replacing
from .folder import Folder
from .results import Results
from .statistics import cross_scores

THUMB, HEAD, GAP, LABEL = 192, 24, 8, 22
LOW, MIDDLE, HIGH = (33, 102, 172), (255, 255, 255), (200, 90, 10)


def contact_sheet(results: Results, folder: Folder, most: int = 24) -> Tensor:
    """A row a start with the photograph, the start and every model's output: (1, 3, h, w) in [0, 1].

    Args:
        most: rows at most.

    Raises:
        UserError: if there is nothing to show.
    """
    rows = []
    for condition in results.conditions[:most]:
        stored = folder.read_input(condition.input.key)
        if stored is None:
            continue
        images = [stored[0]["photograph"], stored[0]["start"]]
        found = [None if cell is None else folder.read_cell(cell.key) for cell in condition.cells]
        title = f"{condition.input.photograph}, {condition.input.degradation}, level {condition.level:g}"
        rows.append((title, [*images, *(None if one is None else one[0] for one in found)]))
    if not rows:
        raise UserError("contact sheet: the comparison has no finished cell yet")
    names = ["photograph", "start", *results.names]
    width = GAP + len(names) * (THUMB + GAP)
    rest = len(results.conditions) - most
    height = HEAD + len(rows) * (THUMB + LABEL + GAP) + (HEAD if rest > 0 else 0)
    canvas = Image.new("RGB", (width, height), BACKGROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    for column, name in enumerate(names):
        draw.text((GAP + column * (THUMB + GAP), 5), _fitted(draw, name, THUMB, font), fill=INK, font=font)
    for row, (title, pictures) in enumerate(rows):
        top = HEAD + row * (THUMB + LABEL + GAP)
        draw.text((GAP, top + 2), _fitted(draw, title, width - 2 * GAP, font), fill=INK, font=font)
        for column, picture in enumerate(pictures):
            place = (GAP + column * (THUMB + GAP), top + LABEL)
            if picture is None:
                draw.rectangle((*place, place[0] + THUMB, place[1] + THUMB), outline=GRID)
            else:
                canvas.paste(_thumb(picture), place)
    if rest > 0:
        text = f"and {rest} more, not drawn here"
        draw.text((GAP, height - HEAD + 2), text, fill=INK, font=font)
    return as_batch(canvas)


def matrix(results: Results) -> Tensor:
    """The gains over the start, rows optimised by, columns judged by, as a heat map: (1, 3, h, w) in [0, 1].

    Raises:
        UserError: if no start was brought to the wanted fidelity by any model.
    """
    chosen = results.select()
    if len(chosen) == 0:
        raise UserError("cross-scores: at no start did a model reach the wanted fidelity")
    mean, error = cross_scores(results, chosen, gain=True)
    largest = max(1.0, float(np.nanmax(np.abs(mean))))
    side, left, top = 130, 220, 60
    size = (left + side * len(results.judges) + GAP, top + 56 * len(results.names) + GAP)
    canvas = Image.new("RGB", size, BACKGROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    draw.text((GAP, 8), "gain over the start, points; rows: optimised by, columns: judged by", fill=INK, font=font)
    for column, judge in enumerate(results.judges):
        middle = left + side * column + side // 2
        draw.text((middle, top - 14), _fitted(draw, judge, side - 6, font), fill=INK, font=font, anchor="mm")
    for row, name in enumerate(results.names):
        y = top + 56 * row
        draw.text((GAP, y + 28), _fitted(draw, name, left - 2 * GAP, font), fill=INK, font=font, anchor="lm")
        for column in range(len(results.judges)):
            x, known = left + side * column, bool(np.isfinite(mean[row, column]))
            share = float(mean[row, column]) / largest if known else 0.0
            colour = _heat(share)
            # Framed: a judge that is kin of the model, which proves nothing.
            frame = INK if results.related[row, column] else GRID
            draw.rectangle((x + 1, y + 1, x + side - 2, y + 54), fill=colour, outline=frame, width=2)
            text = f"{mean[row, column]:+.1f}" if known else "none"
            if np.isfinite(error[row, column]):
                text += f" ±{error[row, column]:.1f}"
            dark = sum(colour) < 380
            draw.text((x + side // 2, y + 28), text, fill=BACKGROUND if dark else INK, font=font, anchor="mm")
    return as_batch(canvas)


def save(image: Tensor, file: Path) -> None:
    """Write (1, 3, h, w) in [0, 1] as a PNG file; a reader finds the old one or the whole new one."""
    array = image[0].mul(255).round().byte().permute(1, 2, 0).numpy()
    with replacing(file) as new:
        Image.fromarray(np.ascontiguousarray(array)).save(new, "PNG")


def _heat(share: float) -> tuple[int, int, int]:
    end = HIGH if share > 0 else LOW
    red, green, blue = (round(m + (e - m) * min(1.0, abs(share))) for m, e in zip(MIDDLE, end, strict=True))
    return red, green, blue


def _fitted(
    draw: ImageDraw.ImageDraw, text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> str:
    """The text, shortened until it fits."""
    shown = text
    while draw.textlength(shown, font=font) > width and len(shown) > 1:
        shown = shown[:-2] + "…"
    return shown


def _thumb(image: Tensor) -> Image.Image:
    """A (3, h, w) uint8 image on a square."""
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    picture.thumbnail((THUMB, THUMB), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (THUMB, THUMB), GRID)
    square.paste(picture, ((THUMB - picture.width) // 2, (THUMB - picture.height) // 2))
    return square
