"""Large pictures tile by tile: one latent, networks that see parts of it, results blended at every call.

Each network evaluation is made of evaluations on overlapping tiles, joined by smooth weights that add up to 1, as in
MultiDiffusion (Bar-Tal et al. 2023, arXiv:2302.08113). The joined denoiser is a denoiser like any other: solvers,
inversion and ascent run on the whole latent, so neighbouring tiles share their noise and their changes, and there is
nothing to seam. Only one tile's activations are in memory at a time, forwards and backwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..memory.checkpoint import checkpoint
from ..method.denoiser import Denoiser
from ..method.fidelity import Fidelity
from ..priors import Prior
from ..priors.logistic import IdentityMap
from .layout import Layout

Decoder = Callable[[Tensor], Tensor]


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin so that they cover ``length`` evenly and overlap by at least ``overlap``."""
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [round(index * (length - tile) / (count - 1)) for index in range(count)]


def _ramp(begins: list[int], index: int, size: int, like: Tensor) -> Tensor:
    """Weight of a tile along one axis before normalisation: it falls off over its overlaps with its neighbours."""
    position = torch.arange(size, dtype=like.dtype, device=like.device) + 0.5
    weight = torch.ones_like(position)
    if index > 0:
        weight = torch.minimum(weight, position / (begins[index - 1] + size - begins[index]))
    if index + 1 < len(begins):
        weight = torch.minimum(weight, (size - position) / (begins[index] + size - begins[index + 1]))
    return (0.5 - 0.5 * torch.cos(math.pi * weight.clamp(0, 1))).clamp(min=1e-6)


@dataclass(frozen=True)
class Tile:
    """Part of a picture: its place, and its weight (h, w) in the blend."""

    rows: slice
    columns: slice
    weight: Tensor

    def of(self, x: Tensor) -> Tensor:
        """This part of (..., H, W)."""
        return x[..., self.rows, self.columns]


def cut(size: tuple[int, int], tile: int, overlap: int, like: Tensor, scale: int = 1) -> list[Tile]:
    """Tiles that cover (H, W), given ``scale`` times larger; their weights add up to 1 everywhere."""
    sides = [scale * min(tile, length) for length in size]
    begins = [[scale * begin for begin in starts(length, tile, overlap)] for length in size]
    total = torch.zeros([scale * length for length in size], dtype=like.dtype, device=like.device)
    tiles = []
    for i, top in enumerate(begins[0]):
        for j, left in enumerate(begins[1]):
            weight = torch.outer(_ramp(begins[0], i, sides[0], like), _ramp(begins[1], j, sides[1], like))
            part = Tile(slice(top, top + sides[0]), slice(left, left + sides[1]), weight)
            part.of(total).add_(weight)
            tiles.append(part)
    return [Tile(part.rows, part.columns, part.weight / part.of(total)) for part in tiles]


def tiled_denoiser(denoise: Denoiser, tile: int, overlap: int) -> Denoiser:
    """A denoiser that sees (B, C, H, W) in tiles of ``tile`` latent positions; each is remembered by its input only.

    With a tile of 0 it is the denoiser itself.
    """
    if tile == 0:
        return denoise

    def joined(u: Tensor, sigma: Tensor) -> Tensor:
        if max(u.shape[-2:]) <= tile:
            return denoise(u, sigma)
        result = torch.zeros_like(u)
        for part in cut((u.shape[-2], u.shape[-1]), tile, overlap, u):
            denoised = checkpoint(lambda x: denoise(x, sigma), part.of(u))
            part.of(result).add_(part.weight * denoised)
        return result

    return joined


def tiled_decoder(decode: Decoder, ratio: int, tile: int, overlap: int, match: Callable[..., Tensor] | None) -> Decoder:
    """A decoder that sees the latent in tiles of ``tile`` positions.

    Args:
        decode: (B, C, H, W) -> (B, 3, ratio H, ratio W).
        match: ``match(index, image)``: corrects the colour of a tile's image; None = as it is.
    """

    def joined(latent: Tensor) -> Tensor:
        if max(latent.shape[-2:]) <= tile:
            return decode(latent)
        height, width = latent.shape[-2:]
        result = latent.new_zeros((len(latent), 3, height * ratio, width * ratio))
        places = cut((height, width), tile, overlap, latent)
        parts = cut((height, width), tile, overlap, latent, ratio)
        for index, (place, part) in enumerate(zip(places, parts, strict=True)):
            image = checkpoint(decode, place.of(latent))
            if match is not None:
                image = match(index, image)
            part.of(result).add_(part.weight * image)
        return result

    return joined


