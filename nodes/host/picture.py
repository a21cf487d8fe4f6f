"""The photograph and its mask as a path knows them: cropped or filled up to the latent grid, with alpha."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...dmap.degradations import Composed, Degradation, Inpaint
from ...dmap.image.layout import Layout
from ...dmap.image.regions import feathered
from ...dmap.method.path import Path
from .features import crop_as_encoder, pixels_per_position
from .images import channels_first, from_image_socket
from .session import HostPath

PHOTOGRAPH, KNOWN = "dmap_photograph", "dmap_known"
"""Keys in a LATENT under which DMAP Encode Photo hands the photograph on, and where it says something."""


def size_of(path: HostPath, vae: Any) -> tuple[int, int]:
    """Height and width of the path's picture in pixels."""
    layout, ratio = path.path.layout, vae.spacial_compression_decode()
    height, width = (side * ratio for side in path.path.latent.shape[-2:])
    return (layout.height or height, layout.width or width)


def fill_up(image: Tensor, ratio: int) -> Tensor:
    """Repeat the last row and column of (B, C, H, W) until both sides are multiples of ``ratio``."""
    return nn.functional.pad(image, (0, -image.shape[-1] % ratio, 0, -image.shape[-2] % ratio), mode="replicate")


def _fit(x: Tensor, path: HostPath, vae: Any) -> Tensor:
    """Crop as VAE Encode did, unless the latent grid was filled up."""
    return x if path.path.layout.height else crop_as_encoder(x, vae)


def _batched(x: Tensor, batch: int, node: str, socket: str) -> Tensor:
    if len(x) not in (1, batch):
        raise ValueError(
            f"{node}, socket '{socket}': a batch of {len(x)}, but the path holds {batch} images; connect the same "
            "batch that went into VAE Encode"
        )
    return x.expand(batch, -1, -1, -1).clone()


def reference(
    image: Tensor,
    path: HostPath,
    vae: Any,
    node: str,
    degradation: Degradation | None = None,
    socket: str = "image",
) -> Tensor:
    """What the fidelity compares with: (B, 3, h', w') in [0, 1] of an IMAGE.

    Raises:
        ValueError: if its size or number does not fit the path.
    """
    pixels = from_image_socket(image, node, socket)
    whole = size_of(path, vae)
    wanted = whole if degradation is None else degradation.size(*whole)
    if wanted == whole:
        pixels = _fit(pixels, path, vae)
    if tuple(pixels.shape[-2:]) != wanted:
        advice = "connect the same image that went into VAE Encode"
        if wanted != whole:
            advice = "connect the small photograph itself, not its enlargement, or change the degradation's factor"
        got, needed = f"{image.shape[2]}x{image.shape[1]}", f"{wanted[1]}x{wanted[0]}"
        raise ValueError(
            f"{node}, socket '{socket}': it is {got} px, but the path is of an image of {needed} px; {advice}"
        )
    return _batched(pixels, path.path.batch, node, socket)


def with_photograph(path: HostPath, image: Tensor, vae: Any, node: str) -> HostPath:
    """A path that knows its photograph, an IMAGE with its alpha and out-of-range values, if the size is the path's."""
    pixels = _fit(channels_first(image), path, vae)
    if tuple(pixels.shape[-2:]) != size_of(path, vae):
        return path
    return replace(path, photograph=_batched(pixels, path.path.batch, node, "image").cpu())


def mask_for(mask: Tensor | None, path: HostPath, vae: Any, node: str, socket: str = "mask") -> Tensor | None:
    """MASK (B, H, W) -> (1 or B, 1, h, w) in [0, 1] at the picture's size.

    Raises:
        ValueError: if it is empty or of another number.
    """
    if mask is None:
        return None
    values = _mask_values(mask, node, socket)
    if float(values.max()) == 0:
        raise ValueError(
            f"{node}, socket '{socket}': the mask is empty, so nothing could change; paint one (right click on Load "
            "Image: Open in MaskEditor), or disconnect it"
        )
    size = size_of(path, vae)
    if tuple(values.shape[-2:]) != size:
        values = _fit(values, path, vae)
    return _sized(values, size, path.path.batch, node, socket)


