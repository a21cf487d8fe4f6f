"""A photograph without the noise and the blocks that can be told from its pixels: where an ascent begins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .blocks import find_compression, without_blocks
from .noise import estimate_noise
from .shrink import without_noise

SMALLEST = 32
"""Side in pixels below which there is too little to tell anything from."""


@dataclass(frozen=True)
class Cleaned:
    """Photographs without their noise and blocks.

    Attributes:
        image: (B, 3, h, w) in [0, 1].
        notes: what was found in each, in words.
    """

    image: Tensor
    notes: tuple[str, ...]


def clean(photograph: Tensor) -> Cleaned:
    """Take from photographs (B, 3, h, w) in [0, 1], each by itself, the JPEG blocks and the noise that are found.

    A photograph without either stays as it is, up to what little noise every photograph has.
    """
    with torch.no_grad():
        found = [_one(one[None]) for one in photograph]
    return Cleaned(torch.cat([image for image, _ in found]), tuple(note for _, note in found))


def _one(photograph: Tensor) -> tuple[Tensor, str]:
    if min(photograph.shape[-2:]) < SMALLEST:
        return photograph, f"a side is below {SMALLEST} px: too small to tell noise and blocks"
    compression = find_compression(photograph)
    if compression is not None:
        first = float(compression.luminance[0])
        return without_blocks(photograph, compression).clamp(0, 1), f"blocks of JPEG with a first step of {first:g}"
    noise = estimate_noise(photograph)
    return without_noise(photograph, noise).clamp(0, 1), f"noise of {255 * float(noise.level):.1f} of 255"
