"""How a picture lies on the latent grid, and in which tiles it is worked on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..errors import UserError

MIN_TILE = 64


@dataclass(frozen=True)
class Layout:
    """Of a path's picture, in pixels.

    Attributes:
        height, width: of the picture; what lies beyond, to the right and below, only fills up the latent grid.
            0: nothing was filled up.
        tile: side of the square tiles in which networks see it; 0: they see it whole.
        overlap: of neighbouring tiles, over which they are blended.

    Raises:
        UserError: for tiles that are too small, or an overlap of more than half a tile.
    """

    height: int = 0
    width: int = 0
    tile: int = 0
    overlap: int = 0

    def __post_init__(self) -> None:
        if self.tile and self.tile < MIN_TILE:
            raise UserError(f"tile: got {self.tile}, it must be at least {MIN_TILE} px; 512 is a good first value")
        if not 0 <= self.overlap <= self.tile // 2:
            raise UserError(
                f"overlap: got {self.overlap}, it must be from 0 to half the tile ({self.tile // 2} px); "
                "an eighth of the tile is a good first value"
            )

    def crop(self, image: Tensor) -> Tensor:
        """The picture's own part of a decoded (..., h, w)."""
        if not self.height:
            return image
        return image[..., : self.height, : self.width]
