"""How far a photograph and what an autoencoder gives back of it are apart, for the bound in dmap/image/agreement.py.

python -m tools.benchmarks.agreement --photos DIR
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from dmap.image.agreement import BOUND, disagreement
from dmap.image.files import centre_crop
from dmap.models.diffusion import shipped
from tools.training.data import list_photos

SIDE = 256


def main() -> None:
    """Print the least, the median and the largest disagreement of each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--count", type=int, default=24, help="so many of them (default: 24)")
    options = parser.parse_args()
    model = shipped()
    found: dict[str, list[float]] = {}
    generator = torch.Generator().manual_seed(0)
    photos = [centre_crop(file, SIDE)[None] for file in list_photos(options.photos, heldout=False)[: options.count]]

    def round_trip(image: Tensor, change: Callable[[Tensor], Tensor] = lambda z: z) -> Tensor:
        return disagreement(model.decode(change(model.encode(image))), image)

    order = torch.tensor([1, 0, 3, 2, 5, 4, 7, 6])
    with torch.no_grad():
        for index, image in enumerate(photos):
            noise = torch.randn(image.shape, generator=generator)
            decoded, other = model.decode(model.encode(image)), photos[(index + 1) % len(photos)]
            for name, value in {
                "its own": round_trip(image),
                "with noise of 0.1": round_trip((image + 0.1 * noise).clamp(0, 1)),
                "with noise of 0.3": round_trip((image + 0.3 * noise).clamp(0, 1)),
                "latent times 1.5": round_trip(image, lambda z: 1.5 * z),
                "latent times 0.5": round_trip(image, lambda z: 0.5 * z),
                "channels exchanged": round_trip(image, lambda z: z[:, order]),
                "inverted image": disagreement(decoded, 1 - image),
                "another photograph": disagreement(decoded, other),
            }.items():
                found.setdefault(name, []).append(float(value))
    print(f"| of {len(photos)} photographs, {SIDE} px | least | median | most |\n|---|---|---|---|")
    for name, values in found.items():
        ordered = sorted(values)
        row = " | ".join(f"{value:.3f}" for value in (ordered[0], ordered[len(ordered) // 2], ordered[-1]))
        print(f"| {name} | {row} |")
    print(f"\nThe bound is {BOUND}.")


if __name__ == "__main__":
    main()
