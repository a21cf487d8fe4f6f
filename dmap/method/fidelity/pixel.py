"""Distances pixel by pixel."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from .base import Fidelity


class MSE(Fidelity):
    """Mean squared difference over pixels and channels."""

    name: ClassVar[str] = "mse"

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        return (x - y).square().mean(dim=(1, 2, 3))


class L1(Fidelity):
    """Mean absolute difference, rounded off below ``softness`` so that the gradient at equality is 0."""

    name: ClassVar[str] = "l1"
    softness: ClassVar[float] = 1e-3

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        smooth = ((x - y).square() + self.softness**2).sqrt() - self.softness
        return smooth.mean(dim=(1, 2, 3))
