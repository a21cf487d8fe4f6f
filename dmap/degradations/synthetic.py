"""Degradations of photographs, of stated strength, on the CPU."""

from __future__ import annotations

import io

import torch
from PIL import Image
from torch import Tensor, nn

from ..image.files import to_tensor


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (B, 3, h, w), sigma in pixels, borders reflected."""
    radius = max(1, int(3 * sigma + 0.5))
    offsets = torch.arange(-radius, radius + 1, dtype=image.dtype)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    padded = nn.functional.pad(image, (radius,) * 4, mode="reflect")
    rows = nn.functional.conv2d(padded, kernel, groups=3)
    return nn.functional.conv2d(rows, kernel.transpose(2, 3), groups=3)


def gaussian_noise(image: Tensor, sigma: float, generator: torch.Generator, grey: bool = False) -> Tensor:
    """Additive noise of standard deviation ``sigma`` (of 1), the same in all channels if ``grey``; clamped."""
    shape = (image.shape[0], 1 if grey else 3, *image.shape[2:])
    return (image + sigma * torch.randn(shape, generator=generator)).clamp(0, 1)


def jpeg(image: Tensor, quality: int) -> Tensor:
    """JPEG with 4:2:0 chroma at a quality of 1..95."""
    results = []
    for one in image:
        picture = Image.fromarray(one.mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy())
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, subsampling=2)
        results.append(to_tensor(Image.open(buffer, formats=("JPEG",))).float() / 255)
    return torch.stack(results)


def resample(image: Tensor, factor: float) -> Tensor:
    """Down by ``factor`` with anti-aliasing and up again, bicubic."""
    size = [max(8, round(side / factor)) for side in image.shape[2:]]
    small = nn.functional.interpolate(image, size=size, mode="bicubic", antialias=True)
    return nn.functional.interpolate(small, size=image.shape[2:], mode="bicubic").clamp(0, 1)
