"""Make the pictures of the pack's page in the Comfy registry: ``python -m tools.pages.registry_pictures``.

docs/icon.jpg (400 x 400, the most that the registry takes) and docs/banner.jpg (21:9), out of what the demo made of its
sample photograph, docs/restore_demo.jpg: left of the line before, right of it after.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from dmap.image.files import FORMATS

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
DEMO = DOCS / "restore_demo.jpg"
ICON, BANNER = (400, 400), (1260, 540)
PANEL = 440  # pixels of the banner for its text
LINES = (
    ("DMAP", 150, 92),
    ("photo restoration", 232, 46),
    ("A quality model's gradient", 330, 27),
    ("in a diffusion model's latents:", 368, 27),
    ("faithful to your photograph", 406, 27),
)  # what, the middle's y and the size


def half_and_half(size: tuple[int, int], centre: tuple[float, float], height: float) -> Image.Image:
    """The same crop of both photographs, the left half of the first beside the right half of the second.

    Args:
        size: width and height of the picture, in pixels.
        centre: the crop's middle, x and y as shares of the photograph.
        height: the crop's height as a share of the photograph's.
    """
    with Image.open(DEMO, formats=FORMATS) as demo:
        width, tall = demo.width // 2, demo.height
        before, after = (demo.convert("RGB").crop((x, 0, x + width, tall)) for x in (0, width))
    high = height * tall
    wide = high * size[0] / size[1]
    left = min(max(centre[0] * width - wide / 2, 0), width - wide)
    top = min(max(centre[1] * tall - high / 2, 0), tall - high)
    box = (left, top, left + wide, top + high)
    picture, other = (each.resize(size, Image.Resampling.LANCZOS, box) for each in (before, after))
    middle = size[0] // 2
    picture.paste(other.crop((middle, 0, *size)), (middle, 0))
    ImageDraw.Draw(picture).line((middle, 0, middle, size[1]), fill="white", width=max(2, size[1] // 130))
    return picture


def icon() -> Image.Image:
    """The face."""
    return half_and_half(ICON, (0.45, 0.45), 0.86)


def banner() -> Image.Image:
    """The photograph beside a dark panel with the pack's name."""
    picture = Image.new("RGB", BANNER, "#14141c")
    picture.paste(half_and_half((BANNER[0] - PANEL, BANNER[1]), (0.45, 0.5), 1.0), (PANEL, 0))
    draw = ImageDraw.Draw(picture)
    for text, y, size in LINES:
        draw.text((PANEL / 2, y), text, "white", ImageFont.load_default(size), "mm")
    return picture


if __name__ == "__main__":
    icon().save(DOCS / "icon.jpg", quality=90)
    banner().save(DOCS / "banner.jpg", quality=90)
