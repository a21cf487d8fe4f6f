"""What every fidelity offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import UserError


class Fidelity(ABC):
    """Distance D(x, y) of an image to the photograph: 0 for equal images, larger for less alike, one an image.

    Works in any floating dtype, on any device, without state; images of a batch do not see one another.
    """

    name: ClassVar[str]
    min_size: ClassVar[int] = 1
    """Smallest side in pixels."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance (B,) of x to y.

        Args:
            x: (B, 3, h, w), nominally in [0, 1]; carries the gradient.
            y: the photograph, same shape, in [0, 1].

        Raises:
            UserError: if the shapes differ or a side is below ``min_size``.
        """
        if x.shape != y.shape:
            raise UserError(
                f"fidelity {self.name}: the image has shape {tuple(x.shape)}, the photograph {tuple(y.shape)}; "
                "they must be of one size"
            )
        if min(x.shape[-2:]) < self.min_size:
            raise UserError(
                f"fidelity {self.name}: the image is {x.shape[-1]}x{x.shape[-2]} px, but it needs sides of at least "
                f"{self.min_size} px; use a larger image or another fidelity"
            )
        return self.distance(x, y)

    @abstractmethod
    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """The distance itself, for checked inputs."""


def gaussian_window(side: int, sigma: float, channels: int, like: Tensor) -> Tensor:
    """Normalised Gaussian window for grouped convolutions, (channels, 1, side, side)."""
    offsets = torch.arange(side, dtype=like.dtype, device=like.device) - (side - 1) / 2
    row = torch.exp(-(offsets**2) / (2 * sigma**2))
    row = row / row.sum()
    return torch.outer(row, row).expand(channels, 1, side, side)
