"""Picture files: depth, profiles, EXIF and alpha are kept, what cannot be read right is refused."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from dmap.errors import UserError
from dmap.image import files
from dmap.image.files import About, read_photograph, read_upright, size_of, write_picture

ORIENTATION, MODEL, CAMERA = 0x0112, 0x0110, "a camera"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def deep(channels: int, height: int = 9, width: int = 13) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, 65536, (height, width, channels), dtype=np.uint16)


def pixels_of(file: Path) -> np.ndarray:
    photograph, about = read_photograph(file)
    assert about.bits == 16
    found = photograph.composite(photograph.pixels)[0].permute(1, 2, 0).double().mul(65535)
    assert float((found - found.round()).abs().max()) < 0.01
    return found.round().numpy().astype(np.uint16)


def png16(array: np.ndarray, file: Path, row_filter: int = 0) -> None:
    """A PNG of 16 bits, its rows unfiltered or as Paeth's predictor leaves them; independent of the code under test."""
    height, width, channels = array.shape
    rows = array.astype(">u2").view(np.uint8).reshape(height, -1).astype(int)
    step, content = 2 * channels, b""
    for index, row in enumerate(rows):
        above = rows[index - 1] if index else np.zeros_like(row)
        out = row.copy()
        if row_filter == 4:
            for at in range(len(row)):
                a, c = (row[at - step], above[at - step]) if at >= step else (0, 0)
                guess = a + above[at] - c
                out[at] -= min((a, above[at], c), key=lambda one, guess=guess: abs(guess - one))
        content += bytes([row_filter]) + (out % 256).astype(np.uint8).tobytes()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")
    )


