"""Contact sheets, to be looked at: a row a cell, a column a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

GAP, HEAD = 6, 24


def picture(image: Tensor) -> Image.Image:
    """(3, h, w) in [0, 1] as a picture."""
    return Image.fromarray((image.clamp(0, 1).permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8))


def sheet(rows: Sequence[tuple[str, Mapping[str, Tensor]]], file: Path) -> None:
    """Write a sheet.

    Args:
        rows: (title, images (3, h, w) by column); all of one size and with the same columns.
        file: .png or .jpg
    """
    columns = list(rows[0][1])
    height, width = rows[0][1][columns[0]].shape[-2:]
    font = ImageFont.load_default(13)
    canvas = Image.new(
        "RGB",
        (GAP + len(columns) * (width + GAP), HEAD + len(rows) * (height + HEAD + GAP)),
        (255, 255, 255),
    )
    draw = ImageDraw.Draw(canvas)
    for column, name in enumerate(columns):
        draw.text((GAP + column * (width + GAP), 5), name, fill=(20, 20, 20), font=font)
    for index, (title, images) in enumerate(rows):
        top = HEAD + index * (height + HEAD + GAP)
        draw.text((GAP, top + 4), title, fill=(90, 90, 90), font=font)
        for column, name in enumerate(columns):
            canvas.paste(picture(images[name]), (GAP + column * (width + GAP), top + HEAD))
    canvas.save(file, quality=90)
