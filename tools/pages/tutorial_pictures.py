"""Make the pictures of docs/tutorial.md: ``python -m tools.pages.tutorial_pictures``.

The sample scan restored by the preset "old photograph" with its scratches as holes, and at three strengths.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dmap import PRESETS, Photograph, finish, invert, prepare, shipped
from dmap.image.files import to_tensor
from dmap.restoration import frozen_prior

ROOT = Path(__file__).resolve().parent.parent.parent
SCAN = ROOT / "workflows" / "dmap_old_sample.png"
DOCS = ROOT / "docs"
STRENGTHS = (0.0, 0.5, 1.0)
CROP = (70, 40, 190, 130)


def beside(pictures: list[Image.Image], scale: int, file: Path) -> None:
    """Write pictures of one size side by side, enlarged with visible pixels kept soft."""
    width, height = pictures[0].width * scale, pictures[0].height * scale
    both = Image.new("RGB", (width * len(pictures), height))
    for index, picture in enumerate(pictures):
        both.paste(picture.resize((width, height), Image.Resampling.BICUBIC), (index * width, 0))
    both.save(file, quality=88)


def picture(image: Tensor) -> Image.Image:
    """(1, 3, h, w) in [0, 1] as 8 bit."""
    return Image.fromarray(image[0, :3].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy())


def main() -> None:
    """Restore the scan and write the pictures."""
    with Image.open(SCAN) as scan:
        pixels = to_tensor(scan.convert("RGBA"))[None].float() / 255
    photograph = Photograph(pixels[:, :3], known=pixels[:, 3:])
    settings, model = PRESETS["old photograph"].settings, shipped()
    with torch.no_grad():
        latent = model.encode(photograph.padded(model.multiple))
    path, _ = invert(model, latent, settings, photograph)
    ascent = prepare(model, path, frozen_prior("dmap_quality", model.device), settings)
    ascent.run()
    results = [picture(finish(model, ascent.path, replace(settings, change=share))[0]) for share in STRENGTHS]
    beside([picture(photograph.pixels), results[-1]], 2, DOCS / "tutorial_scan.jpg")
    beside([result.crop(CROP) for result in results], 3, DOCS / "tutorial_strength.jpg")


if __name__ == "__main__":
    main()
