"""Find the presets' values on tuning photographs: ``python -m tools.benchmarks.presets --photos DIR --out DIR``.

Each preset is searched on photographs spoilt in the way it is meant for (held-out photographs that the reports leave
out). Chosen is the setting with the best mean rank by judges that see no original and were not climbed, among those at
which SSIM to the original falls by no more than the preset allows. Results are kept: a stopped run goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

import dmap
from dmap.degradations.synthetic import gaussian_blur, gaussian_noise, jpeg, resample
from dmap.fingerprint import digest
from dmap.image.files import centre_crop
from dmap.models.store import WEIGHTS
from dmap.settings import PRESETS, Settings
from tools.benchmarks.evidence.judges import MEASURES, NO_REFERENCE, Judges
from tools.benchmarks.evidence.methods import Tools
from tools.benchmarks.evidence.store import Store
from tools.benchmarks.evidence.tables import Row, table
from tools.pages.make_old_sample import SEPIA
from tools.training.data import list_photos

STRENGTHS = {0.1: 4, 0.2: 4, 0.3: 6}
"""Strength -> steps."""
FIDELITY_WEIGHTS = (60.0, 120.0, 240.0, 400.0)
STEP_SIZES = (0.02, 0.04)
INPUT, NOW = "input", "as shipped"


def light(clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A good photograph: a little softness, noise and compression."""
    return clean, jpeg(gaussian_noise(gaussian_blur(clean, 0.6), 4 / 255, generator), 85)


def heavy(clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Visible blur, noise and compression."""
    return clean, jpeg(gaussian_noise(gaussian_blur(clean, 1.2), 20 / 255, generator), 60)


def aged(clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Faded sepia, softness and grain as of the old sample; the fading is part of the original."""
    grey = clean.mean(dim=1, keepdim=True) * torch.tensor(SEPIA).reshape(1, 3, 1, 1)
    faded = 0.2 + 0.65 * grey
    return faded, gaussian_noise(gaussian_blur(faded, 1.0), 8 / 255, generator, grey=True)


def compressed(clean: Tensor, _: torch.Generator) -> tuple[Tensor, Tensor]:
    """Strong compression alone."""
    return clean, jpeg(clean, 20)


def restored(clean: Tensor, _: torch.Generator) -> tuple[Tensor, Tensor]:
    """What a plain upscaler with sharpening makes of a small, compressed photograph."""
    enlarged = resample(jpeg(clean, 70), 1.5)
    return clean, (enlarged + 0.6 * (enlarged - nn.functional.avg_pool2d(enlarged, 3, 1, 1))).clamp(0, 1)


@dataclass(frozen=True)
class Case:
    """What a preset is for.

    Attributes:
        spoil: (1, 3, h, w) and a generator -> the original to compare with, and the photograph.
        loss: of SSIM, against the photograph as it came, that the preset may cost in the mean.
    """

    spoil: Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]]
    loss: float


CASES: Mapping[str, Case] = {
    "gentle photo": Case(light, 0.0),
    "strong": Case(heavy, 0.01),
    "old photograph": Case(aged, 0.005),
    "JPEG rescue": Case(compressed, 0.005),
    "after another restorer": Case(restored, 0.0),
}


def settings(preset: str) -> dict[str, Settings]:
    """What is tried: the grid with the preset's other settings, and the preset as it is shipped."""
    now = PRESETS[preset].settings
    grid = {
        f"strength {strength:g}, fidelity weight {weight:g}, step {size:g}": replace(
            now, strength=strength, steps=STRENGTHS[strength], fidelity_weight=weight, step_size=size
        )
        for strength, weight, size in itertools.product(STRENGTHS, FIDELITY_WEIGHTS, STEP_SIZES)
    }
    return {NOW: now, **grid}


def tried(
    tools: Tools, judges: Judges, preset: str, how: Settings | None, files: Sequence[Path], size: int
) -> list[Row]:
    """Every photograph, spoilt for the preset and restored with the settings (None: left as it is): a row each."""
    rows: list[Row] = []
    for index, file in enumerate(files):
        clean = centre_crop(file, size)[None]
        original, photograph = CASES[preset].spoil(clean, torch.Generator().manual_seed(index))
        image = photograph
        if how is not None:
            image = dmap.restore(photograph, tools.diffusion, how, tools.prior).image
        rows.append({"photo": file.name, **judges.measure(image, original, tools.prior)})
    return rows


def mean(rows: Sequence[Row], measure: str) -> float:
    """Of a measure over rows."""
    return sum(float(row[measure]) for row in rows) / len(rows)


def choose(found: Mapping[str, Sequence[Row]], loss: float) -> tuple[str, bool]:
    """The setting with the best mean rank by the judges, among those that keep SSIM; and whether any does."""
    tries = [name for name in found if name != INPUT]
    floor = mean(found[INPUT], "ssim") - loss
    keeping = [name for name in tries if mean(found[name], "ssim") >= floor]
    if not keeping:
        return max(tries, key=lambda name: mean(found[name], "ssim")), False
    ranks = dict.fromkeys(keeping, 0)
    for judge in (name for name in NO_REFERENCE if name in found[INPUT][0]):
        better = sorted(keeping, key=lambda name: MEASURES[judge][1] * mean(found[name], judge), reverse=True)
        for rank, name in enumerate(better):
            ranks[name] += rank
    return min(keeping, key=lambda name: ranks[name]), True


def report(preset: str, found: Mapping[str, Sequence[Row]]) -> str:
    """Markdown: every setting's means, and which is chosen."""
    chosen, kept = choose(found, CASES[preset].loss)
    measures = [name for name in MEASURES if name in found[INPUT][0]]
    lines = ([name, *(f"{mean(rows, key):.{MEASURES[key][0]}f}" for key in measures)] for name, rows in found.items())
    verdict = f"**{chosen}**" if kept else f"none keeps SSIM; the least loss has **{chosen}**"
    return f"## {preset}\n\nChosen: {verdict}.\n\n{table(['setting', *measures], lines)}\n"


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.presets", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--out", type=Path, required=True, help="folder for results and presets.md")
    parser.add_argument("--count", type=int, default=6, help="photographs a preset")
    parser.add_argument("--size", type=int, default=192, help="side of the central square in pixels, at least 176")
    parser.add_argument("--presets", nargs="+", choices=list(CASES), default=list(CASES), help="which to search")
    options = parser.parse_args()
    files = list_photos(options.photos, heldout=True)[::2][: options.count]
    tools, judges, store = Tools(), Judges(), Store(options.out / "cells")
    weights = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(WEIGHTS.glob("*.safetensors"))]
    texts = []
    for preset in options.presets:
        found = {}
        for name, how in {INPUT: None, **settings(preset)}.items():
            key = digest([weights, options.size, options.count, str(how)])
            compute = partial(tried, tools, judges, preset, how, files, options.size)
            found[name] = store.rows(f"{preset} {key}", compute)
            print(f"{preset}: {name}", flush=True)
        texts.append(report(preset, found))
        (options.out / "presets.md").write_text("\n".join(texts), encoding="utf-8")
        print(texts[-1], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
