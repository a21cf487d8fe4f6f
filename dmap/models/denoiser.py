"""The shipped latent denoiser: a small U-Net, of v-prediction (Salimans and Ho 2022, arXiv:2202.00512) or of a flow."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

FOLD = 2
"""The latent is folded 2x2 into channels, so that the U-Net works at an eighth of the image's resolution."""

FLOW_TIME = 1000.0
"""A network of a flow sees its time s in [0, 1] times this, the range of the other timesteps."""


def timestep_embedding(timesteps: Tensor, width: int) -> Tensor:
    """Sinusoidal embedding of (B,) timesteps, (B, width) float32 (Vaswani et al. 2017, periods 1 to 10000)."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(half, device=timesteps.device) / half)
    angles = timesteps.float()[:, None] * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class _Block(nn.Module):
    """Residual block whose second normalisation is scaled and shifted by the timestep."""

    def __init__(self, inputs: int, width: int, embedding: int, operations: Any, **factory: Any) -> None:
        super().__init__()
        self.norm1 = operations.GroupNorm(16, inputs, **factory)
        self.conv1 = operations.Conv2d(inputs, width, 3, padding=1, **factory)
        self.time = operations.Linear(embedding, 2 * width, **factory)
        self.norm2 = operations.GroupNorm(16, width, **factory)
        self.conv2 = operations.Conv2d(width, width, 3, padding=1, **factory)
        self.skip = operations.Conv2d(inputs, width, 1, **factory) if inputs != width else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        hidden = self.conv1(nn.functional.silu(self.norm1(x)))
        scale, shift = self.time(nn.functional.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        hidden = self.norm2(hidden) * (1 + scale) + shift
        result: Tensor = self.skip(x) + self.conv2(nn.functional.silu(hidden))
        return result


class _Attention(nn.Module):
    """Self-attention over all positions."""

    def __init__(self, width: int, heads: int, operations: Any, **factory: Any) -> None:
        super().__init__()
        self.heads = heads
        self.norm = operations.GroupNorm(16, width, **factory)
        self.qkv = operations.Conv2d(width, 3 * width, 1, **factory)
        self.out = operations.Conv2d(width, width, 1, **factory)

    def forward(self, x: Tensor) -> Tensor:
        batch, width, height, length = x.shape
        qkv = self.qkv(self.norm(x)).reshape(batch, 3, self.heads, width // self.heads, height * length)
        query, key, value = qkv.transpose(-1, -2).unbind(1)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        result: Tensor = x + self.out(mixed.transpose(-1, -2).reshape(batch, width, height, length))
        return result


class LatentDenoiser(nn.Module):
    """U-Net on noisy latents.

    Args:
        channels: of the latent.
        widths: of the levels, from fine to coarse; multiples of 16 and of ``heads``.
        heads: attention heads at the coarsest level.
        operations: where layers come from; the host passes its own namespace.
        prediction: what it was trained to predict: "v" on variance-preserving latents, or "flow".
    """

    def __init__(
        self,
        channels: int = 8,
        widths: tuple[int, ...] = (128, 192, 256),
        heads: int = 4,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        operations: Any = nn,
        prediction: str = "v",
    ) -> None:
        super().__init__()
        self.prediction = prediction
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.dtype = dtype or torch.float32
        folded, embedding = channels * FOLD**2, 2 * widths[0]
        self.stride = FOLD * 2 ** (len(widths) - 1)
        self.base = widths[0]
        self.time1 = operations.Linear(self.base, embedding, **factory)
        self.time2 = operations.Linear(embedding, embedding, **factory)
        self.stem = operations.Conv2d(folded, widths[0], 3, padding=1, **factory)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        previous = widths[0]
        for level, width in enumerate(widths):
            self.down.append(_Block(previous, width, embedding, operations, **factory))
            if level + 1 < len(widths):
                self.shrink.append(operations.Conv2d(width, width, 3, stride=2, padding=1, **factory))
            previous = width
        self.middle1 = _Block(previous, previous, embedding, operations, **factory)
        self.attention = _Attention(previous, heads, operations, **factory)
        self.middle2 = _Block(previous, previous, embedding, operations, **factory)
        for level, width in reversed(list(enumerate(widths))):
            self.up.append(_Block(previous + width, width, embedding, operations, **factory))
            self.up.append(_Block(2 * width if level == 0 else width, width, embedding, operations, **factory))
            if level > 0:
                self.grow.append(operations.Conv2d(width, width, 3, padding=1, **factory))
            previous = width
        self.norm = operations.GroupNorm(16, widths[0], **factory)
        self.head = operations.Conv2d(widths[0], folded, 3, padding=1, **factory)

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None = None,
        control: dict[str, Any] | None = None,
        transformer_options: dict[str, Any] | None = None,
        **_: Any,
    ) -> Tensor:
        """v-prediction for x = sqrt(abar) x0 + sqrt(1 - abar) eps, or velocity for x = (1 - s) x0 + s eps.

        Args:
            x: (B, 8, h, w), any size.
            timesteps: (B,) in 0..999 of Stable Diffusion's schedule, or ``FLOW_TIME`` times s.
            context, control, transformer_options: accepted because hosts pass them; the network knows no text.
        """
        height, width = x.shape[-2:]
        below, right = -height % self.stride, -width % self.stride
        padded = nn.functional.pad(x.contiguous(), (0, right, 0, below), mode="replicate")
        embedding = timestep_embedding(timesteps, self.base).to(x.dtype)
        embedding = self.time2(nn.functional.silu(self.time1(embedding)))
        hidden = self._unet(nn.functional.pixel_unshuffle(padded, FOLD), embedding)
        return nn.functional.pixel_shuffle(hidden, FOLD)[..., :height, :width]

    def _unet(self, x: Tensor, embedding: Tensor) -> Tensor:
        hidden = stem = self.stem(x)
        skips = []
        for level, block in enumerate(self.down):
            hidden = block(hidden, embedding)
            skips.append(hidden)
            if level < len(self.shrink):
                hidden = self.shrink[level](hidden)
        hidden = self.middle2(self.attention(self.middle1(hidden, embedding)), embedding)
        for index in range(len(skips)):
            hidden = self.up[2 * index](torch.cat([hidden, skips.pop()], dim=1), embedding)
            if index == len(self.down) - 1:
                hidden = torch.cat([hidden, stem], dim=1)
            hidden = self.up[2 * index + 1](hidden, embedding)
            if index < len(self.grow):
                hidden = self.grow[index](nn.functional.interpolate(hidden, scale_factor=2.0, mode="nearest"))
        result: Tensor = self.head(nn.functional.silu(self.norm(hidden)))
        return result
