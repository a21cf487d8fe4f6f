"""Structural similarity (Wang et al. 2004) and its multi-scale form (Wang et al. 2003), as distances."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from .base import Fidelity, gaussian_window

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2


def _similarity(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean SSIM and mean contrast-structure term of each image, ((B,), (B,)), for images in [0, 1]."""
    window = gaussian_window(WINDOW, SIGMA, x.shape[1], x)

    def local(values: Tensor) -> Tensor:
        return nn.functional.conv2d(values, window, groups=x.shape[1])

    mean_x, mean_y = local(x), local(y)
    var_x, var_y = local(x * x) - mean_x**2, local(y * y) - mean_y**2
    covariance = local(x * y) - mean_x * mean_y
    structure = (2 * covariance + C2) / (var_x + var_y + C2)
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return (luminance * structure).mean(dim=(1, 2, 3)), structure.mean(dim=(1, 2, 3))


class SSIM(Fidelity):
    """1 - SSIM: Gaussian window 11x11 with sigma 1.5, the mean over colour channels and valid positions."""

    name: ClassVar[str] = "ssim"
    min_size: ClassVar[int] = WINDOW

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        return 1 - _similarity(x, y)[0]


class MSSSIM(Fidelity):
    """1 - MS-SSIM with the published five weights; 2x2 means between the scales."""

    name: ClassVar[str] = "ms_ssim"
    weights: ClassVar[tuple[float, ...]] = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    min_size: ClassVar[int] = WINDOW * 2 ** (len(weights) - 1)

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        factors = []
        for scale, weight in enumerate(self.weights):
            similarity, structure = _similarity(x, y)
            last = scale == len(self.weights) - 1
            # Negative structure has no real power; far from the photograph the distance saturates instead.
            factors.append((similarity if last else structure).clamp(min=1e-6) ** weight)
            if not last:
                x, y = nn.functional.avg_pool2d(x, 2), nn.functional.avg_pool2d(y, 2)
        return 1 - torch.stack(factors).prod(dim=0)
