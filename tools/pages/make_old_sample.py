"""Make the sample of the old photograph from the clean one: ``python -m tools.pages.make_old_sample``.

A crop in faded sepia, softened, with grain and scratches; its alpha channel is 0 on the scratches.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from dmap.degradations.synthetic import gaussian_blur, gaussian_noise
from dmap.image.files import FORMATS, to_tensor

FOLDER = Path(__file__).resolve().parent.parent.parent / "workflows"
BOX = (150, 40, 406, 232)
SEPIA = (1.0, 0.87, 0.70)
BLUR, NOISE, SEED = 1.0, 8 / 255, 0


def make(clean: Path, target: Path) -> None:
    """Write the aged crop of ``clean`` as an RGBA file."""
    with Image.open(clean, formats=FORMATS) as image:
        pixels = to_tensor(image.convert("L").convert("RGB").crop(BOX))[None].float() / 255
    pixels = gaussian_blur(0.2 + 0.65 * pixels, BLUR) * torch.tensor(SEPIA).reshape(1, 3, 1, 1)
    pixels = gaussian_noise(pixels, NOISE, torch.Generator().manual_seed(SEED), grey=True)
    picture = Image.fromarray(pixels[0].mul(255).round().byte().permute(1, 2, 0).numpy())
    width, height = picture.size
    scratches = Image.new("L", picture.size, 255)
    draw, generator = ImageDraw.Draw(scratches), np.random.default_rng(SEED)
    for _ in range(6):
        x, lean = generator.uniform(0, width), generator.uniform(-20, 20)
        top, bottom = sorted(generator.uniform(0, height, 2))
        draw.line((x, top, x + lean, bottom), fill=0, width=int(generator.integers(2, 4)))
    for _ in range(10):
        x, y, radius = generator.uniform(0, width), generator.uniform(0, height), generator.uniform(1, 3)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
    picture.paste((235, 225, 205), mask=scratches.point(lambda value: 255 - value))
    picture.putalpha(scratches)
    picture.save(target, optimize=True)


if __name__ == "__main__":
    make(FOLDER / "dmap_sample_clean.png", FOLDER / "dmap_old_sample.png")
