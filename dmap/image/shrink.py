"""Noise taken away in the discrete cosine transform (DCT) of 8x8 blocks at every shift.

Coifman and Donoho (1995), "Translation-invariant de-noising": thresholds first. Then each coefficient is weighted by
Wiener's rule, the result of the thresholds standing in for what is not known, as in BM3D's second step (Dabov et al.
2007). Each block counts by how little noise it lets through (Guleryuz 2007, "Weighted averaging for denoising with
overcomplete dictionaries").
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .noise import BLOCK, Noise, basis, from_opponent, to_opponent

FACTOR = 2.7
"""Threshold in deviations of the noise."""
COEFFICIENTS = 2**25
"""At a time: 64 of each pixel would not fit into memory for a large photograph, which is worked through in strips."""
BORDER = BLOCK - 1

Rule = Callable[[list[Tensor], Tensor], tuple[Tensor, Tensor]]
"""Of the coefficients (n, 64, i, j) of some planes and what belongs to their places (n, 1, i, j): the
coefficients that are kept, and the weights (n, 1, i, j) of the blocks."""


def shrink(plane: Tensor, threshold: Tensor, spectrum: Tensor | None = None) -> Tensor:
    """Planes (B, C, h, w) without what lies below the thresholds, sides at least 8.

    Args:
        plane: what is noisy.
        threshold: >= 0, (B, C, h, w) or (B, C, 1, 1), by the place of a block's corner. The mean of a block is always
            kept.
        spectrum: (64,), a further threshold by frequency; the squares are added.
    """
    further = 0.0 if spectrum is None else spectrum.square()[None, :, None, None]

    def rule(coefficients: list[Tensor], level: Tensor) -> tuple[Tensor, Tensor]:
        (noisy,) = coefficients
        limit = (level.square() + further).sqrt()
        kept = (noisy.abs() > limit).to(noisy.dtype)
        kept[:, 0] = 1
        return noisy * kept, 1 / kept.sum(dim=1, keepdim=True)

    return _at_every_shift([plane], threshold, rule)


def refine(plane: Tensor, pilot: Tensor, deviation: Tensor) -> Tensor:
    """Noisy planes (B, C, h, w), each coefficient weighted by P^2 / (P^2 + deviation^2).

    Args:
        plane: what is noisy.
        pilot: an estimate of it without noise, whose coefficients are P.
        deviation: of the noise, as ``threshold`` of ``shrink``.
    """

    def rule(coefficients: list[Tensor], level: Tensor) -> tuple[Tensor, Tensor]:
        noisy, power = coefficients[0], coefficients[1].square()
        weight = power / (power + level.square()).clamp(min=torch.finfo(power.dtype).tiny)
        weight = torch.where(level > 0, weight, torch.ones_like(weight))
        weight[:, 0] = 1
        return noisy * weight, 1 / weight.square().sum(dim=1, keepdim=True)

    return _at_every_shift([plane, pilot], deviation, rule)


def _at_every_shift(planes: list[Tensor], level: Tensor, rule: Rule) -> Tensor:
    """The weighted mean, at each pixel, of all blocks that hold it, after the rule."""
    (batch, channels, height, width), first = planes[0].shape, planes[0]
    padded = [nn.functional.pad(x.flatten(0, 1)[:, None], (BORDER,) * 4, mode="reflect") for x in planes]
    kernel = basis(BLOCK, first)
    ones, rows = torch.ones_like(kernel[:1]), []
    strip = max(BLOCK, COEFFICIENTS // (BLOCK**2 * batch * channels * width))
    for top in range(0, height, strip):
        bottom = min(height, top + strip)
        coefficients = [nn.functional.conv2d(x[..., top : bottom + 2 * BORDER, :], kernel) for x in padded]
        here = level
        if level.shape[-1] > 1:
            places = [
                (torch.arange(start, start + count, device=first.device) - BORDER).clamp(0, side - 1)
                for start, count, side in zip((top, 0), coefficients[0].shape[-2:], (height, width), strict=True)
            ]
            here = level[..., places[0], :][..., places[1]]
        kept, weight = rule(coefficients, here.expand(batch, channels, *here.shape[2:]).flatten(0, 1)[:, None])
        summed = nn.functional.conv_transpose2d(kept * weight, kernel)
        mean = summed / nn.functional.conv_transpose2d(weight, ones)
        rows.append(mean[..., BORDER : BORDER + bottom - top, BORDER : BORDER + width])
    return torch.cat(rows, dim=-2).reshape(first.shape)


def without_noise(photograph: Tensor, noise: Noise) -> Tensor:
    """A photograph (B, 3, h, w) in [0, 1] without the noise that was estimated of it; clean ones stay."""
    deviation = noise.deviation(nn.functional.avg_pool2d(photograph.mean(dim=1, keepdim=True), 9, 1, 4))
    channels = to_opponent(photograph)
    return from_opponent(refine(channels, shrink(channels, FACTOR * deviation), deviation))
