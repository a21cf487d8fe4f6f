"""What the autoencoder loses of a photograph, and how much of it belongs to the restored image.

G(z) = D(latent(z)) + a (y - D(E(y))): with a = 1 an ascent begins at the photograph itself, with a = 0 at the
autoencoder's round trip, which has lost fine detail and noise alike. How much of it is noise can be estimated.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..errors import no_choice
from ..method.chain import Decoder
from ..method.path import LatentPath
from .noise import Noise, estimate_noise
from .photograph import Photograph

AUTO = "auto"
DETAILS = (AUTO, "0", "0.25", "0.5", "0.75", "1")
"""The choices by name: an estimate for each image, or a share for all of them."""
LEAST_LIMIT, MOST = 0.25, 0.75
"""What "auto" takes at most: of a photograph with strong blocks of JPEG, and of one without any.

Blocks are no noise, and the autoencoder loses some of them as well (docs/evidence.md has the measurement)."""
FAINT, NO_BLOCKS = 0.6, 0.2
"""Noise, of 255, and ``blockiness`` below which a photograph has none to speak of."""


def _steps(lines: Tensor) -> Tensor:
    """Mean step between columns by their position in blocks of 8, (B, 8), of (B, h, w) with w at least 11.

    A step is the difference of neighbours less that of the pairs beside them, which a slope has as well; clipped, so
    that a few edges do not count for more than many blocks.
    """
    difference = lines[..., 1:] - lines[..., :-1]
    step = (difference[..., 1:-1] - (difference[..., :-2] + difference[..., 2:]) / 2).abs().clamp(max=0.1)
    blocks = step.shape[-1] // 8
    return step[..., : 8 * blocks].reshape(*step.shape[:2], blocks, 8).mean(dim=(1, 2))


def blockiness(image: Tensor) -> Tensor:
    """How much larger steps are at the borders of 8 px blocks than elsewhere, (B,); 0 without blocks.

    After Wang, Sheikh and Bovik (2002), for blocks that begin anywhere, since photographs are cropped: the largest mean
    of the eight positions against that of the others, of columns or rows, whichever is smaller. About 0.2 at a JPEG
    quality of 85, 0.7 at 40, 1.5 at 15; below 0.2 without compression.

    Args:
        image: (B, 3, h, w) in [0, 1]; with sides below 64 there is too little to tell, and 0 is returned.
    """
    luminance = image.mean(dim=1)
    if min(luminance.shape[-2:]) < 64:
        return luminance.new_zeros(len(luminance))
    found = []
    for lines in (luminance, luminance.transpose(1, 2)):
        steps = _steps(lines)
        most = steps.amax(dim=1)
        rest = (steps.sum(dim=1) - most) / 7
        found.append((most - rest) / rest.clamp(min=1e-6))
    return torch.minimum(*found)


def largest_share(photograph: Tensor, noise: Noise) -> Tensor:
    """The most that "auto" takes of each photograph (B, 3, h, w) with its noise: (B,), in [``LEAST_LIMIT``, 1].

    All of it where there is next to no noise and no block, as in what DMAP Clean Photo gives; else ``MOST`` down to
    ``LEAST_LIMIT`` with blocks. The line is fitted to the best share of JPEG qualities from 15 to 85 on photographs for
    tuning.
    """
    blocks = blockiness(photograph)
    spotless = (255 * noise.level < FAINT) & (blocks < NO_BLOCKS)
    return torch.where(spotless, torch.ones_like(blocks), (1 - 0.75 * blocks).clamp(LEAST_LIMIT, MOST))


def estimated_share(
    photograph: Tensor, missing: Tensor, known: Tensor | None = None, most: Tensor | float | None = None
) -> Tensor:
    """The share of what was lost that is worth having, (B,) in [0, ``most``].

    The autoencoder lets little white noise through (85 % of its power is lost, most of the finest), so what it lost is
    about the sum of noise and detail, which know nothing of one another: of its power the detail's share is
    1 - (noise's variance) / (mean square of what was lost). With that share the image is nearest to the original in the
    mean square (Wiener's estimate).

    Args:
        photograph: y, (B, 3, h, w) in [0, 1].
        missing: y - D(E(y)), of the same shape.
        known: (1 or B, 1, h, w) in [0, 1], 0 where ``missing`` is 0 because nothing is known.
        most: the largest share to return, (B,) or one for all; ``largest_share`` if None.
    """
    noise = estimate_noise(photograph)
    limit = largest_share(photograph, noise) if most is None else torch.as_tensor(most)
    part = 1.0 if known is None else known.mean(dim=(1, 2, 3)).clamp(min=1e-6)
    power = (missing.square().mean(dim=(1, 2, 3)) / part).clamp(min=1e-12)
    variance = noise.deviation(photograph.mean(dim=1, keepdim=True)).square().mean(dim=(1, 2, 3))
    return torch.minimum((1 - variance / power).clamp(min=0), limit.to(power))


def weighted(missing: Tensor, share: Tensor) -> Tensor:
    """``missing`` (B, 3, h, w) times each image's share (B,)."""
    return missing * share.to(missing).reshape(-1, 1, 1, 1)


def with_detail(
    path: LatentPath, detail: str, photograph: Photograph, decode: Decoder
) -> tuple[LatentPath, Tensor | None]:
    """A path with the share of what was lost that is part of its picture.

    Args:
        path: of the photograph; where an earlier ascent has given it a share, "auto" keeps that.
        detail: one of ``DETAILS``; "auto" takes ``estimated_share``.
        photograph: what the path was made from.
        decode: latent -> image.

    Returns:
        The path, and what the chain is to add to the decoder's image, (B, 3, h, w) or None for nothing.

    Raises:
        UserError: for another ``detail``.
    """
    if detail not in DETAILS:
        raise no_choice("detail", detail, DETAILS)
    share = path.detail if detail == AUTO else path.scale.new_full((path.batch,), float(detail))
    if share is not None and not bool(share.any()):
        return replace(path, detail=share), None
    with torch.no_grad():
        missing = photograph.residual(decode(path.latent))
        if share is None:
            share = estimated_share(photograph.shown, missing, photograph.known)
    return replace(path, detail=share), weighted(missing, share)
