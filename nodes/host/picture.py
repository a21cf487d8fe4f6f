"""The photograph and its mask as a path knows them: cropped or filled up to the latent grid, with alpha."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...dmap.degradations import Degradation
from ...dmap.errors import UserError
from ...dmap.image.photograph import Photograph
from ...dmap.image.regions import feathered
from ...dmap.method.path import LatentPath
from .features import crop_as_encoder
from .images import channels_first, from_image_socket
from .session import HostPath

PHOTOGRAPH, KNOWN = "dmap_photograph", "dmap_known"
"""Keys in a LATENT under which DMAP Encode Photo hands the photograph on, and where it says something."""


def size_of(path: HostPath, vae: Any) -> tuple[int, int]:
    """Height and width of the path's picture in pixels."""
    layout, ratio = path.path.layout, vae.spacial_compression_decode()
    height, width = (side * ratio for side in path.path.latent.shape[-2:])
    return (layout.height or height, layout.width or width)


def _fit(x: Tensor, path: HostPath, vae: Any) -> Tensor:
    """Crop as VAE Encode did, unless the latent grid was filled up."""
    return x if path.path.layout.height else crop_as_encoder(x, vae)


def _batched(x: Tensor, batch: int, node: str, socket: str) -> Tensor:
    if len(x) not in (1, batch):
        raise UserError(
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
        UserError: if its size or number does not fit the path.
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
        raise UserError(
            f"{node}, socket '{socket}': it is {got} px, but the path is of an image of {needed} px; {advice}"
        )
    return _batched(pixels, path.path.batch, node, socket)


def with_photograph(path: HostPath, image: Tensor, vae: Any, node: str) -> HostPath:
    """A path that knows its photograph, an IMAGE with its alpha and out-of-range values, if the size is the path's."""
    pixels = _fit(channels_first(image), path, vae)
    if tuple(pixels.shape[-2:]) != size_of(path, vae):
        return path
    photograph = Photograph.of(_batched(pixels, path.path.batch, node, "image").cpu())
    return replace(path, path=replace(path.path, photograph=photograph))


def mask_for(mask: Tensor | None, path: HostPath, vae: Any, node: str, socket: str = "mask") -> Tensor | None:
    """MASK (B, H, W) -> (1 or B, 1, h, w) in [0, 1] at the picture's size.

    Raises:
        UserError: if it is empty or of another number.
    """
    if mask is None:
        return None
    values = _mask_values(mask, node, socket)
    if float(values.max()) == 0:
        raise UserError(
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
        raise UserError(f"{node}, socket '{socket}': got shape {tuple(mask.shape)} or NaN; connect a MASK")
    return mask.clone().float().reshape(-1, 1, *mask.shape[-2:]).clamp(0, 1)


def _sized(values: Tensor, size: tuple[int, ...], batch: int, node: str, socket: str) -> Tensor:
    if tuple(values.shape[-2:]) != size:
        values = nn.functional.interpolate(values, size=size, mode="bilinear", align_corners=False)
    if len(values) not in (1, batch):
        raise UserError(
            f"{node}, socket '{socket}': {len(values)} masks for {batch} images; connect one, or one an image"
        )
    return values


def with_mask(path: HostPath, mask: Tensor | None, feather: int, node: str) -> HostPath:
    """A path that knows outside of which mask its picture stays the photograph."""
    if mask is None:
        return path
    if path.path.photograph is None:
        raise UserError(
            f"{node}, socket 'mask': outside of it the result is the photograph, which is not known at the picture's "
            "size; disconnect the mask"
        )
    return _with(path, mask=feathered(mask, feather))


def with_holes(path: HostPath, degradation: Degradation | None, vae: Any) -> HostPath:
    """A path that knows where its photograph says nothing, which a degradation tells."""
    if degradation is None or degradation.complete or path.path.photograph is None:
        return path
    size = size_of(path, vae)
    known = degradation.observed(torch.ones(1, 1, *degradation.size(*size)))
    if tuple(known.shape[-2:]) != size:  # of a reduction
        known = nn.functional.interpolate(known, size=size, mode="bilinear", align_corners=False)
    return _with(path, known=known)


def _with(path: HostPath, **facts: Tensor) -> HostPath:
    assert path.path.photograph is not None
    return replace(path, path=replace(path.path, photograph=replace(path.path.photograph, **facts)))


def check_photograph(path: LatentPath, ratio: int) -> None:
    """Raise UserError unless the photograph of a path's file is of the path's picture."""
    height, width = (side * ratio for side in path.latent.shape[-2:])
    size = (path.layout.height or height, path.layout.width or width)
    if path.photograph is not None and path.photograph.size != size:
        raise UserError(
            f"file: its photograph, of {path.photograph.size[1]}x{path.photograph.size[0]} px, does not belong to its "
            "path; save it again"
        )


def photograph_of(latent: dict[str, Any], samples: Tensor, ratio: int) -> Photograph | None:
    """The photograph of a LATENT from DMAP Encode Photo, and where it is known; None of another's."""
    image = latent.get(PHOTOGRAPH)
    if image is None:
        return None
    height, width = image.shape[1:3]
    grid = [side * ratio for side in samples.shape[-2:]]
    # Another node may have cut or scaled the latent meanwhile: then the photograph is not its own any more.
    if [height + -height % ratio, width + -width % ratio] != grid or len(image) != len(samples):
        return None
    return replace(Photograph.of(channels_first(image)), known=latent.get(KNOWN))
