"""Normalised Laplacian pyramid distance (Laparra, Balle, Berardino and Simoncelli 2016, "Perceptual image quality
assessment using a normalized Laplacian pyramid"), as arXiv:2403.06406 uses it: on RGB, low-pass band included."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from .base import Fidelity

BINOMIAL = (0.05, 0.25, 0.4, 0.25, 0.05)
# Divisive normalisation, fitted by Laparra et al. to natural images: for each level the additive constant and the
# weights of the neighbours (above, left, right, below) that predict a coefficient's magnitude. The last one is for
# the low-pass band.
BANDS = (
    (0.0248, (0.1015, 0.1460, 0.1493, 0.1011)),
    (0.0185, (0.0837, 0.1846, 0.1986, 0.0757)),
    (0.0179, (0.0467, 0.2243, 0.2138, 0.0477)),
    (0.0191, (0.0, 0.2616, 0.2503, 0.0)),
)
LOW = (0.2782, (0.0, 0.0717, 0.2215, 0.0))
EPSILON = 1e-12
"""Under the square roots: their gradient at equal images is then 0, not undefined."""


def _symmetric(x: Tensor, width: int) -> Tensor:
    """Mirror the border pixels outwards, the outermost one included."""
    x = torch.cat([x[..., :width].flip(-1), x, x[..., -width:].flip(-1)], dim=-1)
    return torch.cat([x[..., :width, :].flip(-2), x, x[..., -width:, :].flip(-2)], dim=-2)


def _convolve(x: Tensor, kernel: Tensor, stride: int = 1) -> Tensor:
    weight = kernel.expand(x.shape[1], 1, *kernel.shape)
    return nn.functional.conv2d(x, weight, stride=stride, groups=x.shape[1])


def _raise(low: Tensor, size: torch.Size, kernel: Tensor) -> Tensor:
    """Interpolate a level to the size of the finer one."""
    low = nn.functional.pad(low, (1, 1, 1, 1), mode="replicate")
    raised = low.new_zeros((*low.shape[:2], 2 * low.shape[2], 2 * low.shape[3]))
    raised[..., ::2, ::2] = low
    smooth = _convolve(nn.functional.pad(raised, (2, 2, 2, 2)), 4 * kernel)
    return smooth[..., 2 : 2 + size[0], 2 : 2 + size[1]]


def _normalise(band: Tensor, constant: float, neighbours: tuple[float, ...]) -> Tensor:
    above, left, right, below = neighbours
    kernel = band.new_tensor([[0.0, above, 0.0], [left, 0.0, right], [0.0, below, 0.0]])
    magnitude = nn.functional.pad((band.square() + EPSILON).sqrt(), (1, 1, 1, 1))
    return band / (constant + _convolve(magnitude, kernel))


class NLPD(Fidelity):
    """Mean over the levels of the root mean square difference of the normalised bands."""

    name: ClassVar[str] = "nlpd"
    levels: ClassVar[int] = 5
    min_size: ClassVar[int] = 2 ** (levels - 1) + 1

    def bands(self, image: Tensor) -> list[Tensor]:
        """The normalised pyramid of (B, C, h, w), from fine to the low-pass band."""
        row = image.new_tensor(BINOMIAL)
        kernel = torch.outer(row, row)
        result, current = [], image
        for level in range(self.levels - 1):
            low = _convolve(_symmetric(current, 2), kernel, stride=2)
            result.append(_normalise(current - _raise(low, current.shape[-2:], kernel), *BANDS[level]))
            current = low
        result.append(_normalise(current, *LOW))
        return result

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        pairs = zip(self.bands(x), self.bands(y), strict=True)
        squares = torch.stack([(a - b).square().mean(dim=(1, 2, 3)) for a, b in pairs])
        return ((squares + EPSILON).sqrt() - EPSILON**0.5).mean(dim=0)
