"""JPEG with a gradient, by kornia (Reich et al. 2024, "Differentiable JPEG: the devil is in the details")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import UserError, number_between
from .base import SameSize

BLOCK = 16
"""Sides that kornia's older versions ask for: blocks of 8 with chroma at half resolution."""


class JPEG(SameSize):
    """JPEG with 4:2:0 chroma and the standard tables.

    Args:
        quality: 1 to 100, as image programs count.

    Raises:
        UserError: for other qualities, or without the package kornia (every ComfyUI has it).
    """

    name = "jpeg"
    linear = False

    def __init__(self, quality: float = 40.0) -> None:
        quality = number_between("quality", quality, 1, 100, "30 to 60 show blocks")
        try:
            from kornia.enhance import jpeg_codec_differentiable
        except ImportError as error:
            raise UserError("degradation jpeg: it needs the package kornia: pip install kornia") from error
        self.quality, self._codec = quality, jpeg_codec_differentiable

    def __call__(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        padded = nn.functional.pad(image, (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")
        quality = torch.full((1,), self.quality, dtype=image.dtype, device=image.device)
        # One by one: older versions want a quality an image, newer ones accept a shared one.
        coded = torch.cat([self._codec(one[None], quality) for one in padded])
        return coded[..., :height, :width]
