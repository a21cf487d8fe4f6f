"""The photograph and its mask as a path knows them: cropped or filled up to the latent grid, with alpha."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...dmap.degradations import Degradation
from ...dmap.errors import UserError
from ...dmap.fingerprint import checksum
from ...dmap.image.photograph import Photograph
from ...dmap.image.regions import feathered
from ...dmap.method.path import LatentPath
from .features import crop_as_encoder
from .images import channels_first, from_image_socket, values_of
from .session import HostPath

PHOTOGRAPH, KNOWN, ENCODED = "dmap_photograph", "dmap_known", "dmap_encoded"
"""Keys in a LATENT under which DMAP Encode Photo hands on the photograph, where it says something, and what stands for
the latent that it was encoded to: other nodes hand all of them on, whatever they do to the latent itself."""
DROPPED = (
    "the latent was changed after DMAP Encode Photo: what it shows now is inverted, not the photograph of then; its "
    "alpha, holes and lost detail are left out"
)


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


def with_photograph(path: HostPath, image: Tensor, vae: Any, node: str, socket: str = "image") -> HostPath:
    """A path that knows its photograph, an IMAGE with its alpha and out-of-range values, if the size is the path's."""
    pixels = _fit(channels_first(image, node, socket), path, vae)
    if tuple(pixels.shape[-2:]) != size_of(path, vae):
        return path
    photograph = Photograph.of(_batched(pixels, path.path.batch, node, socket).cpu())
    return replace(path, path=replace(path.path, photograph=photograph))


def mask_for(mask: Tensor | None, path: HostPath, vae: Any, node: str, socket: str = "mask") -> Tensor | None:
    """MASK (B, H, W) -> (1 or B, 1, h, w) in [0, 1] at the picture's size.

    Raises:
        UserError: if it is empty or of another number.
    """
    if mask is None:
        return None
    values = mask_values(mask, node, socket)
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
    return 1 - _sized(mask_values(holes, node, "holes"), tuple(image.shape[-2:]), len(image), node, "holes")


def mask_values(mask: Tensor, node: str, socket: str) -> Tensor:
    """MASK (H, W) or (B, H, W) -> (B, 1, H, W) float32 in [0, 1].

    Raises:
        UserError: for another shape, or values that are not a mask's.
    """
    if not isinstance(mask, Tensor) or mask.ndim not in (2, 3) or not mask.numel():
        got = f"shape {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise UserError(f"{node}, socket '{socket}': got {got}; connect a MASK")
    return values_of(mask, node, socket).clone().reshape(-1, 1, *mask.shape[-2:]).clamp(0, 1)


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


def with_latent_mask(path: HostPath, vae: Any, node: str) -> HostPath:
    """A path whose own mask, of the latent that it came from, lies on its picture."""
    own = path.path.mask
    if own is None:
        return path
    return replace(path, path=replace(path.path, mask=mask_for(own[:, 0], path, vae, node, "path")))


def latent_mask(latent: dict[str, Any], batch: int, node: str) -> Tensor | None:
    """The noise mask of a LATENT (SetLatentNoiseMask) as (1 or B, 1, h, w) in [0, 1]; None if it lets all change.

    Raises:
        UserError: if it is empty, of another number, or no mask.
    """
    mask = latent.get("noise_mask")
    if mask is None:
        return None
    if isinstance(mask, Tensor) and mask.ndim == 4:
        mask = mask.reshape(-1, *mask.shape[-2:])
    values = mask_values(mask, node, "latent")
    if float(values.max()) == 0:
        raise UserError(f"{node}, socket 'latent': its noise mask is empty, so nothing could change; take it off")
    values = _sized(values, tuple(values.shape[-2:]), batch, node, "latent")
    return None if float(values.min()) == 1 else values


def stands_for(samples: Tensor) -> str:
    """What tells a latent from a changed one; videos of one frame, as young hosts have them, count as pictures."""
    return checksum([samples.squeeze(2) if samples.ndim == 5 else samples])


def photograph_of(latent: dict[str, Any], samples: Tensor) -> tuple[Photograph | None, str | None]:
    """The photograph of a LATENT from DMAP Encode Photo, and where it is known; None of another's.

    Returns:
        The photograph, and what is to be said if there was one that is not this latent's any more.
    """
    image = latent.get(PHOTOGRAPH)
    if image is None:
        return None, None
    # Other nodes copy what they do not know, also when they sample, turn, cut or join latents.
    if latent.get(ENCODED) != stands_for(samples):
        return None, DROPPED
    return replace(Photograph.of(channels_first(image, "DMAP Encode Photo", "image")), known=latent.get(KNOWN)), None
