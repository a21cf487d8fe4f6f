"""The shipped autoencoder: 4x smaller sides, 8 channels, deterministic."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..errors import UserError


class _Block(nn.Module):
    """Residual pair of convolutions; no normalisation, which would tie far pixels together."""

    def __init__(self, width: int, operations: Any, **factory: Any) -> None:
        super().__init__()
        self.first = operations.Conv2d(width, width, 3, padding=1, **factory)
        self.second = operations.Conv2d(width, width, 3, padding=1, **factory)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.second(nn.functional.silu(self.first(nn.functional.silu(x))))
        return result


class Autoencoder(nn.Module):
    """Convolutions at a quarter of the resolution around a linear map and its inverse.

    The linear map starts as the principal components of 4x4 blocks, so that training begins from the best linear
    code and only has to add what a linear one loses.

    Args:
        width: channels of encoder and decoder, (encoder, decoder).
        blocks: residual blocks of each.
        operations: where layers come from; the host passes its own namespace.
    """

    mean: Tensor
    std: Tensor
    latent_channels: ClassVar[int] = 8
    downscale: ClassVar[int] = 4

    def __init__(
        self,
        width: tuple[int, int] = (64, 96),
        blocks: tuple[int, int] = (3, 5),
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        operations: Any = nn,
    ) -> None:
        super().__init__()
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        patch, code = 3 * self.downscale**2, self.latent_channels
        self.encoder = nn.Sequential(
            operations.Conv2d(patch, width[0], 3, padding=1, **factory),
            *(_Block(width[0], operations, **factory) for _ in range(blocks[0])),
            nn.SiLU(),
            operations.Conv2d(width[0], code, 3, padding=1, **factory),
        )
        self.decoder = nn.Sequential(
            operations.Conv2d(code, width[1], 3, padding=1, **factory),
            *(_Block(width[1], operations, **factory) for _ in range(blocks[1])),
            nn.SiLU(),
            operations.Conv2d(width[1], patch, 3, padding=1, **factory),
        )
        self.analysis: nn.Conv2d = operations.Conv2d(patch, code, 1, **factory)
        self.synthesis: nn.Conv2d = operations.Conv2d(code, patch, 1, **factory)
        self.register_buffer("mean", torch.zeros(1, code, 1, 1, **factory))
        self.register_buffer("std", torch.ones(1, code, 1, 1, **factory))

    def encode(self, image: Tensor) -> Tensor:
        """Image (B, 3, h, w) in [-1, 1], sides multiples of 4 -> latent (B, 8, h/4, w/4) of unit scale.

        Raises:
            UserError: if a side is not a multiple of 4.
        """
        if image.shape[-1] % self.downscale or image.shape[-2] % self.downscale:
            raise UserError(f"image: sides must be multiples of {self.downscale}, got {tuple(image.shape[-2:])}")
        # Kernels of another memory layout round differently.
        patches = nn.functional.pixel_unshuffle(image.contiguous(), self.downscale)
        latent: Tensor = (self.analysis(patches) + self.encoder(patches) - self.mean) / self.std
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """Latent (B, 8, h, w) -> image (B, 3, 4h, 4w), nominally in [-1, 1], not clamped."""
        code = latent.contiguous() * self.std + self.mean
        return nn.functional.pixel_shuffle(self.synthesis(code) + self.decoder(code), self.downscale)

    def forward(self, image: Tensor) -> Tensor:
        """The round trip, image to image."""
        return self.decode(self.encode(image))
