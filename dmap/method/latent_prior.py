"""A prior on the latent itself, against reward hacking."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import UserError

LAGS = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0))
"""Neighbours, in latent positions, whose correlation is held."""


def autocorrelation(z: Tensor) -> Tensor:
    """Correlation of latents (S, B, C, H, W) with themselves at ``LAGS``: (lags, B); 0 for white noise."""
    power = z.square().mean(dim=(0, 2, 3, 4)).clamp(min=1e-12)
    rows = []
    for down, right in LAGS:
        height, width = z.shape[-2] - down, z.shape[-1] - right
        product = z[..., :height, :width] * z[..., down:, right:]
        rows.append(product.mean(dim=(0, 2, 3, 4)) / power)
    return torch.stack(rows)


class LatentPrior:
    """Points that the latent loses for leaving the norm and the whiteness that inversion gave it.

    A quality network is pleased by latents that no photograph has: they grow (as in ReNO, arXiv:2406.04312, which
    holds the norm) or become patterned (as in Tang et al., arXiv:2405.18881, which hold the covariance). Both are
    measured relative to the start, for at partial strength even the start is not white. A norm or correlation that is
    off by ``TOLERANCE`` costs its weight in points of the objective.

    Args:
        start: z where the ascent begins, (S, B, C, H, W).
        norm_weight: >= 0.
        whiteness_weight: >= 0.

    Raises:
        UserError: for a negative weight.
    """

    TOLERANCE = 0.1

    def __init__(self, start: Tensor, norm_weight: float, whiteness_weight: float) -> None:
        for name, value in (("latent_norm_weight", norm_weight), ("whiteness_weight", whiteness_weight)):
            if not value >= 0:
                raise UserError(f"{name}: got {value}, it must not be negative")
        self.norm_weight, self.whiteness_weight = norm_weight, whiteness_weight
        self._norm, self._correlation = self._measure(start.detach())

    @staticmethod
    def _measure(z: Tensor) -> tuple[Tensor, Tensor]:
        return z.square().mean(dim=(0, 2, 3, 4)).clamp(min=1e-12).sqrt(), autocorrelation(z)

    def __call__(self, z: Tensor) -> Tensor:
        """The points (B,) to take from the objective at z."""
        norm, correlation = self._measure(z)
        growth = ((norm / self._norm - 1) / self.TOLERANCE).square()
        pattern = ((correlation - self._correlation) / self.TOLERANCE).square().mean(dim=0)
        return self.norm_weight * growth + self.whiteness_weight * pattern
