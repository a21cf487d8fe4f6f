"""The power spectrum of natural images as a prior."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from .base import PriorInfo
from .pristine import PristinePrior, luminance

INFO = PriorInfo(
    name="dmap_spectrum",
    higher_better=False,
    scale=(0.0, 10.0),
    min_size=64,
    licence="MIT (code), CC0-1.0 (statistics)",
    commercial_use=True,
    source="fitted for this pack: python -m tools.training.statistics; after Field (1987)",
    vouched=True,
)
EDGES = (0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
"""Of the bands, in cycles a pixel; both axes are looked at up to the sampling limit."""


class NaturalSpectrum(PristinePrior):
    """How the power of good photographs falls with frequency (Field, J. Opt. Soc. Am. A 1987), band by band.

    Blur takes the high bands away, noise lifts them, blocks and gratings lift some. What a band holds is compared with
    the lowest one, so contrast does not count.
    """

    def __init__(self) -> None:
        super().__init__(INFO)

    @staticmethod
    def features(image: Tensor) -> Tensor:
        grey = luminance(image)
        grey = grey - grey.mean(dim=(2, 3), keepdim=True)
        height, width = grey.shape[-2:]
        rows, columns = (torch.hann_window(side, device=grey.device, dtype=grey.dtype) for side in (height, width))
        power = torch.fft.rfft2(grey * torch.outer(rows, columns), norm="ortho").abs().square()
        down = torch.fft.fftfreq(height, device=grey.device).abs()[:, None]
        across = torch.fft.rfftfreq(width, device=grey.device)[None, :]
        radius = (down**2 + across**2).sqrt()
        bands = []
        for low, high in itertools.pairwise(EDGES):
            inside = ((radius >= low) & (radius < high)).to(power)
            bands.append((power * inside).sum(dim=(1, 2, 3)) / inside.sum() + 1e-8)
        logs = torch.stack(bands, dim=1).log()
        return logs[:, 1:] - logs[:, :1]
