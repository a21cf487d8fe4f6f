"""Pixels that are lost altogether."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import UserError
from .base import SameSize


class Inpaint(SameSize):
    """A(x) = (1 - mask) x: the photograph says nothing where the mask is 1.

    Args:
        mask: (1 or B, 1, h, w) in [0, 1]; 1 = unknown. It is resized if the picture has another size.

    Raises:
        UserError: if the mask has another shape or values, or leaves nothing known of an image: then the fidelity
            would hold nothing.
    """

    name: ClassVar[str] = "inpaint"
    linear = True
    complete = False

    def __init__(self, mask: Tensor) -> None:
        if mask.ndim != 4 or mask.shape[1] != 1:
            raise UserError(f"mask: expected shape (1 or batch, 1, height, width), got {tuple(mask.shape)}")
        if not torch.isfinite(mask).all() or float(mask.min()) < 0 or float(mask.max()) > 1:
            raise UserError("mask: its values must lie in 0..1; 1 marks what is to be filled")
        if float(mask.amin(dim=(1, 2, 3)).max()) == 1:
            raise UserError.of(
                "mask", "1 everywhere", "below 1 where the photograph is to count", "invert it, or leave this node out"
            )
        self.mask = mask

    def __call__(self, image: Tensor) -> Tensor:
        mask = self.mask.to(image)
        if mask.shape[-2:] != image.shape[-2:]:
            mask = nn.functional.interpolate(mask, size=image.shape[-2:], mode="bilinear", align_corners=False)
        return image * (1 - mask)

    def observed(self, photograph: Tensor) -> Tensor:
        return self(photograph)
