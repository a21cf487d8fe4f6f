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

from .noise import BLOCK, basis, fit_line
from .shrink import FACTOR as NOISE_FACTOR
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
FACTOR, SHARE = 0.4, 0.5
"""Threshold in quantisation steps, and how far a coefficient may go from the middle of its cell: 0.5 is its border."""
LEVELS = (0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.5, 10.0, 12.0, 15.0, 20.0, 28.0)
"""Deviations of noise under the quantisation that are tried, in steps of 8 bit; the first is none."""
LEAST_RATIO = 0.4
"""Deviation of the noise in steps of the coarse frequencies below which detail is taken for it. From there on the
threshold rises to the full one at a ratio of 1: coarse cells have silenced a part of the noise."""
COARSE = [1, 2, 8, 9, 16]
"""Those frequencies."""
NOISE_BINS, FLAT = 3, 0.2
"""Bins of the intensity, and the share of a bin's blocks that has little structure."""

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
    one over the step if anything is as likely, and of a narrow bell at its multiple if it was quantised. Blocks where
    the decoder has cut values off at black or white do not count: their coefficients are anywhere.
    """
    if min(photograph.shape[-2:]) < 4 * BLOCK:
        return None
    luminance = _to_ycbcr(photograph)[:, :1]
    cut_off = ((photograph <= 0) | (photograph >= 1)).any(dim=1, keepdim=True).to(photograph)
    tables = torch.stack([standard_steps(quality)[0] for quality in QUALITIES]).to(photograph)[:, 1:]
    best: tuple[float, int, int, int] = (EVIDENCE, 0, 0, -1)
    for top, left in _grids(luminance):
        coefficients = nn.functional.conv2d(luminance[..., top:, left:], basis(BLOCK, luminance), stride=BLOCK)
        whole = nn.functional.max_pool2d(cut_off[..., top:, left:], BLOCK).flatten() == 0
        values = coefficients.flatten(2)[0, 1:, whole]
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
    steps, colour_steps = standard_steps(QUALITIES[index])
    return Compression(steps.to(photograph), colour_steps.to(photograph), top, left)


def _grids(luminance: Tensor) -> list[tuple[int, int]]:
    """Where blocks may begin: the phase with the largest steps between pixels, and the picture's corner."""
    phases = []
    for plane in (luminance[0, 0].T, luminance[0, 0]):
        steps = (
            (plane[2:-1] - plane[1:-2] - (plane[1:-2] - plane[:-3] + plane[3:] - plane[2:-1]) / 2).abs().clamp(max=25)
        )
        rows = steps.mean(dim=1)
        rows = rows[: len(rows) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(dim=0)
        phases.append((int(rows.argmax()) + 2) % BLOCK)
    left, top = phases
    return list(dict.fromkeys([(0, 0), (top, left)]))


def _quantised_noise(planes: Tensor, intensity: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Variance of the noise that was there before the quantisation, a line over the intensity: constant, slope (C,).

    Of planes (1, C, h, w) whose blocks begin at their corner. Among the blocks with little structure in their lowest
    frequencies the deviation of highest likelihood, given that each coefficient is only known to lie in its cell.

    Args:
        planes: in steps of 8 bit.
        intensity: (1, 1, h, w) in [0, 1].
        steps: (64,)
    """
    kernel = basis(BLOCK, planes)
    values = nn.functional.conv2d(planes[0][:, None], kernel, stride=BLOCK).flatten(2)
    place = nn.functional.avg_pool2d(intensity, BLOCK).flatten()
    frequency = torch.arange(BLOCK, device=planes.device)
    total = (frequency[:, None] + frequency[None]).flatten()
    lowest, middle = (total > 0) & (total <= 2), (total >= 3) & (total <= 9)
    structure = values[:, lowest].square().sum(dim=1)
    cell, width = values[:, middle], steps[middle][None, :, None]
    cell = (cell / width).round() * width
    places, variances = [], []
    for part in place.argsort().chunk(NOISE_BINS):
        count = max(4, int(FLAT * len(part)))
        best = []
        for channel in range(len(values)):
            chosen = cell[channel][:, part[structure[channel, part].argsort()[:count]]]
            best.append(_likeliest(chosen, width[0]))
        places.append(place[part].mean())
        variances.append(torch.stack(best).square())
    return fit_line(torch.stack(places), torch.stack(variances))


def _likeliest(cells: Tensor, steps: Tensor) -> Tensor:
    """The deviation of which centres of cells (k, n) of widths (k, 1) are the likeliest; a few may be structure."""
    found = []
    for deviation in LEVELS:
        scale = deviation * 2**0.5
        inside = (torch.erf((cells + steps / 2) / scale) - torch.erf((cells - steps / 2) / scale)) / 2
        found.append((0.98 * inside + 0.02 * steps / 255).log().sum())
    best = int(torch.stack(found).argmax())
    return cells.new_tensor(LEVELS[best] if best else 0.0)


def _into_cells(changed: Tensor, before: Tensor, limit: Tensor) -> Tensor:
    """Planes (1, C, h, w) whose blocks' coefficients are moved by at most ``limit`` (C, 64) from ``before``."""
    kernel = basis(BLOCK, before)
    shape, planes = before.shape, (changed - before).flatten(0, 1)[:, None]
    height, width = (-side % BLOCK for side in shape[-2:])
    padded = nn.functional.pad(planes, (0, width, 0, height), mode="replicate")
    most = limit[:, :, None, None]
    moved = nn.functional.conv2d(padded, kernel, stride=BLOCK)
    back = nn.functional.conv_transpose2d(torch.minimum(torch.maximum(moved, -most), most), kernel, stride=BLOCK)
    return before + back[..., : shape[-2], : shape[-1]].reshape(shape)


def _smoothed(planes: Tensor, intensity: Tensor, steps: Tensor, top: int, left: int) -> Tensor:
    """Planes (1, C, h, w) without blocks and noise; the intensity (1, 1, h, w) is theirs, in [0, 1]."""
    inner = (..., slice(top, None), slice(left, None))
    constant, slope = _quantised_noise(planes[inner], intensity[inner], steps)
    variance = constant[None, :, None, None] + slope[None, :, None, None] * intensity
    ratio = variance.mean(dim=(0, 2, 3)).sqrt() / steps[COARSE].mean()
    share = torch.where(ratio >= LEAST_RATIO, (0.35 + 0.65 * ratio).clamp(max=1), torch.zeros_like(ratio))
    variance = (NOISE_FACTOR * share).square()[None, :, None, None] * variance
    smooth = shrink(planes, variance.sqrt(), FACTOR * steps)
    limit = SHARE * steps + variance.mean(dim=(0, 2, 3)).sqrt()[:, None]
    smooth[inner] = _into_cells(smooth[inner], planes[inner], limit)
    return smooth


def without_blocks(photograph: Tensor, compression: Compression) -> Tensor:
    """One photograph (1, 3, h, w) in [0, 1] without the blocks and the ringing of its compression, and without noise.

    Noise that was there before is estimated from the cells. Without any each coefficient stays in its cell.
    """
    channels, intensity = _to_ycbcr(photograph), photograph.mean(dim=1, keepdim=True)
    intensity = nn.functional.avg_pool2d(intensity, 9, 1, 4).clamp(0, 1)
    top, left = compression.top, compression.left
    luminance = _smoothed(channels[:, :1], intensity, compression.luminance, top, left)
    colour = channels[:, 1:]
    if compression.halved:
        inner = (..., slice(top % 2, None), slice(left % 2, None))
        small, shade = (nn.functional.avg_pool2d(x[inner], 2, ceil_mode=True) for x in (colour, intensity))
        change = _smoothed(small, shade, compression.colour, top // 2, left // 2) - small
        height, width = colour[inner].shape[-2:]
        colour = colour.clone()
        colour[inner] += nn.functional.interpolate(change, scale_factor=2, mode="bilinear")[..., :height, :width]
    else:
        colour = _smoothed(colour, intensity, compression.colour, top, left)
    return _from_ycbcr(torch.cat([luminance, colour], dim=1))