def known_for(holes: Tensor, image: Tensor, node: str) -> Tensor:
    """MASK (B, H, W) of holes -> (1 or B, 1, h, w) in [0, 1]: 1 where an image (B, 3, h, w) says something."""
    return 1 - _sized(_mask_values(holes, node, "holes"), tuple(image.shape[-2:]), len(image), node, "holes")


def _mask_values(mask: Tensor, node: str, socket: str) -> Tensor:
    if mask.ndim not in (2, 3) or not torch.isfinite(mask).all():
        raise ValueError(f"{node}, socket '{socket}': got shape {tuple(mask.shape)} or NaN; connect a MASK")
    return mask.clone().float().reshape(-1, 1, *mask.shape[-2:]).clamp(0, 1)


def _sized(values: Tensor, size: tuple[int, ...], batch: int, node: str, socket: str) -> Tensor:
    if tuple(values.shape[-2:]) != size:
        values = nn.functional.interpolate(values, size=size, mode="bilinear", align_corners=False)
    if len(values) not in (1, batch):
        raise ValueError(
            f"{node}, socket '{socket}': {len(values)} masks for {batch} images; connect one, or one an image"
        )
    return values


def with_mask(path: HostPath, mask: Tensor | None, feather: int) -> HostPath:
    """A path that knows outside of which mask its picture stays the photograph."""
    return path if mask is None else replace(path, mask=feathered(mask, feather))


def with_holes(path: HostPath, degradation: Degradation | None, vae: Any) -> HostPath:
    """A path that knows where its photograph says nothing, which a degradation tells."""
    if degradation is None or degradation.complete:
        return path
    size = size_of(path, vae)
    known = degradation.observed(torch.ones(1, 1, *degradation.size(*size)))
    if tuple(known.shape[-2:]) != size:  # of a reduction
        known = nn.functional.interpolate(known, size=size, mode="bilinear", align_corners=False)
    return replace(path, known=known)


def with_known(degradation: Degradation | None, path: HostPath) -> Degradation | None:
    """A degradation that leaves out the holes that a path knows of, unless it has holes of its own."""
    if path.known is None or (degradation is not None and not degradation.complete):
        return degradation
    holes = Inpaint(1 - path.known)
    return holes if degradation is None else Composed([degradation, holes])


def check_beside(path: Path, beside: Mapping[str, Tensor], model: Any) -> None:
    """Raise ValueError unless the photograph and masks of a path's file are of the path's picture."""
    height, width = (side * pixels_per_position(model) for side in path.latent.shape[-2:])
    size = (path.layout.height or height, path.layout.width or width)
    for name, x in beside.items():
        channels, batches = ((3, 4), (path.batch,)) if name == "photograph" else ((1,), (1, path.batch))
        fits = x.ndim == 4 and len(x) in batches and x.shape[1] in channels and tuple(x.shape[-2:]) == size
        if not fits or not torch.isfinite(x).all():
            raise ValueError(f"file: its {name}, of shape {tuple(x.shape)}, does not belong to its path; save it again")


def layout_of(latent: dict[str, Any], tiles: Layout | None, samples: Tensor, ratio: int) -> tuple[Layout, Any, Any]:
    """Layout of a LATENT, its photograph (IMAGE or None), and where that is known ((1 or B, 1, h, w) or None)."""
    base = Layout() if tiles is None else tiles
    photograph = latent.get(PHOTOGRAPH)
    if photograph is None:
        return base, None, None
    height, width = photograph.shape[1:3]
    grid = [side * ratio for side in samples.shape[-2:]]
    # Another node may have cut or scaled the latent meanwhile: then the photograph is not its own any more.
    if [height + -height % ratio, width + -width % ratio] != grid or len(photograph) != len(samples):
        return base, None, None
    return replace(base, height=height, width=width), photograph, latent.get(KNOWN)
