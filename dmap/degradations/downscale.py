"""Loss of resolution."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from ..errors import number_between
from .base import Degradation

LARGEST = 64.0


class Downscale(Degradation):
    """Anti-aliased bicubic reduction, the usual model of super-resolution.

    Args:
        factor: by which both sides shrink, at least 1; they are rounded.
    """

    name: ClassVar[str] = "downscale"
    linear = True

    def __init__(self, factor: float = 2.0) -> None:
        self.factor = number_between("factor", factor, 1, LARGEST, "2 halves both sides")

    def size(self, height: int, width: int) -> tuple[int, int]:
        return max(1, round(height / self.factor)), max(1, round(width / self.factor))

    def __call__(self, image: Tensor) -> Tensor:
        size = self.size(*image.shape[-2:])
        return nn.functional.interpolate(image, size=size, mode="bicubic", antialias=True)
