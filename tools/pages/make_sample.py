"""Make the demo's photograph, clean and degraded (512x336): ``python -m tools.pages.make_sample PHOTO``."""

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


def make(photo: Path, folder: Path) -> None:
    """Write dmap_sample_clean.png and dmap_sample.png into ``folder``."""
    with Image.open(photo, formats=FORMATS) as image:
        height = round(image.width * SIZE[1] / SIZE[0])
        top = (image.height - height) // 2
        clean = image.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS, (0, top, image.width, top + height))
    clean.save(folder / "dmap_sample_clean.png", optimize=True)
    pixels = gaussian_blur(to_tensor(clean)[None].float() / 255, BLUR)
    pixels = jpeg(gaussian_noise(pixels, NOISE, torch.Generator().manual_seed(SEED)), QUALITY)
    array = pixels[0].mul(255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(folder / "dmap_sample.png", optimize=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]), ROOT / "workflows")
