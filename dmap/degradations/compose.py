"""Several degradations, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from ..errors import UserError
from .base import Degradation


class Composed(Degradation):
    """A_n(... A_1(x)): in the order in which they happened to the picture.

    Args:
        parts: at least one, the first to happen first; pixels that the last one loses are unknown in the photograph.

    Raises:
        UserError: without a part, or if pixels are lost before the last one, which would spread the hole.
    """

    name: ClassVar[str] = "composed"

    def __init__(self, parts: Sequence[Degradation]) -> None:
        if not parts:
            raise UserError("degradations: none given; at least one is needed")
        if not all(part.complete for part in parts[:-1]):
            raise UserError(
                "before: what follows lost pixels would spread them into the rest; connect Inpaint Mask last, after "
                "all other degradations, and only once (join two masks to one)"
            )
        self.parts = tuple(parts)
        self.linear = all(part.linear for part in self.parts)
        self.complete = self.parts[-1].complete

    def __call__(self, image: Tensor) -> Tensor:
        for part in self.parts:
            image = part(image)
        return image

    def observed(self, photograph: Tensor) -> Tensor:
        return self.parts[-1].observed(photograph)

    def size(self, height: int, width: int) -> tuple[int, int]:
        for part in self.parts:
            height, width = part.size(height, width)
        return height, width
