"""Picture files as 8-bit RGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FAULTS = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises for files that are no pictures, cut off or damaged; broken EXIF ends in a SyntaxError."""


def read_upright(file: Path) -> Image.Image:
    """A picture as RGB, turned as its EXIF says; alpha is dropped.

    16-bit grey is scaled to 8 bits: Pillow's own conversion would clip it to white.

    Raises:
        FAULTS: if the file is missing, damaged or no picture.
    """
    with Image.open(file) as opened:
        upright = ImageOps.exif_transpose(opened)
        if upright.mode.startswith("I"):
            upright = Image.fromarray((np.asarray(upright).astype(np.uint32).clip(0, 65535) // 257).astype(np.uint8))
        return upright.convert("RGB")
