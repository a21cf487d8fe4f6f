"""Picture files and tensors: what a photograph's file holds besides its pixels is kept."""

from __future__ import annotations

import contextlib
import io
import math
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..errors import UserError
from ..output import replacing
from . import deep
from .photograph import Photograph

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm"}
"""Of the files in a folder that are taken for photographs."""
WRITABLE = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
"""What is read; others, such as EPS, are programs rather than pictures."""
WITHOUT_ALPHA = (".jpg", ".jpeg")
DEEP = (".png", ".tif", ".tiff")
"""Of files that can hold 16 bits a channel."""
PIXEL_LIMIT = 178_956_970
"""Pixels of the largest picture that is read; Pillow's own limit, above which it takes a file for an attack."""

FAULTS = (
    OSError, ValueError, SyntaxError, Image.DecompressionBombError, struct.error, zlib.error, EOFError, LookupError,
    ArithmeticError, TypeError, AttributeError, RuntimeError, AssertionError,
)  # fmt: skip
"""What Pillow raises for files that are no pictures, cut off or damaged; broken EXIF ends in a SyntaxError."""

_ORIENTATION = 274
# Tags of a TIFF that say how its pixels are stored, and are no facts about the photograph.
_STORAGE = (254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 330, 338,
            339, 347, 700, 34675)  # fmt: skip


@dataclass(frozen=True)
class About:
    """What a picture's file says besides its pixels.

    Attributes:
        exif: EXIF data, its orientation taken out.
        icc_profile: colour profile, of RGB.
        dpi: dots an inch, across and down.
        bits: of a channel, 8 or 16.
        notes: what was changed in reading, in sentences.
    """

    exif: bytes | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    bits: int = 8
    notes: tuple[str, ...] = ()


def _check_file(file: str | os.PathLike[str]) -> None:
    """Raise UserError unless it is a plain file: reading a pipe or a device might never end."""
    try:
        mode = os.stat(file).st_mode
    except FileNotFoundError as error:
        raise UserError(f"{file}: there is no such file") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: it cannot be read ({error})") from error
    if stat.S_ISDIR(mode):
        raise UserError(f"{file}: it is a folder")
    if not stat.S_ISREG(mode):
        raise UserError(f"{file}: it is no plain file but a pipe or a device; copy the picture into a file")


def _open(file: IO[bytes]) -> Image.Image:
    """Open a picture, its pixels not read yet. Raises UserError for one that is too large or holds no brightness."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        opened = Image.open(file, formats=FORMATS)
    if opened.width * opened.height > PIXEL_LIMIT:
        raise UserError(
            f"it has {opened.width} x {opened.height} pixels, more than {PIXEL_LIMIT / 1e6:.0f} million; shrink it"
        )
    if opened.mode == "F" or (opened.mode == "I" and opened.format != "PNG"):
        raise UserError("its pixels are floating-point, signed or 32-bit numbers, which do not say what is white; save "
                        "it with 16 bits a channel")  # fmt: skip
    return opened


def size_of(file: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width of a picture's file as stored, without reading its pixels.

    Raises:
        UserError: if the file is missing or no picture.
    """
    with _named(file), open(file, "rb") as content:
        opened = _open(content)
        return opened.height, opened.width


@contextlib.contextmanager
def _named(file: str | os.PathLike[str]) -> Iterator[None]:
    """Errors of reading a file say which one; other than plain files are refused."""
    _check_file(file)
    try:
        yield
    except UserError as error:
        raise error.within(f"{file}: ") from error
    except UnidentifiedImageError as error:
        raise UserError(
            f"{file}: it cannot be read as a picture (it is none of {', '.join(FORMATS)}, or its pixels are of a "
            "kind that cannot be read, such as floating-point colours)"
        ) from error
    except FAULTS as error:
        raise UserError(f"{file}: it cannot be read as a picture ({error})") from error


