"""What every known degradation offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor


class Degradation(ABC):
    """A(x): what the camera, the file or time did to the picture, as far as it is known.

    The fidelity then compares A(G(z)) with the photograph, and the ascent undoes A instead of keeping it. A is
    differentiable and works in any floating dtype, on any device and size; images of a batch do not see one another.
    The backward pass of a linear one is its adjoint.
    """

    name: ClassVar[str]
    linear: bool
    complete: bool = True
    """Whether every pixel of the photograph says something."""

    @abstractmethod
    def __call__(self, image: Tensor) -> Tensor:
        """A(x): (B, 3, h, w), nominally in [0, 1], to (B, 3, h', w')."""

    def observed(self, photograph: Tensor) -> Tensor:
        """What of the photograph (B, 3, h', w') A(x) is compared with: all of it, unless parts are unknown."""
        return photograph

    @abstractmethod
    def size(self, height: int, width: int) -> tuple[int, int]:
        """(h', w') of A(x) for an x of that height and width."""


class SameSize(Degradation):
    """A degradation that keeps the picture's size."""

    def size(self, height: int, width: int) -> tuple[int, int]:
        return height, width
