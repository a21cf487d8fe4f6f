"""Seams and cost of restoring by tiles: ``python -m tools.benchmarks.tiles --photo FILE --size 1024``.

The shipped models restore a photograph, scaled to the size, by tiles. Printed are the steps of a change across the
tiles' borders over its steps elsewhere (1: nothing to see): for what the autoencoder alone changes when it decodes the
picture whole, where there are no borders and so what differs from 1 is the picture's content; for the same by tiles;
for the restored picture; and for what the ascent added.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dmap.image.files import FORMATS, to_tensor
from dmap.image.layout import Layout
from dmap.image.photograph import Photograph
from dmap.image.tiles import starts
from dmap.method.ascent import Ascent
from dmap.models.diffusion import LatentDiffusion, shipped
from dmap.restoration import begin, frozen_prior
from dmap.settings import Settings


def borders(length: int, layout: Layout, grid: int) -> list[int]:
    """Where tiles begin and end within a side of ``length`` pixels, given the pixels a latent position."""
    begins = [grid * begin for begin in starts(length // grid, layout.tile // grid, layout.overlap // grid)]
    return sorted({line for begin in begins for line in (begin, begin + layout.tile) if 0 < line < length})


def seam(change: Tensor, lines: list[int], dim: int, grid: int) -> float:
    """Mean step of a change across lines, over the mean step across the other lines of the autoencoder's grid."""
    step = change.diff(dim=dim).abs().mean(dim=[d for d in range(change.ndim) if d != dim % change.ndim])
    others = [line for line in range(grid, change.shape[dim], grid) if line not in lines]
    here, there = (step[torch.tensor(which) - 1].mean() for which in (lines, others))
    return float(here / there)


def by_tiles(model: LatentDiffusion, photograph: Tensor, settings: Settings) -> Ascent:
    """An ascent with the shipped quality model by the settings' tiles, ready to run.

    Args:
        photograph: (1, 3, h, w) in [0, 1], sides multiples of the latent grid.
    """
    return begin(model, Photograph(photograph), frozen_prior("dmap_quality", model.device), settings)


def small_step(tile: int, iterations: int, step_size: float = 0.02) -> Settings:
    """What is looked at: tiles, and an ascent that moves steadily."""
    return Settings(
        tile=tile, iterations=iterations, step_size=step_size, fidelity_weight=20.0, target_score=200.0, shift=0,
        detail="0",
    )  # fmt: skip


def last(ascent: Ascent) -> Tensor:
    """The image of the last iterate; the best one might be the first, in which nothing has changed."""
    with torch.no_grad():
        return ascent.chain(ascent._z)


def scaled(file: Path, size: int, grid: int) -> Tensor:
    """A photograph with its long side scaled to ``size``, cropped to the latent grid."""
    with Image.open(file, formats=FORMATS) as opened:
        image = opened.convert("RGB")
    factor = size / max(image.size)
    image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
    return (
        to_tensor(image.crop((0, 0, image.width - image.width % grid, image.height - image.height % grid)))[None]
        .float()
        .div(255)
    )


def main() -> None:
    """Print a line a change, then the cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, required=True, help="photograph")
    parser.add_argument("--size", type=int, default=1024, help="its long side in pixels")
    parser.add_argument("--tile", type=int, default=512, help="side of the tiles in pixels")
    parser.add_argument("--iterations", type=int, default=2, help="of the ascent")
    options = parser.parse_args()
    model = shipped()
    y = scaled(options.photo, options.size, model.multiple)
    ascent = by_tiles(model, y, small_step(options.tile, options.iterations))
    layout = ascent.path.layout
    began = time.monotonic()
    ascent.run()
    seconds = (time.monotonic() - began) / (options.iterations + 1)
    with torch.no_grad():
        start, whole, end = ascent.chain(ascent.chain.start()), model.decode(model.encode(y)), last(ascent)
    changes = {"autoencoder, whole": whole - y, "autoencoder, tiles": start - y, "restored": end - y}
    changes["ascent alone"] = end - start
    for name, change in changes.items():
        ratios = []
        for dim in (-1, -2):
            lines = borders(y.shape[dim], layout, model.multiple)
            ratios.append(f"{seam(change, lines, dim, model.multiple):5.2f}" if lines else "    -")
        print(f"{name:20} columns {ratios[0]}  rows {ratios[1]}  mean change {float(change.abs().mean()):.4f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{y.shape[-1]}x{y.shape[-2]} px: {seconds:.1f} s an iteration, peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