def as_read(array: np.ndarray) -> np.ndarray:
    """Grey as three channels."""
    return array[..., {1: [0, 0, 0], 2: [0, 0, 0, 1], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[array.shape[2]]]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("row_filter", [0, 4])
def test_every_bit_of_a_deep_png_is_read(tmp_path: Path, channels: int, row_filter: int) -> None:
    array = deep(channels)
    png16(array, tmp_path / "a.png", row_filter)
    assert (pixels_of(tmp_path / "a.png") == as_read(array)).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_every_bit_of_a_deep_tiff_is_read(tmp_path: Path, channels: int, order: str, compression: str | None) -> None:
    array = deep(channels)
    tifffile.imwrite(
        tmp_path / "a.tif", array if channels > 1 else array[..., 0], byteorder=order,
        photometric="rgb" if channels > 1 else "minisblack",
        compression=compression, extrasamples=["unassalpha"] if channels == 4 else None,
    )  # fmt: skip
    assert (pixels_of(tmp_path / "a.tif") == as_read(array)).all()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_deep_pictures_are_written_to_the_bit_with_all_that_belongs_to_them(
    tmp_path: Path, suffix: str, channels: int
) -> None:
    """Read again by this code, by Pillow and, the TIFF, by tifffile."""
    array, file = deep(channels), tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[MODEL] = CAMERA
    exif.get_ifd(0x8769)[0x9003] = "2001:02:03 04:05:06"  # in the directory below
    about = About(exif.tobytes(), SRGB, (300.0, 300.0), 16)
    write_picture(torch.from_numpy(array.astype(np.float32) / 65535).permute(2, 0, 1)[None], file, about)
    assert (pixels_of(file) == array).all()
    if suffix != ".png":
        assert (tifffile.imread(file) == array).all()
    found = read_photograph(file)[1]
    assert found.icc_profile == SRGB
    assert found.dpi == pytest.approx((300, 300), abs=0.1)
    kept = Image.Exif()
    kept.load(found.exif)
    assert kept[MODEL] == CAMERA
    assert kept.get_ifd(0x8769)[0x9003] == "2001:02:03 04:05:06"
    with Image.open(file) as opened:
        opened.load()
        assert opened.size == (13, 9)
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_what_a_file_says_of_its_photograph_is_kept(tmp_path: Path, suffix: str) -> None:
    """From every format to every other: EXIF without its orientation, profile, dots an inch."""
    exif = Image.Exif()
    exif[MODEL], exif[ORIENTATION] = CAMERA, 6
    source = tmp_path / f"in{suffix}"
    colours = np.random.default_rng(0).integers(0, 255, (20, 40, 3), dtype=np.uint8)
    Image.fromarray(colours).save(source, exif=exif, icc_profile=SRGB, dpi=(240, 240))
    photograph, about = read_photograph(source)
    assert photograph.size == (40, 20)
    assert about.icc_profile == SRGB
    for other in (".png", ".jpg", ".webp", ".tif"):
        out = tmp_path / f"out{other}"
        write_picture(photograph.pixels, out, about)
        again, said = read_photograph(out)
        assert again.size == (40, 20), "the orientation would be applied twice"
        with Image.open(out) as opened:
            opened.load()
            kept = opened.getexif()
        assert (kept.get(MODEL), kept.get(ORIENTATION, 1)) == (CAMERA, 1)
        assert said.icc_profile == SRGB
        if suffix != ".webp" != other:  # it has no place for it
            assert said.dpi == pytest.approx((240, 240), abs=0.6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_are_turned_as_shallow_ones_are(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    array = deep(3)
    write_picture(
        torch.from_numpy(array.astype(np.float32) / 65535).permute(2, 0, 1)[None], tmp_path / "deep.png",
        About(exif.tobytes(), bits=16),
    )  # fmt: skip
    Image.fromarray((array // 256).astype(np.uint8)).save(tmp_path / "shallow.png", exif=exif)
    upright = read_photograph(tmp_path / "shallow.png")[0].pixels[0].permute(1, 2, 0).mul(255).round().numpy()
    assert (pixels_of(tmp_path / "deep.png") // 256 == upright).all()


def test_inks_and_palettes_are_converted_and_said(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "ink.jpg", quality=100)
    photograph, about = read_photograph(tmp_path / "ink.jpg")
    assert photograph.pixels[0, :, 4, 4].tolist() == pytest.approx([1, 0, 0], abs=0.05)
    assert about.icc_profile is None
    assert "CMYK" in about.notes[0]
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    palette.save(tmp_path / "palette.png")
    photograph, about = read_photograph(tmp_path / "palette.png")
    assert photograph.pixels[0, :, 4, 4].mul(255).tolist() == pytest.approx([10, 200, 30])
    assert "palette" in about.notes[0]


def test_a_profile_of_grey_does_not_go_with_colours(tmp_path: Path) -> None:
    grey = bytearray(SRGB)
    grey[16:20] = b"GRAY"
    Image.new("L", (8, 8), 99).save(tmp_path / "grey.png", icc_profile=bytes(grey))
    about = read_photograph(tmp_path / "grey.png")[1]
    assert about.icc_profile is None
    assert "profile" in about.notes[0]


def test_numbers_without_a_white_are_refused(tmp_path: Path) -> None:
    for name, kind in (("float", np.float32), ("long", np.uint32), ("signed", np.int16)):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((8, 8), kind), photometric="minisblack")
        with pytest.raises(UserError, match="16 bits"):
            read_photograph(tmp_path / f"{name}.tif")
    tifffile.imwrite(tmp_path / "colour.tif", np.zeros((8, 8, 3), np.float32), photometric="rgb")
    with pytest.raises(UserError, match="cannot be read as a picture"):
        read_photograph(tmp_path / "colour.tif")


def test_only_plain_files_of_known_formats_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "page.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    Image.new("RGB", (8, 8)).save(tmp_path / "icon.icns")
    for file, words in (
        (tmp_path / "pipe.png", "pipe or a device"),
        (Path("/dev/zero"), "pipe or a device"),
        (tmp_path, "it is a folder"),
        (tmp_path / "nothing.png", "no such file"),
        (tmp_path / "page.eps", "cannot be read as a picture"),
        (tmp_path / "icon.icns", "cannot be read as a picture"),
    ):
        for read in (read_photograph, read_upright, size_of):
            with pytest.raises(UserError, match=words):
                read(file)


def test_a_picture_that_is_too_large_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIXEL_LIMIT", 63)
    Image.new("RGB", (8, 8)).save(tmp_path / "large.png")
    with pytest.raises(UserError, match="8 x 8 pixels"):
        read_photograph(tmp_path / "large.png")


def test_nothing_is_left_of_a_picture_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"old")

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="No space"):
        write_picture(torch.zeros(1, 3, 8, 8), file)
    assert file.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.png"]
