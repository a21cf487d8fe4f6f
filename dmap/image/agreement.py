"""Whether two pictures show the same: a photograph and what an autoencoder gives back of it.

An autoencoder loses fine detail and noise, but keeps the means of small areas. Another model's autoencoder, or another
picture, does not; ``detail`` would hide that, since it adds what is lost of the photograph.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

AREA = 8
"""Pixels a side of the areas whose mean colours are compared."""
BOUND = 0.04
"""Root mean square of the differences up to which two pictures count as the same.

Measured with the shipped autoencoder on 24 photographs (`python -m tools.benchmarks.agreement`): 0.004 at most for
photographs, 0.013 with noise up to 0.3; 0.06 at the least for latents that are off by a factor of 1.5, 0.11 for
those with exchanged channels, 0.20 for another photograph."""


def disagreement(one: Tensor, other: Tensor, known: Tensor | None = None) -> Tensor:
    """Root mean square difference of the areas' mean colours, (B,).

    Args:
        one, other: (B, 3, h, w) of one size; values out of [0, 1] count as they are shown.
        known: (1 or B, 1, h, w), 0 where nothing is to be compared.
    """
    side = min(AREA, *one.shape[-2:])
    difference = one.clamp(0, 1) - other.clamp(0, 1)
    weight = torch.ones_like(difference[:, :1]) if known is None else known.to(difference).expand(len(one), -1, -1, -1)
    share = nn.functional.avg_pool2d(weight, side)
    mean = nn.functional.avg_pool2d(difference * weight, side) / share.clamp(min=1e-6)
    total = share.sum(dim=(1, 2, 3)).clamp(min=1e-6) * difference.shape[1]
    return ((mean.square() * share).sum(dim=(1, 2, 3)) / total).sqrt()


def complaint(what: str, remedy: str, off: Tensor) -> str | None:
    """A sentence if one of a batch is off by more than ``BOUND``; None if all agree."""
    worst = float(off.max())
    if worst <= BOUND:
        return None
    return (
        f"warning: {what}: mean colours of areas of {AREA} px differ by {worst:.2f} (root mean square, of 1), up to "
        f"{BOUND} is usual; {remedy}"
    )
