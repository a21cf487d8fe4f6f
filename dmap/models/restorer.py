"""The shipped restorer: a small U-Net that makes of a photograph what it could have been."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .autoencoder import Block

FOLD = 4
"""Pixels are folded 4x4 into channels, so that the network works at a quarter of the resolution and loses nothing."""


class Restorer(nn.Module):
    """Blind restoration of photographs; not shown to users but measured against by the prior ``dmap_restoration``.

    Args:
        widths: channels of the U-Net's levels, from fine to coarse.
        blocks: residual blocks of each level, on the way down and on the way up.
        operations: where layers come from; the host passes its own namespace.
    """

    min_size: ClassVar[int] = 64

    def __init__(
        self,
        widths: tuple[int, ...] = (96, 160),
        blocks: int = 2,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        operations: Any = nn,
    ) -> None:
        super().__init__()
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        folded = 3 * FOLD**2
        self.stride = FOLD * 2 ** (len(widths) - 1)
        self.stem = operations.Conv2d(folded, widths[0], 3, padding=1, **factory)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            self.down.append(nn.Sequential(*(Block(width, operations, **factory) for _ in range(blocks))))
            if level + 1 < len(widths):
                self.shrink.append(operations.Conv2d(width, widths[level + 1], 2, stride=2, **factory))
                self.grow.append(operations.Conv2d(widths[level + 1], 4 * width, 1, **factory))
                self.up.append(nn.Sequential(*(Block(width, operations, **factory) for _ in range(blocks))))
        self.head = operations.Conv2d(widths[0], folded, 3, padding=1, **factory)

    def forward(self, image: Tensor) -> Tensor:
        """The restored (B, 3, h, w), not clamped, of (B, 3, h, w) in [0, 1], any size."""
        height, width = image.shape[-2:]
        padding = (0, -width % self.stride, 0, -height % self.stride)
        folded = nn.functional.pixel_unshuffle(nn.functional.pad(image - 0.5, padding, mode="replicate"), FOLD)
        hidden, skips = self.stem(folded), []
        for level, blocks in enumerate(self.down):
            hidden = blocks(hidden)
            if level < len(self.shrink):
                skips.append(hidden)
                hidden = self.shrink[level](hidden)
        for level in reversed(range(len(self.up))):
            raised = nn.functional.pixel_shuffle(self.grow[level](hidden), 2)
            hidden = self.up[level](skips[level] + raised)
        change = nn.functional.pixel_shuffle(self.head(nn.functional.silu(hidden)), FOLD)
        result: Tensor = image + change[..., :height, :width]
        return result
