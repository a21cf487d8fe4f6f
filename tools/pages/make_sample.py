"""Make the templates' photographs (512x336): ``python -m tools.pages.make_sample PHOTO``; with a FOLDER the others.

The demo's is kept clean and degraded, the others degraded only; ``workflows/dmap_sample.md`` says where they come from.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from PIL import Image

from dmap.degradations.synthetic import gaussian_blur, gaussian_noise, jpeg
from dmap.image.files import FORMATS, to_tensor

ROOT = Path(__file__).resolve().parent.parent.parent
SIZE = (512, 336)
BLUR, NOISE, QUALITY, SEED = 0.8, 10 / 255, 50, 0
OTHERS = {
    "arena": "roman-colosseum", "bird": "canyon-wren", "desert": "extreme-desert-hike", "dog": "inc-dog",
    "flower": "blue-periwinkle", "food": "bo-healthy-salad", "house": "casa-mila", "lake": "lake-sherburne",
    "otters": "oakland-zoo-otters", "shop": "immich-text-japanese-shop",
}  # fmt: skip
"""What dmap_sample_NAME.jpg is made of."""


def crop(photo: Path) -> Image.Image:
    """The middle of a photograph at the samples' size."""
    with Image.open(photo, formats=FORMATS) as image:
        width, height = (
            min(image.width, image.height * SIZE[0] / SIZE[1]),
            min(image.height, image.width * SIZE[1] / SIZE[0]),
        )
        left, top = (image.width - width) / 2, (image.height - height) / 2
        return image.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS, (left, top, left + width, top + height))


def spoil(clean: Image.Image) -> Image.Image:
    """A photograph softened, with noise, and through JPEG."""
    pixels = gaussian_blur(to_tensor(clean)[None].float() / 255, BLUR)
    pixels = jpeg(gaussian_noise(pixels, NOISE, torch.Generator().manual_seed(SEED)), QUALITY)
    return Image.fromarray(pixels[0].mul(255).round().byte().permute(1, 2, 0).numpy())


def make(photo: Path, folder: Path) -> None:
    """Write dmap_sample_clean.png and dmap_sample.png into ``folder``."""
    clean = crop(photo)
    clean.save(folder / "dmap_sample_clean.png", optimize=True)
    spoil(clean).save(folder / "dmap_sample.png", optimize=True)


def make_others(photos: Path, folder: Path) -> None:
    """Write the other templates' samples into ``folder``."""
    for name, photo in OTHERS.items():
        spoil(crop(photos / f"{photo}.jpg")).save(folder / f"dmap_sample_{name}.jpg", quality=90)


if __name__ == "__main__":
    source = Path(sys.argv[1])
    (make_others if source.is_dir() else make)(source, ROOT / "workflows")
