"""Picture files as 8-bit RGB and as tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
"""Of the files in a folder that are taken for photographs."""

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


def to_tensor(image: Image.Image) -> Tensor:
    """A picture as (3, h, w) uint8."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


def centre_crop(file: Path, side: int) -> Tensor:
    """The largest centred square of a photograph, scaled to ``side``: (3, side, side) float32 in [0, 1]."""
    with Image.open(file) as image:
        edge = min(image.size)
        left, top = (image.width - edge) // 2, (image.height - edge) // 2
        square = image.convert("RGB").crop((left, top, left + edge, top + edge))
        return to_tensor(square.resize((side, side), Image.Resampling.LANCZOS)).float() / 255
