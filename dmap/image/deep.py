"""Pictures of 16 bits a channel: Pillow opens and saves colours with 8."""

from __future__ import annotations

import io
import struct
import zlib
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin

Deep = NDArray[np.uint16]

WHITE = 65535
_SWAPPED = {"16B": "16L", "16L": "16B", "16N": "16B" if np.little_endian else "16L"}
_LITTLE = {"16B": False, "16L": True, "16N": np.little_endian}


def is_deep(opened: Image.Image) -> bool:
    """Whether a file that is opened, and not loaded yet, has 16 bits a channel."""
    return opened.mode.startswith("I;16") or (opened.format == "PNG" and opened.mode == "I") or ";16" in _raw(opened)


def _raw(opened: Image.Image) -> str:
    """What Pillow calls the arrangement of a file's bytes, such as "RGB;16B"; "" if it knows none."""
    tiles: list[Any] = getattr(opened, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    found = arguments[0] if isinstance(arguments, tuple) else arguments
    return found if isinstance(found, str) else ""


def read(file: IO[bytes], formats: tuple[str, ...]) -> tuple[Deep, Image.Image]:
    """Pixels (h, w, 1 to 4) of a picture of which ``is_deep`` holds, upright, and the picture as Pillow loads it.

    Of colours Pillow keeps one byte of two. Which one depends on the byte order that it believes in, so the file is
    decoded twice, once in each order; decompression and filters stay Pillow's.

    Raises:
        ValueError: for an arrangement of bytes that is not known here.
    """
    opened = Image.open(file, formats=formats)
    raw = _raw(opened)
    if opened.mode.startswith("I"):
        grey = np.asarray(ImageOps.exif_transpose(opened))
        return grey.astype(np.uint32).clip(0, WHITE).astype(np.uint16)[..., None], opened
    kind, _, order = raw.partition(";")
    if kind == "LA" and order == "16B":
        # Grey and alpha of two bytes each are four bytes, as red, green, blue and alpha of one each are.
        four = np.asarray(ImageOps.exif_transpose(_loaded(opened, "RGBA"))).astype(np.uint16)
        return four[..., [0, 2]] * 256 + four[..., [1, 3]], opened
    if kind != opened.mode or kind not in ("RGB", "RGBA") or order not in _SWAPPED:
        raise ValueError(f"16 bits a channel, arranged as {raw}, are not known here; save it as RGB or grey")
    high = ImageOps.exif_transpose(_loaded(opened, raw))
    file.seek(0)
    low = ImageOps.exif_transpose(_loaded(Image.open(file, formats=formats), f"{kind};{_SWAPPED[order]}"))
    return np.asarray(high).astype(np.uint16) * 256 + np.asarray(low), opened


def _loaded(opened: Image.Image, raw: str) -> Image.Image:
    """Load a file whose bytes are arranged as ``raw`` says."""
    tiles: list[Any] = opened.tile  # type: ignore[attr-defined]
    for index, one in enumerate(tiles):
        arguments = (raw, *one[3][1:]) if isinstance(one[3], tuple) else raw
        tiles[index] = one._replace(args=arguments) if hasattr(one, "_replace") else (*one[:3], arguments)
    opened.load()
    return opened


def png(pixels: Deep, exif: bytes | None, icc_profile: bytes | None, dpi: tuple[float, float] | None) -> bytes:
    """Pixels (h, w, 3 or 4) as a PNG file of 16 bits a channel (PNG specification, third edition)."""
    height, width, channels = pixels.shape
    parts = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0))]
    if icc_profile is not None:
        parts.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc_profile)))
    if dpi is not None:
        parts.append(_chunk(b"pHYs", struct.pack(">IIB", *(round(one / 0.0254) for one in dpi), 1)))
    if exif is not None:
        parts.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    rows = np.ascontiguousarray(pixels.astype(">u2")).view(np.uint8).reshape(height, -1)
    # Each row as its difference from the one above (filter 2), which compresses better.
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    filtered[1:, 1:] = rows[1:] - rows[:-1]
    parts += [_chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def tiff(pixels: Deep, exif: bytes | None, icc_profile: bytes | None, dpi: tuple[float, float] | None) -> bytes:
    """Pixels (h, w, 3 or 4) as a TIFF file of 16 bits a channel: Deflate, one strip (TIFF 6.0 and its supplements)."""
    height, width, channels = pixels.shape
    # Each pixel as its difference from the one to the left (predictor 2), which compresses better.
    differences = pixels.copy()
    differences[:, 1:] -= pixels[:, :-1]
    strip = zlib.compress(differences.astype("<u2").tobytes(), 6)
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    if exif is not None:
        known = Image.Exif()
        known.load(exif)
        for tag, value in known.items():
            directory[tag] = known.get_ifd(tag) if tag in (34665, 34853) else value
    if dpi is not None:
        directory[282], directory[283], directory[296] = *dpi, 2  # dots an inch
    if icc_profile is not None:
        directory.tagtype[34675] = 7
        directory[34675] = icc_profile
    for tag, number in {256: width, 257: height, 259: 8, 262: 2, 277: channels, 278: height, 317: 2}.items():
        directory[tag] = number
    directory[258] = (16,) * channels
    if channels == 4:
        directory[338] = 2  # the fourth is alpha, and the colours are not multiplied by it
    directory[273], directory[279] = 0, len(strip)  # the place of the strip: counted from the directory's end
    result = io.BytesIO()
    directory.save(result)
    return result.getvalue() + strip
