"""Fit the priors without a network: ``python -m tools.training.statistics --photos DIR --out DIR``, a minute or two.

Mean and spread of good photographs' features, and the map to the common scale.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor

from dmap import tensorfile
from dmap.degradations.synthetic import gaussian_blur, gaussian_noise, jpeg
from dmap.priors import nss, spectrum
from dmap.priors.pristine import FORMAT, VERSION, PristinePrior, distance, fit

from .data import Crops, list_photos

MODELS: dict[str, type[PristinePrior]] = {
    nss.INFO.name: nss.NaturalStatistics,
    spectrum.INFO.name: spectrum.NaturalSpectrum,
}
SIDE, COUNT = 160, 1500


def train(photos: Path, out: Path, seed: int = 0) -> None:
    """Write the statistics of crops of the photographs that are not held out, ``out/NAME.safetensors``.

    The common scale is set by the median crop (75) and the median crop with a middling blur, noise or JPEG (25).
    """
    generator = torch.Generator().manual_seed(seed)
    crops = Crops.load(list_photos(photos, heldout=False), (2.0, 3.0, 4.0), SIDE, generator)
    good = torch.cat([crops.batch(50, SIDE) for _ in range(COUNT // 50)])
    out.mkdir(parents=True, exist_ok=True)
    for name, model in MODELS.items():
        clean = _features(model, good)
        mean, whitening = fit(clean)
        poor = _features(model, _degraded(good[:300], generator))
        middle, worse = (float(distance(x, mean, whitening).median()) for x in (clean, poor))
        slope = -2 * math.log(3) / (worse - middle)
        header = {
            "format": FORMAT, "version": VERSION, "midpoint": repr((middle + worse) / 2), "slope": repr(slope),
            "seed": str(seed), "crops": str(COUNT), "side": str(SIDE),
        }  # fmt: skip
        tensorfile.write(out / f"{name}.safetensors", {"mean": mean, "whitening": whitening}, header)
        print(f"{name}: distance {middle:.2f} of good crops, {worse:.2f} of degraded ones", flush=True)


def _features(model: type[PristinePrior], images: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([model.features(part) for part in torch.split(images, 50)])


def _degraded(images: Tensor, generator: torch.Generator) -> Tensor:
    """A third each blurred, noisy and compressed."""
    first, second, third = images.chunk(3)
    return torch.cat([gaussian_blur(first, 1.2), gaussian_noise(second, 12 / 255, generator), jpeg(third, 30)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.training.statistics", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs (jpg, png, webp)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the statistics files")
    options = parser.parse_args()
    train(options.photos, options.out)
