"""Blur by a known kernel; border pixels are repeated outwards."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import number_between
from .base import SameSize

TAPS_PER_PIXEL = 8
"""Points a pixel that a motion path is sampled at."""
WIDEST, LONGEST = 100.0, 1000.0
"""Pixels: beyond them nothing of a photograph is left, and a kernel has memory's size, not a picture's."""


def gaussian_kernel(sigma: float) -> Tensor:
    """Normalised Gaussian of standard deviation ``sigma`` pixels: (k, k) float64, k odd, cut at 4 sigma."""
    radius = max(1, math.ceil(4 * sigma))
    row = torch.exp(-(torch.arange(-radius, radius + 1, dtype=torch.float64) ** 2) / (2 * sigma**2))
    kernel = torch.outer(row, row)
    return kernel / kernel.sum()


def motion_kernel(length: float, angle: float) -> Tensor:
    """Straight motion of ``length`` pixels at ``angle`` degrees (0 = to the right, 90 = up): (k, k) float64, k odd."""
    radius = max(1, math.ceil(length / 2))
    side = 2 * radius + 1
    along = torch.linspace(-0.5, 0.5, max(2, round(TAPS_PER_PIXEL * length)), dtype=torch.float64) * length
    x = radius + along * math.cos(math.radians(angle))
    y = radius - along * math.sin(math.radians(angle))
    kernel = torch.zeros(side, side, dtype=torch.float64)
    left, top = x.floor().long().clamp(0, side - 2), y.floor().long().clamp(0, side - 2)
    for dy in (0, 1):
        for dx in (0, 1):
            share = (1 - (x - left - dx).abs()) * (1 - (y - top - dy).abs())
            kernel.index_put_((top + dy, left + dx), share, accumulate=True)
    return kernel / kernel.sum()


class _KernelBlur(SameSize):
    linear = True

    def __init__(self, kernel: Tensor) -> None:
        self.kernel = kernel

    def __call__(self, image: Tensor) -> Tensor:
        radius = self.kernel.shape[-1] // 2
        # conv2d correlates; flipped, the kernel acts as the point spread function that it is.
        weight = self.kernel.flip(0, 1).to(image).expand(image.shape[1], 1, -1, -1)
        padded = nn.functional.pad(image, (radius,) * 4, mode="replicate")
        return nn.functional.conv2d(padded, weight, groups=image.shape[1])


class GaussianBlur(_KernelBlur):
    """Defocus as a Gaussian.

    Args:
        sigma: standard deviation in pixels, greater than 0, at most ``WIDEST``.
    """

    name: ClassVar[str] = "gaussian_blur"

    def __init__(self, sigma: float = 1.5) -> None:
        sigma = number_between("sigma", sigma, 0, WIDEST, "1 is a slight blur, 3 a strong one", above=True)
        super().__init__(gaussian_kernel(sigma))


class MotionBlur(_KernelBlur):
    """Straight, even motion of the camera.

    Args:
        length: of the trace in pixels, greater than 0, at most ``LONGEST``.
        angle: its direction in degrees, 0 = horizontal, 90 = vertical.
    """

    name: ClassVar[str] = "motion_blur"

    def __init__(self, length: float = 9.0, angle: float = 0.0) -> None:
        length = number_between("length", length, 0, LONGEST, "5 to 20 pixels are usual", above=True)
        angle = number_between("angle", angle, -360, 360, "0 is horizontal, 90 vertical")
        super().__init__(motion_kernel(length, angle))
