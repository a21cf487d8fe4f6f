"""The shipped no-reference quality network: distance of a photograph to what it could have been."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .autoencoder import Block
from .quality import blur

FOLD = 4
"""Pixels are folded 4x4 into channels, so that the network works at a quarter of the resolution and loses nothing."""
EPSILON = 1e-6


def masked_distances(image: Tensor, reference: Tensor, scales: int) -> list[Tensor]:
    """Logarithms of the root mean square difference at several scales, each (B,), twice a scale.

    The second one of each scale is divided by the reference's own local contrast: a textured place hides more (contrast
    masking, as in NLPD).
    """
    difference, result = image - reference, []
    for scale in range(scales):
        contrast = blur((reference - blur(reference)).abs())
        for part in (difference, difference / (contrast + 0.02)):
            result.append((part.square().mean(dim=(1, 2, 3)) + EPSILON).log() / 2)
        if scale + 1 < scales:
            difference, reference = blur(difference, stride=2), blur(reference, stride=2)
    return result


class PseudoReferenceNet(nn.Module):
    """Quality of a photograph by its distance to a restoration of it, which the network makes itself.

    No-reference quality by a hallucinated reference (Lin and Wang 2018, "Hallucinated-IQA"; Min et al. 2018,
    "Blind quality assessment based on pseudo-reference image"). The form is chosen for its gradient, which an ascent
    follows: that of a distance to a restoration points to the restoration (Hurault, Leclaire and Papadakis 2022,
    arXiv:2110.03220, who denoise with nothing but such a gradient), while networks that only score climb by textures
    that look like nothing.

    Args:
        widths: channels of the U-Net's levels, from fine to coarse.
        blocks: residual blocks of each level, on the way down and on the way up.
        operations: where layers come from; the host passes its own namespace.
    """

    min_size: ClassVar[int] = 64
    scales: ClassVar[int] = 3

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
        self.hidden = operations.Linear(2 * self.scales + 2 * sum(widths), 64, **factory)
        self.score = operations.Linear(64, 1, **factory)

    def restore(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The pseudo-reference (B, 3, h, w), not clamped, and pooled features (B, 2 sum(widths))."""
        height, width = image.shape[-2:]
        padding = (0, -width % self.stride, 0, -height % self.stride)
        folded = nn.functional.pixel_unshuffle(nn.functional.pad(image - 0.5, padding, mode="replicate"), FOLD)
        hidden, skips, pooled = self.stem(folded), [], []
        for level, block in enumerate(self.down):
            hidden = block(hidden)
            pooled += [hidden.mean(dim=(2, 3)), (hidden.var(dim=(2, 3), correction=0) + 1e-4).sqrt()]
            if level < len(self.shrink):
                skips.append(hidden)
                hidden = self.shrink[level](hidden)
        for level in reversed(range(len(self.up))):
            raised = nn.functional.pixel_shuffle(self.grow[level](hidden), 2)
            hidden = self.up[level](skips[level] + raised)
        change = nn.functional.pixel_shuffle(self.head(nn.functional.silu(hidden)), FOLD)
        return image + change[..., :height, :width], torch.cat(pooled, dim=1)

    def both(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Quality (B,) and pseudo-reference (B, 3, h, w) of an image."""
        reference, pooled = self.restore(image)
        distances = torch.stack(masked_distances(image, reference, self.scales), dim=1)
        hidden = nn.functional.silu(self.hidden(torch.cat([distances + 3, pooled], dim=1)))
        return 100 * torch.sigmoid(self.score(hidden)[:, 0]), reference

    def forward(self, image: Tensor) -> Tensor:
        """Quality (B,) in 0..100, higher better, of (B, 3, h, w) in [0, 1], sides at least 64."""
        return self.both(image)[0]
