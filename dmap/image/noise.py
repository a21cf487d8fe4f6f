"""How noisy a photograph is, estimated from its pixels.

The noise is white, of a variance that is affine in the intensity: read-out noise is the constant, photon noise and film
grain the slope (Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling"). It is told from detail by blocks that
have little of it (Ponomarenko et al. 2007, "An automatic approach to lossy compression of AVIRIS images"): where the
low frequencies of the 8x8 discrete cosine transform (DCT) are weak, the high ones are noise.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

BLOCK = 8
"""Side of the transform in pixels."""
STRIDE, MOST = 3, 40_000
"""Pixels between the blocks that are looked at, an odd number, so that JPEG's grid is met at every phase; more of them
between those of a large photograph, of which about ``MOST`` are enough."""
BINS = 5
"""Of the intensity, with as many blocks each."""
FLATTEST = 0.12
"""The share of a bin's blocks that is believed."""
LOW, HIGH = 4, 9
"""Frequencies (row + column) up to ``LOW`` tell how much structure a block has; from ``HIGH`` on they are noise."""

OPPONENT = (
    (3**-0.5, 3**-0.5, 3**-0.5),
    (2**-0.5, 0.0, -(2**-0.5)),
    (6**-0.5, -2 * 6**-0.5, 6**-0.5),
)
"""Orthonormal luminance and two colour differences: white noise stays white, and grey grain is in the first alone."""


@functools.lru_cache(maxsize=8)
def _cosines(side: int) -> Tensor:
    """The orthonormal DCT-II matrix, (side, side) float64, frequencies by rows."""
    positions = torch.arange(side, dtype=torch.float64)
    matrix = torch.cos(math.pi / side * (positions[None] + 0.5) * positions[:, None]) * (2 / side) ** 0.5
    matrix[0] *= 0.5**0.5
    return matrix


def basis(side: int, like: Tensor) -> Tensor:
    """The two-dimensional DCT as a convolution's weight, (side^2, 1, side, side), row frequency first."""
    matrix = _cosines(side)
    return torch.einsum("uy,vx->uvyx", matrix, matrix).reshape(side * side, 1, side, side).to(like)


def to_opponent(image: Tensor) -> Tensor:
    """RGB (B, 3, h, w) to the ``OPPONENT`` channels."""
    return torch.einsum("oc,bchw->bohw", image.new_tensor(OPPONENT), image)


def from_opponent(channels: Tensor) -> Tensor:
    """The inverse of ``to_opponent``."""
    return torch.einsum("oc,bohw->bchw", channels.new_tensor(OPPONENT), channels)


@dataclass(frozen=True)
class Noise:
    """White noise of each image and ``OPPONENT`` channel, its variance ``constant + slope * intensity``.

    Attributes:
        constant, slope: (B, 3), >= 0, for intensities in [0, 1], the mean of red, green and blue.
    """

    constant: Tensor
    slope: Tensor

    def deviation(self, intensity: Tensor) -> Tensor:
        """Standard deviation (B, 3, h, w) at intensities (B, 1, h, w)."""
        constant, slope = (x[..., None, None].to(intensity) for x in (self.constant, self.slope))
        return (constant + slope * intensity.clamp(0, 1)).sqrt()

    @property
    def level(self) -> Tensor:
        """Root mean square deviation of the colours at half of the full intensity, (B,)."""
        return (self.constant + self.slope / 2).mean(dim=1).sqrt()


def estimate_noise(photograph: Tensor) -> Noise:
    """The noise of each photograph (B, 3, h, w) in [0, 1]; none where a side is below 32 px."""
    batch = len(photograph)
    if min(photograph.shape[-2:]) < 4 * BLOCK:
        return Noise(photograph.new_zeros(batch, 3), photograph.new_zeros(batch, 3))
    fitted = [fit_line(*_levels(one[None])) for one in photograph]
    return Noise(*(torch.stack(parts) for parts in zip(*fitted, strict=True)))


def _levels(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean intensities (n,) and noise variances (n, 3) of the ``BINS``."""
    channels = to_opponent(image)[0][:, None]
    stride = max(STRIDE, math.isqrt(image.shape[-2] * image.shape[-1] // MOST) | 1)
    # (3, 64, blocks)
    coefficients = nn.functional.conv2d(channels, basis(BLOCK, image), stride=stride).flatten(2)
    frequency = torch.arange(BLOCK)
    total = (frequency[:, None] + frequency[None]).flatten().to(image.device)
    structure = coefficients[:, (total > 0) & (total <= LOW)].square().mean(dim=1)
    fine = coefficients[:, total >= HIGH]
    # The constant of the luminance is the block's mean: of it times 8 (the transform) and sqrt(3) (the colours).
    intensity = coefficients[0, 0] / (BLOCK * 3**0.5)
    # Clipped pixels have lost their noise.
    usable = (intensity > 0.02) & (intensity < 0.98)
    if int(usable.sum()) < BINS * 8:
        usable = torch.ones_like(usable)
    structure, fine, intensity = structure[:, usable], fine[:, :, usable], intensity[usable]
    places, variances = [], []
    for part in intensity.argsort().chunk(BINS):
        count = max(4, int(FLATTEST * len(part)))
        flattest = [part[structure[channel, part].argsort()[:count]] for channel in range(3)]
        places.append(intensity[flattest[0]].mean())
        medians = [fine[channel, :, which].abs().median() / 0.6745 for channel, which in enumerate(flattest)]
        variances.append(torch.stack(medians).square())
    return torch.stack(places), torch.stack(variances)


def fit_line(intensity: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Constant and slope (C,) of the line through variances (n, C) at intensities (n,), neither below 0.

    Squares are weighted by 1 / variance^2, the spread of an estimated variance being in proportion to it.
    """
    weight = 1 / (variance + 1e-7).square()
    total = weight.sum(dim=0)
    x = (weight * intensity[:, None]).sum(dim=0) / total
    y = (weight * variance).sum(dim=0) / total
    apart = intensity[:, None] - x
    slope = (weight * apart * (variance - y)).sum(dim=0) / (weight * apart.square()).sum(dim=0).clamp(min=1e-12)
    through_zero = (weight * intensity[:, None] * variance).sum(dim=0) / (weight * intensity[:, None].square()).sum(
        dim=0
    ).clamp(min=1e-12)
    slope = slope.clamp(min=0)
    constant = y - slope * x
    slope = torch.where(constant < 0, through_zero, slope)
    return constant.clamp(min=0), slope
