"""Natural scene statistics of locally normalised luminance as a prior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import PriorInfo
from .pristine import PristinePrior, luminance

INFO = PriorInfo(
    name="dmap_nss",
    higher_better=False,
    scale=(0.0, 10.0),
    min_size=64,
    licence="MIT (code), CC0-1.0 (statistics)",
    commercial_use=True,
    source="fitted for this pack: python -m tools.training.statistics; after NIQE (Mittal et al. 2013)",
    vouched=True,
)
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Neighbours whose products are looked at, in rows and columns."""
SCALES = 2


class NaturalStatistics(PristinePrior):
    """Shape of the distributions of locally normalised luminance and of neighbours' products (Ruderman 1994).

    Where NIQE looks the parameters of generalised Gaussians up in a table, the moments that they are matched to are
    taken themselves: same information, smooth everywhere.
    """

    def __init__(self) -> None:
        super().__init__(INFO)

    @staticmethod
    def features(image: Tensor) -> Tensor:
        values, grey = [], luminance(image) * 255
        for scale in range(SCALES):
            if scale:
                grey = nn.functional.avg_pool2d(grey, 2)
            values += _moments(_normalised(grey))
        return torch.stack(values, dim=1)


def _normalised(grey: Tensor) -> Tensor:
    """(x - local mean) / (local deviation + 1) with a 7x7 Gaussian window, borders repeated."""
    offsets = torch.arange(-3, 4, device=grey.device, dtype=grey.dtype)
    row = torch.exp(-(offsets**2) / (2 * (7 / 6) ** 2))
    window = torch.outer(row, row)[None, None] / row.sum() ** 2

    def local_mean(x: Tensor) -> Tensor:
        return nn.functional.conv2d(nn.functional.pad(x, (3, 3, 3, 3), mode="replicate"), window)

    mean = local_mean(grey)
    # Above zero by half a grey level of rounding, where the root would have no slope.
    variance = (local_mean(grey**2) - mean**2).clamp(min=0) + 0.1
    return (grey - mean) / (variance.sqrt() + 1)


def _moments(x: Tensor) -> list[Tensor]:
    """Each (B,): of the values, spread and peakedness; of each product of neighbours, mean, both sides, peakedness."""
    dims = (1, 2, 3)
    spread = x.square().mean(dim=dims) + 1e-4
    found = [spread.log(), (x.square() + 1e-4).sqrt().mean(dim=dims).square().div(spread).log()]
    for down, right in SHIFTS:
        product = x * torch.roll(x, (down, right), dims=(2, 3))
        power = product.square().mean(dim=dims) + 1e-6
        size = (product.square() + 1e-6).sqrt()
        positive, negative = ((size + sign * product).square().mean(dim=dims) + 1e-6 for sign in (1, -1))
        found += [product.mean(dim=dims) / spread, positive.log() - negative.log()]
        found += [size.mean(dim=dims).square().div(power).log()]
    return found
