"""JPEG's quantisation, found in the pixels of a photograph or known from its file, and its blocks taken away.

A coefficient of a compressed picture lies at a multiple of its step; what it was before is anywhere in the cell around
it. Thresholds in proportion to the steps, at every shift of the blocks, smooth what the cells have made of the picture
(Nosratinia 2001, "Enhancement of JPEG-compressed images by re-application of JPEG"), and the result goes back into the
cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .noise import BLOCK, basis
from .shrink import shrink

# ITU T.81, annex K: steps at quality 50 of luminance and colour, as every libjpeg scales them.
LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
COLOUR = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
    99, 99, 99, *[99] * 32,
)  # fmt: skip
QUALITIES = range(5, 96)
ROUNDING = 0.4
"""Deviation, in steps of 8 bit, of a decoded coefficient from its multiple: what rounding the colours leaves."""
OUTLIERS = 0.05
EVIDENCE = 0.5
"""Gain of log-likelihood a coefficient at which a quality is believed."""
FEWEST, MOST = 24, 3000
"""Coefficients that are not 0 without which nothing is said, and that are looked at."""
FACTOR = 0.45
"""Threshold in quantisation steps."""

_TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def standard_steps(quality: int) -> tuple[Tensor, Tensor]:
    """Quantisation steps of luminance and colour, (64,) each, of a quality of 1..100, in steps of 8 bit."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    luminance, colour = (((torch.tensor(x) * scale + 50) // 100).clamp(1, 255) for x in (LUMINANCE, COLOUR))
    return luminance.float(), colour.float()


@dataclass(frozen=True)
class Compression:
    """How one photograph was compressed.

    Attributes:
        luminance, colour: quantisation steps (64,), in steps of 8 bit, row frequency first.
        top, left: where its blocks begin, 0..7.
        halved: whether colour has half of the resolution, as JPEG mostly has it.
    """

    luminance: Tensor
    colour: Tensor
    top: int = 0
    left: int = 0
    halved: bool = True


def _to_ycbcr(image: Tensor) -> Tensor:
    """RGB (B, 3, h, w) in [0, 1] to luminance and colour times 255."""
    return 255 * torch.einsum("oc,bchw->bohw", image.new_tensor(_TO_YCBCR), image)


def _from_ycbcr(channels: Tensor) -> Tensor:
    inverse = torch.linalg.inv(torch.tensor(_TO_YCBCR, dtype=torch.float64)).to(channels)
    return torch.einsum("oc,bchw->bohw", inverse, channels) / 255


def find_compression(photograph: Tensor) -> Compression | None:
    """The compression of one photograph (1, 3, h, w) in [0, 1], or None without a sign of any.

    The quality and the grid of highest likelihood, for the standard tables: a coefficient of size c has a density of
    one over the step if anything is as likely, and of a narrow bell at its multiple if it was quantised.
    """
    if min(photograph.shape[-2:]) < 4 * BLOCK:
        return None
    luminance = _to_ycbcr(photograph)[:, :1]
    tables = torch.stack([standard_steps(quality)[0] for quality in QUALITIES]).to(photograph)[:, 1:]
    best: tuple[float, int, int, int] = (EVIDENCE, 0, 0, -1)
    for top, left in _grids(luminance):
        coefficients = nn.functional.conv2d(luminance[..., top:, left:], basis(BLOCK, luminance), stride=BLOCK)
        values = coefficients.flatten(2)[0, 1:]
        frequency, block = (values.abs() > 1.5).nonzero(as_tuple=True)
        if len(frequency) < FEWEST:
            continue
        chosen = slice(None, None, max(1, len(frequency) // MOST))
        frequency, visible = frequency[chosen], values[frequency, block][chosen]
        for index, steps in enumerate(tables):
            each = steps[frequency]
            error = visible - each * (visible / each).round()
            bell = torch.exp(-(error**2) / (2 * ROUNDING**2)) / (ROUNDING * (2 * torch.pi) ** 0.5)
            gain = float(((1 - OUTLIERS) * each * bell + OUTLIERS).log().mean())
            if gain > best[0]:
                best = (gain, top, left, index)
    _, top, left, index = best
    if index < 0:
        return None
    return Compression(*(x.to(photograph) for x in standard_steps(QUALITIES[index])), top, left)


def _grids(luminance: Tensor) -> list[tuple[int, int]]:
    """Where blocks may begin: the phase with the largest steps between pixels, and the picture's corner."""
    phases = []
    for plane in (luminance[0, 0].T, luminance[0, 0]):
        steps = (plane[2:-1] - plane[1:-2] - (plane[1:-2] - plane[:-3] + plane[3:] - plane[2:-1]) / 2).abs().clamp(max=25)
        rows = steps.mean(dim=1)
        rows = rows[: len(rows) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(dim=0)
        phases.append((int(rows.argmax()) + 2) % BLOCK)
    left, top = phases
    return list(dict.fromkeys([(0, 0), (top, left)]))


def _into_cells(changed: Tensor, before: Tensor, steps: Tensor, share: float) -> Tensor:
    """Planes (1, C, h, w) whose blocks' coefficients are moved by at most ``share`` of a step from ``before``."""
    kernel = basis(BLOCK, before)
    shape, planes = before.shape, (changed - before).flatten(0, 1)[:, None]
    height, width = (-side % BLOCK for side in shape[-2:])
    padded = nn.functional.pad(planes, (0, width, 0, height), mode="replicate")
    limit = (share * steps)[None, :, None, None]
    moved = nn.functional.conv2d(padded, kernel, stride=BLOCK)
    back = nn.functional.conv_transpose2d(torch.minimum(torch.maximum(moved, -limit), limit), kernel, stride=BLOCK)
    return before + back[..., : shape[-2], : shape[-1]].reshape(shape)


def _smoothed(planes: Tensor, steps: Tensor, top: int, left: int, factor: float, share: float) -> Tensor:
    smooth = shrink(planes, factor * steps[None, None, :, None, None])
    inner = (..., slice(top, None), slice(left, None))
    smooth[inner] = _into_cells(smooth[inner], planes[inner], steps, share)
    return smooth


def without_blocks(photograph: Tensor, compression: Compression, factor: float = FACTOR, share: float = 0.5) -> Tensor:
    """One photograph (1, 3, h, w) in [0, 1] without the blocks and the ringing of its compression."""
    channels = _to_ycbcr(photograph)
    top, left = compression.top, compression.left
    luminance = _smoothed(channels[:, :1], compression.luminance, top, left, factor, share)
    colour = channels[:, 1:]
    if compression.halved:
        inner = colour[..., top % 2 :, left % 2 :]
        small = nn.functional.avg_pool2d(inner, 2, ceil_mode=True)
        change = _smoothed(small, compression.colour, top // 2, left // 2, factor, share) - small
        size = inner.shape[-2:]
        colour = colour.clone()
        colour[..., top % 2 :, left % 2 :] += nn.functional.interpolate(change, scale_factor=2, mode="bilinear")[
            ..., : size[0], : size[1]
        ]
    else:
        colour = _smoothed(colour, compression.colour, top, left, factor, share)
    return _from_ycbcr(torch.cat([luminance, colour], dim=1))
