"""The photographs of a comparison: read, degraded in known ways, and named by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..degradations.synthetic import gaussian_blur, gaussian_noise, jpeg
from ..errors import UserError, number_between
from ..image.files import FAULTS, SUFFIXES, read_upright, to_tensor

Degradation = Callable[[Tensor, torch.Generator], Tensor]

# Each takes (1, 3, h, w) in [0, 1]; sigma in pixels for blur, of 1 for noise.
DEGRADATIONS: dict[str, Degradation] = {
    "none": lambda image, _: image,
    "blur": lambda image, _: gaussian_blur(image, 1.2),
    "noise": lambda image, generator: gaussian_noise(image, 15 / 255, generator),
    "jpeg": lambda image, _: jpeg(image, 25),
    "mixed": lambda image, generator: jpeg(gaussian_noise(gaussian_blur(image, 0.8), 10 / 255, generator), 50),
}


@dataclass(frozen=True)
class Photograph:
    """A photograph as the comparison sees it.

    Attributes:
        name: of the file or, in a graph, of its place in the batch.
        sha256: of the file's bytes, or of the pixels if there is no file.
        pixels: (1, 3, h, w) float32 in [0, 1].
    """

    name: str
    sha256: str
    pixels: Tensor


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, and why."""

    name: str
    reason: str


def read_folder(
    folder: Path, size: int, multiple: int, names: Sequence[str] = (), count: int | None = None
) -> tuple[list[Photograph], list[Skipped]]:
    """Read the photographs of a folder, in the order of their names.

    Args:
        folder: what it holds besides pictures is passed over; subfolders too.
        size: side of the central square in pixels, made smaller, never larger; 0 keeps the whole photograph.
        multiple: sides are cut to multiples of this many pixels.
        names: only these files; empty means all.
        count: at most so many.

    Returns:
        The photographs, and the files that could not be read, are too small or come twice.

    Raises:
        UserError: if the folder does not exist or not one photograph is left.
    """
    if not folder.is_dir():
        raise UserError(f"photos: {folder} is not a folder")
    number_between("size", size, 0, 2**16, "256 is usual, 0 keeps whole photographs", whole=True)
    if count is not None:
        number_between("count", count, 1, 10**9, "leave it out to take all", whole=True)
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    missing = sorted(set(names) - {file.name for file in files})
    skipped = [Skipped(shown_name(name), "there is no such photograph in the folder") for name in missing]
    photographs: list[Photograph] = []
    for file in files:
        if count is not None and len(photographs) >= count:
            break
        if names and file.name not in names:
            continue
        try:
            found = read(file, size, multiple)
        except FAULTS as error:
            skipped.append(Skipped(shown_name(file.name), shown_name(str(error).replace(str(file), file.name))))
            continue
        twin = next((one.name for one in photographs if one.sha256 == found.sha256), None)
        if twin is None:
            photographs.append(found)
        else:
            skipped.append(Skipped(shown_name(file.name), f"it is the same file as {twin}"))
    if not photographs:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in skipped[:5])
        raise UserError(f"photos: no photograph in {folder} can be used ({', '.join(sorted(SUFFIXES))}). {reasons}")
    return photographs, skipped


def shown_name(name: str) -> str:
    """A file's name as text: what is no Unicode in it becomes an escape, so that pages and tables can hold it."""
    return name.encode("utf-8", "backslashreplace").decode()


def read(file: Path, size: int, multiple: int) -> Photograph:
    """One photograph of ``read_folder``. Raises one of ``FAULTS`` if it cannot be used."""
    content = file.read_bytes()
    upright = read_upright(file)
    if size:
        edge = min(upright.size)
        if edge < size:
            raise UserError(f"its smaller side is {edge} px, the comparison uses {size}")
        left, top = (upright.width - edge) // 2, (upright.height - edge) // 2
        square = upright.crop((left, top, left + edge, top + edge))
        upright = square.resize((size, size), Image.Resampling.LANCZOS)
    pixels = cut(to_tensor(upright)[None].float() / 255, multiple)
    return Photograph(shown_name(file.name), hashlib.sha256(content).hexdigest(), pixels)


def cut(image: Tensor, multiple: int) -> Tensor:
    """(1, 3, h, w) without the last rows and columns that do not fill a grid of ``multiple`` pixels."""
    height, width = (side - side % multiple for side in image.shape[-2:])
    if min(height, width) < multiple:
        raise UserError(f"it is smaller than {multiple} px")
    return image[..., :height, :width].contiguous()


def degrade(photograph: Photograph, name: str, seed: int) -> Tensor:
    """A degraded photograph, 8-bit values in float32; the same for a seed whatever the other photographs are."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + int(photograph.sha256[:8], 16)) % 2**63)
    return shown(DEGRADATIONS[name](photograph.pixels, generator))


def shown(image: Tensor) -> Tensor:
    """What a person would be shown: clamped to [0, 1] and rounded to 8 bits."""
    return image.detach().clamp(0, 1).mul(255).round() / 255


def to_bytes(image: Tensor) -> Tensor:
    """(1, 3, h, w) in [0, 1] -> (3, h, w) uint8."""
    return image[0].detach().clamp(0, 1).mul(255).round().byte().cpu()


def from_bytes(image: Tensor) -> Tensor:
    """(3, h, w) uint8 -> (1, 3, h, w) float32 in [0, 1]."""
    return image[None].float() / 255