def colour_offsets(
    decode: Decoder, latent: Tensor, photograph: Tensor, ratio: int, tile: int, overlap: int
) -> list[Tensor]:
    """What each tile's decoded photograph lacks of the photograph's mean colour: (B, 3, 1, 1) each.

    Autoencoders normalise over all that they see, and so give each tile another brightness.

    Args:
        latent: (B, C, H, W) of the photograph.
        photograph: (B, 3, h, w); what it lacks of the decoded size is left out.
    """
    if max(latent.shape[-2:]) <= tile:
        return []
    size, offsets = (latent.shape[-2], latent.shape[-1]), []
    places, parts = cut(size, tile, overlap, latent), cut(size, tile, overlap, latent, ratio)
    with torch.no_grad():
        for place, part in zip(places, parts, strict=True):
            image, seen = decode(place.of(latent)), part.of(photograph)
            difference = seen - image[..., : seen.shape[-2], : seen.shape[-1]]
            offsets.append(difference.mean(dim=(2, 3), keepdim=True))
    return offsets


def lay_out(
    denoise: Denoiser, decode: Decoder, layout: Layout, ratio: int, latent: Tensor, photograph: Tensor | None
) -> tuple[Denoiser, Decoder]:
    """Denoiser and decoder as a path's layout wants them: by tiles, and cropped to the picture.

    Args:
        ratio: pixels a latent position.
        latent: (B, C, H, W), clean, for matching the tiles' colours to the photograph (B, 3, h, w) if that is known.
    """
    if not layout.tile and not layout.height:
        return denoise, decode
    inner = decode
    if layout.tile:
        tile, overlap = max(1, layout.tile // ratio), layout.overlap // ratio
        denoise = tiled_denoiser(denoise, tile, overlap)
        offsets = [] if photograph is None else colour_offsets(decode, latent, photograph, ratio, tile, overlap)
        match = (lambda index, image: image + offsets[index]) if offsets else None
        inner = tiled_decoder(decode, ratio, tile, overlap, match)
    return denoise, lambda z: layout.crop(inner(z))


def _parts(image: Tensor, tile: int, overlap: int) -> Iterator[tuple[Tile, float]]:
    """Tiles of an image with their shares of the whole, which add up to 1."""
    area = image.shape[-1] * image.shape[-2]
    for part in cut((image.shape[-2], image.shape[-1]), tile, overlap, image):
        yield part, float(part.weight.sum()) / area


class TiledPrior(Prior):
    """The mean of a prior's scores over the tiles of a picture, one tile's activations in memory at a time.

    Args:
        part: the prior.
        tile: side of the tiles in pixels.
        overlap: of neighbours, in pixels.
    """

    def __init__(self, part: Prior, tile: int, overlap: int) -> None:
        super().__init__(part.info, IdentityMap())
        self.part, self.tile, self.overlap = part, max(tile, part.info.min_size), overlap

    def score(self, image: Tensor) -> Tensor:
        pieces = _parts(image, self.tile, self.overlap)
        return torch.stack([share * checkpoint(self.part, piece.of(image)) for piece, share in pieces]).sum(dim=0)


class TiledFidelity(Fidelity):
    """The mean of a fidelity over the tiles of a picture, one tile's activations in memory at a time."""

    def __init__(self, part: Fidelity, tile: int, overlap: int) -> None:
        self.part, self.tile, self.overlap = part, max(tile, part.min_size), overlap

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        pieces = _parts(x, self.tile, self.overlap)
        return torch.stack([share * checkpoint(self.part, piece.of(x), piece.of(y)) for piece, share in pieces]).sum(
            dim=0
        )


def tiled_prior(prior: Prior, layout: Layout) -> Prior:
    """The prior as a path's layout wants it."""
    return TiledPrior(prior, layout.tile, layout.overlap) if layout.tile else prior


def tiled_fidelity(distance: Fidelity, layout: Layout) -> Fidelity:
    """The fidelity as a path's layout wants it."""
    return TiledFidelity(distance, layout.tile, layout.overlap) if layout.tile else distance
