"""A photograph as it came, with all that is known of it; made once where a picture enters, carried by its path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..errors import UserError
from .holes import fill
from .layout import Layout
from .regions import blend

SCALES = {torch.uint8: 255, torch.uint16: 65535, torch.bool: 1}
"""Largest value of tensors that hold whole numbers, which is 1 of a picture."""
FAR_OUT = 0.05
"""By how much values may lie outside [0, 1] on average: sharpening goes a few hundredths beyond."""


def picture_values(image: Tensor) -> Tensor:
    """The values of a picture or a mask as float32 or float64; bytes and words are scaled to [0, 1].

    Raises:
        UserError: for other whole numbers, complex numbers, NaN or infinite values, or pictures (B, C, h, w) that are
            meant for another range than [0, 1].
    """
    if image.dtype in SCALES:
        return image.float() / SCALES[image.dtype]
    if not image.is_floating_point():
        raise UserError(f"it holds numbers of the kind {image.dtype}; give float values from 0 to 1, or uint8")
    values = image if image.dtype == torch.float64 else image.float()
    if not torch.isfinite(values).all():
        raise UserError("it holds NaN or infinite values; check where it comes from")
    if values.numel():
        excess = (values - values.clamp(0, 1)).abs()
        if float(excess.mean(dim=tuple(range(1, values.ndim))).max()) > FAR_OUT:
            raise UserError(
                f"its values go from {float(values.min()):g} to {float(values.max()):g}; those of a picture go from 0 "
                "to 1: divide by 255, map it from another range, or tone-map it first"
            )
    return values


@dataclass(frozen=True)
class Photograph:
    """One photograph, or a batch of one size.

    Attributes:
        pixels: (B, 3, h, w) as they came, nominally in [0, 1]; what lies outside is kept where nothing changes.
        alpha: (B, 1, h, w) in [0, 1], handed over unchanged; None = there is none.
        known: (1 or B, 1, h, w) in [0, 1], 0 in holes and scratches, where the photograph says nothing; None = it is
            known everywhere.
        mask: (1 or B, 1, h, w) in [0, 1], where the result may differ from the photograph; None = everywhere.

    Raises:
        UserError: for shapes that do not fit together, or values that are not a picture's (see ``picture_values``).
    """

    pixels: Tensor
    alpha: Tensor | None = None
    known: Tensor | None = None
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.shape[1] != 3:
            raise UserError(f"photograph: got shape {tuple(self.pixels.shape)}, expected (B, 3, h, w)")
        for name, x in (("alpha", self.alpha), ("known", self.known), ("mask", self.mask)):
            batches = (len(self.pixels),) if name == "alpha" else (1, len(self.pixels))
            if x is not None and (x.ndim != 4 or x.shape[1] != 1 or len(x) not in batches or not self._covers(x)):
                raise UserError(
                    f"{name}: got shape {tuple(x.shape)}, which does not fit a photograph of shape "
                    f"{tuple(self.pixels.shape)}"
                )
        for name, x in vars(self).items():
            try:
                object.__setattr__(self, name, None if x is None else picture_values(x))
            except UserError as error:
                raise error.within("photograph: " if name == "pixels" else f"{name}: ") from error

    def _covers(self, x: Tensor) -> bool:
        return x.shape[-2:] == self.pixels.shape[-2:]

    @classmethod
    def of(cls, image: Tensor) -> Photograph:
        """Of an image (B, C, h, w) that is grey (C = 1), colour (3) or colour with alpha (4).

        Args:
            image: nominally in [0, 1]; uint8 and uint16 are scaled.

        Raises:
            UserError: for another shape, or values that are not a picture's.
        """
        if image.ndim != 4 or image.shape[1] not in (1, 3, 4):
            raise UserError(f"image: got shape {tuple(image.shape)}, expected (B, 1, 3 or 4, h, w)")
        colour = image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image[:, :3]
        # In one memory layout: kernels round differently in another.
        return cls(colour.contiguous(), image[:, 3:] if image.shape[1] == 4 else None)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[-2], self.pixels.shape[-1]

    @property
    def shown(self) -> Tensor:
        """(B, 3, h, w) in [0, 1], as networks and measures see it."""
        return self.pixels.clamp(0, 1)

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Photograph:
        """With a function applied to each tensor, such as a move to another device."""
        return replace(
            self, **{name: None if x is None else change(x) for name, x in vars(self).items() if name != "pixels"},
            pixels=change(self.pixels),
        )  # fmt: skip

    def to(self, device: torch.device | str) -> Photograph:
        """The same on another device."""
        return self.mapped(lambda x: x.to(device))

    def one(self, index: int) -> Photograph:
        """One of the batch."""
        return self.mapped(lambda x: x if len(x) == 1 else x[index : index + 1])

    def layout(self, tile: int = 0, overlap: int = 0) -> Layout:
        """How it lies on the latent grid once it is ``padded``."""
        return Layout(*self.size, tile, overlap)

    def padded(self, multiple: int) -> Tensor:
        """(B, 3, h', w') in [0, 1] for the encoder: holes filled from around, edge pixels repeated to the right and
        below until both sides are multiples of ``multiple``.

        Raises:
            UserError: if nothing of it is known.
        """
        image = self.shown if self.known is None else fill(self.shown, self.known)
        height, width = self.size
        return nn.functional.pad(image, (0, -width % multiple, 0, -height % multiple), mode="replicate")

    def residual(self, round_trip: Tensor) -> Tensor:
        """What a round trip (B, 3, h, w) through the autoencoder has lost, fine detail and noise alike, 0 in holes."""
        difference = self.shown - round_trip
        return difference if self.known is None else difference * self.known

    def composite(self, image: Tensor) -> Tensor:
        """The picture that is handed over, (B, 3 or 4, h, w): ``image`` (B, 3, h, w) where the mask lets it, exactly
        this photograph elsewhere, values out of [0, 1] included, and its alpha."""
        colour = blend(self.mask, image.clamp(0, 1), self.pixels)
        return colour if self.alpha is None else torch.cat([colour, self.alpha], dim=1)
