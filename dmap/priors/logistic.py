"""Monotone maps of raw quality scores to the common scale 0..100, higher better."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UserError


@dataclass(frozen=True)
class LogisticMap:
    """100 / (1 + exp(-slope (score - midpoint))): monotone, smooth and invertible.

    One prior weight then means the same for every quality model, which mixing and comparing them needs.

    Attributes:
        midpoint: raw score that maps to 50.
        slope: per unit of the raw score; negative for models on which lower is better.
    """

    midpoint: float
    slope: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.midpoint) and math.isfinite(self.slope) and self.slope != 0):
            raise UserError(f"logistic map: midpoint and slope must be finite, slope not 0; got {self}")

    @classmethod
    def from_range(cls, low: float, high: float, higher_better: bool) -> LogisticMap:
        """Map the ends of a model's usual range to about 2 and 98."""
        if not high > low:
            raise UserError(f"logistic map: the range's ends must differ, got {low} and {high}")
        slope = 2 * math.log(49.0) / (high - low)
        return cls((low + high) / 2, slope if higher_better else -slope)

    def __call__(self, score: Tensor) -> Tensor:
        """Raw (B,) -> mapped (B,)."""
        return 100 * torch.sigmoid(self.slope * (score - self.midpoint))

    def inverse(self, mapped: Tensor) -> Tensor:
        """Mapped (B,) in (0, 100) -> raw (B,)."""
        return torch.logit(mapped / 100) / self.slope + self.midpoint


@dataclass(frozen=True)
class IdentityMap:
    """For models whose scores are on the common scale already."""

    def __call__(self, score: Tensor) -> Tensor:
        """The score itself."""
        return score

    def inverse(self, mapped: Tensor) -> Tensor:
        """The score itself."""
        return mapped


ScoreMap = LogisticMap | IdentityMap
