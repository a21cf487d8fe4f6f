"""Noise taken away by thresholds on the discrete cosine transform (DCT) at every shift of its blocks.

Coifman and Donoho (1995), "Translation-invariant de-noising"; the average over all shifts is what a sliding window of
8x8 gives. Each block counts by how few coefficients it keeps, so that the simple explanation wins (Guleryuz 2007,
"Weighted averaging for denoising with overcomplete dictionaries").
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .noise import BLOCK, Noise, basis, from_opponent, to_opponent

FACTOR = 2.7
"""Threshold in deviations of the noise."""
STRIP = 128
"""Rows at a time; 64 coefficients a pixel would not fit into memory for a large photograph."""


def shrink(plane: Tensor, threshold: Tensor) -> Tensor:
    """Planes (B, C, h, w) without what lies below the thresholds, sides at least 8.

    Args:
        plane: what is noisy.
        threshold: >= 0, (B, C, h, w) by the place of a block's corner, or (B, C, 64, h, w) by frequency as well, or of
            shapes that broadcast to it. The mean of a block is always kept.
    """
    if threshold.ndim == 4:
        threshold = threshold[:, :, None]
    batch, channels, height, width = plane.shape
    border = BLOCK - 1
    padded = nn.functional.pad(plane.flatten(0, 1)[:, None], (border,) * 4, mode="reflect")
    kernel = basis(BLOCK, plane)
    ones = torch.ones_like(kernel[:1])
    rows = []
    for top in range(0, height, STRIP):
        bottom = min(height, top + STRIP)
        part = padded[..., top : bottom + 2 * border, :]
        coefficients = nn.functional.conv2d(part, kernel)
        size = coefficients.shape[-2:]
        limit = threshold
        if threshold.shape[-1] > 1:
            index_y = (torch.arange(top, top + size[0], device=plane.device) - border).clamp(0, height - 1)
            index_x = (torch.arange(size[1], device=plane.device) - border).clamp(0, width - 1)
            limit = threshold[..., index_y, :][..., index_x]
        limit = limit.expand(batch, channels, *limit.shape[2:]).flatten(0, 1)
        kept = (coefficients.abs() > limit).to(plane.dtype)
        kept[:, 0] = 1
        weight = 1 / kept.sum(dim=1, keepdim=True)
        summed = nn.functional.conv_transpose2d(coefficients * kept * weight, kernel)
        counted = nn.functional.conv_transpose2d(weight, ones)
        rows.append((summed / counted)[..., border : border + bottom - top, border : border + width])
    return torch.cat(rows, dim=-2).reshape(plane.shape)


def without_noise(photograph: Tensor, noise: Noise) -> Tensor:
    """A photograph (B, 3, h, w) in [0, 1] without the noise that was estimated of it; clean ones stay."""
    deviation = noise.deviation(nn.functional.avg_pool2d(photograph.mean(dim=1, keepdim=True), 9, 1, 4))
    return from_opponent(shrink(to_opponent(photograph), FACTOR * deviation))