def read_upright(file: Path) -> Image.Image:
    """A picture as RGB of 8 bits, turned as its EXIF says; alpha is dropped.

    Raises:
        UserError: if the file is missing, damaged or no picture.
    """
    with _named(file), open(file, "rb") as content:
        opened = _open(content)
        if deep.is_deep(opened):
            pixels, _ = deep.read(content, FORMATS)
            colour = pixels[..., :3] if pixels.shape[2] > 2 else pixels[..., :1].repeat(3, 2)
            return Image.fromarray((colour // 257).astype(np.uint8))
        return _in_rgb(ImageOps.exif_transpose(opened), About())[0].convert("RGB")


def photograph_of(picture: Image.Image) -> tuple[Photograph, About]:
    """A Pillow image, turned as its EXIF says, and what it holds besides its pixels."""
    upright, about = _in_rgb(ImageOps.exif_transpose(picture), _about(picture))
    if upright.mode.startswith("I"):
        grey = np.asarray(upright).astype(np.uint32).clip(0, deep.WHITE).astype(np.uint16)
        return _photograph(grey[..., None], deep.WHITE), replace(about, bits=16)
    has_alpha = upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info
    return _photograph(np.array(upright.convert("RGBA" if has_alpha else "RGB")), 255), about


def _photograph(pixels: np.ndarray[Any, Any], white: int) -> Photograph:
    """Of (h, w, 1 to 4) whole numbers."""
    if pixels.shape[2] == 2:
        pixels = pixels[..., [0, 0, 0, 1]]
    return Photograph.of(torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None] / white)


def _about(picture: Image.Image) -> About:
    """What a picture, loaded, says of itself; before it is turned to RGB."""
    upright = ImageOps.exif_transpose(picture)
    dpi = upright.info.get("dpi")
    if picture.format == "TIFF":  # its tags say how it lies in the file as well as what it shows
        kept = picture.getexif()
        dpi = dpi if 282 in kept else None
        for tag in (*_STORAGE, _ORIENTATION, 282, 283, 296):
            kept.pop(tag, None)
        exif = kept.tobytes() if len(kept) else None
    else:
        exif = upright.info.get("exif")
    try:
        across, down = (float(one) for one in dpi or ())
        dpi = (across, down) if all(math.isfinite(one) and one > 0 for one in (across, down)) else None
    except (TypeError, ValueError, ZeroDivisionError):
        dpi = None
    notes = []
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":  # the others of a phone's are previews and depths
        notes.append(f"it holds {frames} pictures, the first is taken")
    return About(exif, upright.info.get("icc_profile"), dpi, notes=tuple(notes))


def _in_rgb(upright: Image.Image, about: About) -> tuple[Image.Image, About]:
    """Without inks, palettes and profiles of them: grey stays grey. What was done is noted."""
    profile, notes = about.icc_profile, list(about.notes)
    space = None if profile is None else profile[16:20]
    if upright.mode == "CMYK":
        by = "without a colour profile, so that colours are rough"
        if space == b"CMYK" and profile is not None:
            try:
                srgb = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(upright, io.BytesIO(profile), srgb, outputMode="RGB")
                assert converted is not None
                upright, by = converted, "by its colour profile"
            except ImageCms.PyCMSError:
                by = "without its colour profile, which is damaged"
        upright, space = upright.convert("RGB"), None
        notes.append(f"CMYK is turned to sRGB, {by}")
    elif upright.mode in ("P", "PA"):
        notes.append("its palette is turned to RGB")
    elif space not in (None, b"RGB "):
        notes.append("its colour profile is not of RGB and is left out")
    return upright, replace(about, icc_profile=profile if space == b"RGB " else None, notes=tuple(notes))


def read_photograph(file: str | os.PathLike[str]) -> tuple[Photograph, About]:
    """A photograph's file: pixels and alpha upright, to the depth they have there, and what it holds besides.

    Raises:
        UserError: if the file is missing, no picture, too large, or holds floating-point numbers.
    """
    with _named(file), open(file, "rb") as content:
        opened = _open(content)
        if not deep.is_deep(opened):
            return photograph_of(opened)
        pixels, eight = deep.read(content, FORMATS)
        about = _in_rgb(eight, _about(eight))[1]
        return _photograph(pixels, deep.WHITE), replace(about, bits=16)


def write_picture(image: Tensor, file: str | os.PathLike[str], about: About | None = None) -> None:
    """Write (1, 3 or 4, h, w) in [0, 1] as a picture; a reader finds the old file or the whole new one.

    The picture has ``about.bits`` bits a channel in formats of ``DEEP``, else 8. JPEG files hold no alpha: it is left
    out there.

    Raises:
        UserError: for a name without a suffix of ``WRITABLE``.
        OSError: if it cannot be written; nothing of it is left then.
    """
    file, about = Path(file), About() if about is None else about
    suffix = file.suffix.lower()
    if suffix not in WRITABLE:
        raise UserError(f"{file}: the result's name must end in one of {', '.join(WRITABLE)}")
    pixels = (image[0, :3] if suffix in WITHOUT_ALPHA else image[0]).detach().clamp(0, 1).permute(1, 2, 0).cpu()
    with replacing(file) as new, open(new, "wb") as result:
        if about.bits == 16 and suffix in DEEP:
            encode = deep.png if suffix == ".png" else deep.tiff
            array = pixels.double().mul(deep.WHITE).round().numpy().astype(np.uint16)
            result.write(encode(array, about.exif, about.icc_profile, about.dpi))
        else:
            known: dict[str, Any] = {"exif": about.exif, "icc_profile": about.icc_profile, "dpi": about.dpi}
            beside = {name: value for name, value in known.items() if value is not None}
            beside |= {"compression": "tiff_adobe_deflate"} if suffix in (".tif", ".tiff") else {"quality": 95}
            eight = Image.fromarray(np.ascontiguousarray(pixels.mul(255).round().byte().numpy()))
            eight.save(result, format=Image.registered_extensions()[suffix], **beside)


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
