"""Picture files and tensors: what a photograph's file holds besides its pixels is kept."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..errors import UserError
from ..output import replacing
from .photograph import Photograph, picture_values

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
"""Of the files in a folder that are taken for photographs."""
WRITABLE = (".png", ".jpg", ".jpeg", ".webp")
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
"""What is read; others, such as EPS, are programs rather than pictures."""
WITHOUT_ALPHA = (".jpg", ".jpeg")

FAULTS = (
    OSError, ValueError, SyntaxError, Image.DecompressionBombError, struct.error, zlib.error, EOFError, LookupError,
    ArithmeticError, TypeError, AttributeError, RuntimeError, AssertionError,
)  # fmt: skip
"""What Pillow raises for files that are no pictures, cut off or damaged; broken EXIF ends in a SyntaxError."""


@dataclass(frozen=True)
class About:
    """What a picture's file says besides its pixels.

    Attributes:
        exif: EXIF data, its orientation taken out.
        icc_profile: colour profile.
        dpi: dots an inch, across and down.
    """

    exif: bytes | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None


def read_upright(file: Path) -> Image.Image:
    """A picture as RGB, turned as its EXIF says; alpha is dropped.

    16-bit grey is scaled to 8 bits: Pillow's own conversion would clip it to white.

    Raises:
        FAULTS: if the file is missing, damaged or no picture.
    """
    with Image.open(file, formats=FORMATS) as opened:
        return _eight_bits(ImageOps.exif_transpose(opened)).convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    if picture.mode == "F":  # Pillow's own conversion takes 0..1 for 0..255 and gives black
        values = picture_values(torch.from_numpy(np.array(picture))[None]).clamp(0, 1)
        return Image.fromarray(values[0].mul(255).round().byte().numpy())
    if not picture.mode.startswith("I"):
        return picture
    words = np.asarray(picture).astype(np.int64)
    if words.min() < 0 or words.max() > 65535:
        raise UserError(
            f"its values go from {words.min()} to {words.max()}; grey of more than 8 bits goes from 0 to 65535, save "
            "it so"
        )
    return Image.fromarray((words // 257).astype(np.uint8))


def photograph_of(picture: Image.Image) -> tuple[Photograph, About]:
    """A Pillow image, turned as its EXIF says, and what it holds besides its pixels."""
    upright = ImageOps.exif_transpose(picture)
    info = upright.info
    about = About(info.get("exif"), info.get("icc_profile"), info.get("dpi"))
    has_alpha = upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in info
    pixels = np.array(_eight_bits(upright).convert("RGBA" if has_alpha else "RGB"))
    return Photograph.of(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255), about


def read_photograph(file: str | os.PathLike[str]) -> tuple[Photograph, About]:
    """A photograph's file: pixels and alpha upright, and what it holds besides.

    Raises:
        UserError: if the file is missing or no picture.
    """
    try:
        with Image.open(file, formats=FORMATS) as opened:
            return photograph_of(opened)
    except FileNotFoundError as error:
        raise UserError(f"{file}: there is no such file") from error
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except FAULTS as error:
        raise UserError(f"{file}: it cannot be read as a picture ({error})") from error


def write_picture(image: Tensor, file: str | os.PathLike[str], about: About | None = None) -> None:
    """Write (1, 3 or 4, h, w) in [0, 1] as an 8-bit picture; a reader finds the old file or the whole new one.

    JPEG files hold no alpha: it is left out there.

    Raises:
        UserError: for a name without a suffix of ``WRITABLE``.
    """
    file, about = Path(file), About() if about is None else about
    if file.suffix.lower() not in WRITABLE:
        raise UserError(f"{file}: the result's name must end in one of {', '.join(WRITABLE)}")
    pixels = image[0, :3] if file.suffix.lower() in WITHOUT_ALPHA else image[0]
    array = pixels.detach().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    known: dict[str, Any] = {"exif": about.exif, "icc_profile": about.icc_profile, "dpi": about.dpi}
    beside = {name: value for name, value in known.items() if value is not None}
    with replacing(file) as new:
        Image.fromarray(np.ascontiguousarray(array)).save(new, quality=95, **beside)


def to_tensor(image: Image.Image) -> Tensor:
    """A picture as (3, h, w) uint8."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


def centre_crop(file: Path, side: int) -> Tensor:
    """The largest centred square of a photograph, scaled to ``side``: (3, side, side) float32 in [0, 1]."""
    with Image.open(file, formats=FORMATS) as image:
        edge = min(image.size)
        left, top = (image.width - edge) // 2, (image.height - edge) // 2
        square = image.convert("RGB").crop((left, top, left + edge, top + edge))
        return to_tensor(square.resize((side, side), Image.Resampling.LANCZOS)).float() / 255
