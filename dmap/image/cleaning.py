"""A photograph without the noise and the blocks that can be told from its pixels: where an ascent begins."""

from __future__ import annotations

import torch
from torch import Tensor

from .blocks import find_compression, without_blocks
from .noise import estimate_noise
from .shrink import without_noise


def cleaned(photograph: Tensor) -> Tensor:
    """Photographs (B, 3, h, w) in [0, 1], each without its own estimated JPEG blocks and noise, in [0, 1].

    A photograph without either is returned as it was, up to rounding.
    """
    return torch.cat([_one(one[None]) for one in photograph])


def _one(photograph: Tensor) -> Tensor:
    compression = find_compression(photograph)
    if compression is not None:
        return without_blocks(photograph, compression).clamp(0, 1)
    return without_noise(photograph, estimate_noise(photograph)).clamp(0, 1)
