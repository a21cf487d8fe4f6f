"""What a photograph does not say, filled from what lies around."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import UserError


def fill(image: Tensor, known: Tensor) -> Tensor:
    """Fill holes smoothly, coarse to fine ("push-pull", Gortler et al. 1996, The Lumigraph).

    An ascent that starts at a scratch keeps it: neither quality model nor diffusion model takes it for damage. One that
    starts at a smooth filling has only texture to add.

    Args:
        image: (B, C, h, w).
        known: (1 or B, 1, h, w) in [0, 1]; 0 is filled, 1 stays bit by bit.

    Raises:
        UserError: if nothing of an image is known.
    """
    if not (known.amax(dim=(1, 2, 3)) > 0).all():
        raise UserError("holes: the mask covers the whole photograph, so there is nothing to fill it from")
    known = known.expand(len(image), -1, -1, -1)
    return torch.where(known == 1, image, _pulled(image * known, known))


def _pulled(values: Tensor, weight: Tensor) -> Tensor:
    """The weighted values, with what their weights lack of 1 taken from half the resolution."""
    height, width = values.shape[-2:]
    if height == width == 1:
        return values / weight.clamp(min=1e-12)
    pad = (0, width % 2, 0, height % 2)
    summed, weights = (4 * nn.functional.avg_pool2d(nn.functional.pad(x, pad), 2) for x in (values, weight))
    half = weights.clamp(max=1)
    coarse = _pulled(summed / weights.clamp(min=1e-12) * half, half)
    # Of the padded size, so that a coarse pixel lies over its own four.
    size = (height + height % 2, width + width % 2)
    around = nn.functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    return values + (1 - weight) * around[..., :height, :width]
