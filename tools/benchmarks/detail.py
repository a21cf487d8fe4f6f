"""How much of what the autoencoder loses is worth having: ``python -m tools.benchmarks.detail --photos DIR``.

Photographs for tuning in all the degradations of the evidence, before any ascent: decode(encode(y)) and a share of what
that lost, judged against the clean original. ``auto`` is the nodes' estimate, ``uncapped`` the same without its limit.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dmap.image.detail import estimated_share, weighted
from dmap.method.fidelity import fidelity
from dmap.models.diffusion import LatentDiffusion, shipped
from tools.benchmarks.evidence.cells import DEGRADATIONS, SIDE, make, split
from tools.benchmarks.evidence.tables import table
from tools.demo import psnr

FIXED = (0.0, 0.25, 0.5, 0.75, 1.0)


def candidates(model: LatentDiffusion, y: Tensor) -> Mapping[str, Tensor]:
    """Images (B, 3, h, w) in [0, 1] by the name of their share; the share of 1 is the input itself."""
    with torch.no_grad():
        trip = model.decode(model.encode(y))
        missing = y - trip
        shares = {f"{share:g}": torch.full((len(y),), share) for share in FIXED}
        shares |= {"auto": estimated_share(y, missing), "uncapped": estimated_share(y, missing, most=1.0)}
        return {name: (trip + weighted(missing, share)).clamp(0, 1) for name, share in shares.items()}


def main() -> None:
    """Print a Markdown table of PSNR in dB and SSIM, a line a degradation, a column a share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--count", type=int, default=6, help="photographs")
    parser.add_argument("--size", type=int, default=SIDE, help="side of the central square in pixels")
    options = parser.parse_args()
    model, ssim = shipped(), fidelity("ssim")
    found: dict[str, dict[str, list[tuple[float, float]]]] = {name: {} for name in DEGRADATIONS}
    for file in split(options.photos, tuning=True)[: options.count]:
        cells = make(file, 0, len(DEGRADATIONS), options.size)
        for share, images in candidates(model, cells.degraded).items():
            for name, image, clean in zip(cells.degradations, images[:, None], cells.clean[:, None], strict=True):
                values = (psnr(image, clean), 1 - float(ssim(image, clean)))
                found[name].setdefault(share, []).append(values)
    shares = list(next(iter(found.values())))
    means = {name: [torch.tensor(rows[share]).mean(dim=0) for share in shares] for name, rows in found.items()}
    means["all"] = [torch.stack(column).mean(dim=0) for column in zip(*means.values(), strict=True)]
    body = [[name, *(f"{mean[0]:.2f} {mean[1]:.3f}" for mean in row)] for name, row in means.items()]
    print(table(["share", *shares], body))


if __name__ == "__main__":
    main()
