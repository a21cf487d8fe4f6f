"""From the image of an ascent to the picture that is handed over: colour and lost detail."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..errors import UserError, no_choice
from .detail import weighted

COLOURS = ("off", "low_pass", "wavelet")
LEVELS = 5
"""Of the wavelet: its coarse band holds structures of more than about 2^5 pixels."""
LEAST_KNOWN = 0.05
"""Share of known pixels around below which no colour is made up from them."""
BINOMIAL = (1 / 16, 1 / 4, 3 / 8, 1 / 4, 1 / 16)


def _separable(image: Tensor, row: Tensor, dilation: int = 1) -> Tensor:
    """Low-pass along both axes; border pixels are repeated outwards."""
    reach, channels = dilation * (len(row) // 2), image.shape[1]
    weight = row.to(image).expand(channels, 1, 1, -1)
    x = nn.functional.pad(image, (reach, reach, 0, 0), mode="replicate")
    x = nn.functional.conv2d(x, weight, groups=channels, dilation=(1, dilation))
    x = nn.functional.pad(x, (0, 0, reach, reach), mode="replicate")
    return nn.functional.conv2d(x, weight.transpose(2, 3), groups=channels, dilation=(dilation, 1))


def low_pass(image: Tensor, sigma: float = 12.0) -> Tensor:
    """Gaussian low-pass of (B, C, h, w), sigma in pixels."""
    radius = math.ceil(3 * sigma)
    row = torch.exp(-(torch.arange(-radius, radius + 1, dtype=torch.float64) ** 2) / (2 * sigma**2))
    return _separable(image, row / row.sum())


def coarse(image: Tensor, levels: int = LEVELS) -> Tensor:
    """Coarse band of the undecimated ("a trous") B3-spline wavelet (Starck, Murtagh and Fadili 2010)."""
    row = torch.tensor(BINOMIAL, dtype=torch.float64)
    for level in range(levels):
        image = _separable(image, row, 2**level)
    return image


def transfer_colour(image: Tensor, photograph: Tensor, method: str, known: Tensor | None = None) -> Tensor:
    """Give an image the photograph's coarse colour and brightness, and keep its own detail.

    Args:
        image, photograph: (B, 3, h, w).
        method: "off", "low_pass" or "wavelet".
        known: (1 or B, 1, h, w) in [0, 1], where the photograph says something: holes and scratches (0) have no colour
            to give. None = everywhere.

    Raises:
        UserError: for another method.
    """
    if method not in COLOURS:
        raise no_choice("colour", method, COLOURS)
    if method == "off":
        return image
    smooth = low_pass if method == "low_pass" else coarse
    if known is None:
        return image + smooth(photograph - image)
    return image + smooth(known * (photograph - image)) / smooth(known).clamp(min=LEAST_KNOWN)


def return_detail(
    image: Tensor, missing: Tensor, amount: float, mask: Tensor | None = None, already: Tensor | None = None
) -> Tensor:
    """Add what the autoencoder lost of the photograph (``Photograph.residual``).

    Args:
        image, missing: (B, 3, h, w).
        amount: 0 = none, 1 = all of it.
        mask: (1 or B, 1, h, w) where, or None for everywhere.
        already: (B,) in [0, 1], the share that belongs to the image anyway, mask or not; ``amount`` is of the rest.

    Raises:
        UserError: for an amount outside [0, 1].
    """
    if not 0 <= amount <= 1:
        raise UserError(f"detail: got {amount}, it must be from 0 to 1")
    share = missing.new_zeros(len(missing)) if already is None else already.to(missing)
    rest = amount * weighted(missing, 1 - share)
    return image + weighted(missing, share) + (rest if mask is None else rest * mask)
