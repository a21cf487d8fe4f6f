"""Whether taking the photograph's coarse colour helps: ``python -m tools.benchmarks.colour --photos DIR``.

Held-out photographs with the mixed degradation, restored in few steps with the nodes' fidelity and with the paper's,
finished by each colour transfer. Judged against the clean original: PSNR, SSIM and mean colour difference (CIE76) of
8x8 means.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

import dmap
from dmap.image.files import centre_crop
from dmap.image.finish import COLOURS, transfer_colour
from dmap.method.fidelity import fidelity
from tools.benchmarks.climbs import degradations
from tools.benchmarks.evidence.methods import Tools
from tools.demo import psnr
from tools.training.data import list_photos


def colour_difference(first: Tensor, second: Tensor) -> float:
    """Mean CIE76 difference of 8x8 means of two (1, 3, h, w) in [0, 1]; 2.3 is just noticeable."""
    from kornia.color import rgb_to_lab

    means = [rgb_to_lab(nn.functional.avg_pool2d(image.clamp(0, 1), 8)) for image in (first, second)]
    return float((means[0] - means[1]).square().sum(dim=1).sqrt().mean())


def main() -> None:
    """Print a table of means, a line a fidelity and colour transfer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the photographs")
    parser.add_argument("--count", type=int, default=4, help="photographs")
    parser.add_argument("--size", type=int, default=96, help="side of the crops in pixels")
    parser.add_argument("--iterations", type=int, default=5, help="of the ascent")
    options = parser.parse_args()
    shipped, ssim = Tools(), fidelity("ssim")
    print("fidelity     colour    PSNR dB  SSIM   colour difference")
    for name in ("nlpd_colour", "nlpd"):
        rows: dict[str, list[Tensor]] = {colour: [] for colour in COLOURS}
        for index, file in enumerate(list_photos(options.photos, heldout=True)[::3][: options.count]):
            clean = centre_crop(file, options.size)[None]
            photograph = dict(degradations(clean, index))["mixed"]
            settings = dmap.Settings(
                steps=2,
                step_size=0.03,
                iterations=options.iterations,
                fidelity=name,
                fidelity_weight=40.0,
                colour="off",
            )
            restored = dmap.restore(photograph, shipped.diffusion, settings, shipped.prior).image
            for colour in COLOURS:
                result = transfer_colour(restored, photograph, colour).clamp(0, 1)
                values = [psnr(result, clean), 1 - float(ssim(result, clean)), colour_difference(result, clean)]
                rows[colour].append(torch.tensor(values))
        for colour, found in rows.items():
            mean = torch.stack(found).mean(dim=0)
            print(f"{name:12} {colour:9} {mean[0]:7.2f}  {mean[1]:.4f}  {mean[2]:.2f}", flush=True)


if __name__ == "__main__":
    main()
