"""Where the picture may change, and how much the prior counts there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..priors import Prior


@dataclass(frozen=True)
class Region:
    """A term of the prior.

    Attributes:
        prior: the quality model of this region.
        weight: factor on the prior's weight, at least 0.
        mask: (1 or B, 1, h, w) in [0, 1], where the prior sees the change; None = everywhere.
    """

    prior: Prior
    weight: float = 1.0
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise UserError(f"region: got weight {self.weight}, it must not be negative")


def divide(prior: Prior, mask: Tensor | None, regions: Sequence[Region]) -> list[Region]:
    """The terms of a picture with regions of their own weight or prior.

    Args:
        prior: of all that no region covers, with weight 1.
        mask: (1 or B, 1, h, w) in [0, 1] outside of which nothing may change, or None.
        regions: each with a mask; where they overlap, both count.

    Raises:
        UserError: for a region without a mask.
    """
    terms, rest = [], mask
    for region in regions:
        if region.mask is None:
            raise UserError("region: it has no mask; connect one that says where it is")
        inside = region.mask if mask is None else region.mask * mask
        rest = 1 - region.mask if rest is None else rest * (1 - region.mask)
        if region.weight > 0:
            terms.append(Region(region.prior, region.weight, inside))
    if rest is None or float(rest.max()) > 0:
        terms.insert(0, Region(prior, 1.0, rest))
    return terms


def feathered(mask: Tensor, width: int) -> Tensor:
    """A mask whose edge rises over ``width`` pixels on its inner side: what was 0 stays 0, thin lines keep their core.

    Args:
        mask: (B, 1, h, w) in [0, 1].
        width: in pixels; 0 returns the mask as it is.
    """
    if width <= 0:
        return mask
    total, eroded = torch.zeros_like(mask), mask
    for _ in range(width):
        total = total + eroded / width
        eroded = -_widened(-eroded, 1)
    core, around = _widened(total, width), _widened(mask, width)
    return torch.minimum(total / core.clamp(min=1e-6) * around, mask)


def _widened(x: Tensor, reach: int) -> Tensor:
    """Largest value of (B, 1, h, w) within a square of ``reach`` pixels around.

    Along the axes in turn and by windows that double, for pooling takes hours for a wide feather on a large photograph.
    """
    window = 2 * reach + 1
    for dim, padding in ((-1, (reach, reach, 0, 0)), (-2, (0, 0, reach, reach))):
        x, have = nn.functional.pad(x, padding, value=-torch.inf), 1
        while have < window:
            step = min(have, window - have)
            rest = x.shape[dim] - step
            x, have = torch.maximum(x.narrow(dim, 0, rest), x.narrow(dim, step, rest)), have + step
    return x


def on_latent(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """1 where a latent position (h, w) reaches the mask's support, with a margin of one position; else 0."""
    reached = nn.functional.adaptive_max_pool2d((mask > 0).float(), size)
    return _widened(reached, 1)


def blend(mask: Tensor | None, inside: Tensor, outside: Tensor) -> Tensor:
    """``inside`` where the mask is 1, exactly ``outside`` where it is 0; ``inside`` everywhere without a mask."""
    if mask is None:
        return inside
    return torch.where(mask > 0, torch.lerp(outside, inside, mask.expand_as(inside)), outside)
