"""Compare ways to restore photographs with the shipped models, and tune them.

``python -m tools.benchmarks.restore --help`` says how.

Held-out photographs (never trained on) are split: every other one is for tuning, the rest for reporting. Each is
degraded in known ways and restored by every method with the same prior and the same objective. Judged by measures
against the clean original, which no method has seen.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from dmap.degradations.synthetic import gaussian_blur, gaussian_noise, jpeg
from dmap.image.files import centre_crop
from dmap.image.photograph import Photograph
from dmap.method.fidelity import fidelity
from dmap.models.diffusion import shipped
from dmap.restoration import frozen_prior, invert, prepare
from dmap.settings import Settings
from tools.benchmarks.spaces import moving_in
from tools.demo import psnr
from tools.training.data import list_photos

MEASURES = ("psnr", "ssim", "ms_ssim", "prior", "seconds")


@dataclass(frozen=True)
class Method:
    """One way to restore.

    Attributes:
        space: where the ascent moves: "none", "pixels", "latent" (of the autoencoder) or "diffusion".
        strength, steps: of the diffusion path.
        rule, step_size, iterations, prior_weight, fidelity_weight, target: of the ascent.
    """

    space: str
    strength: float = 0.2
    steps: int = 4
    rule: str = "adam"
    step_size: float = 0.02
    iterations: int = 30
    prior_weight: float = 1.0
    fidelity_weight: float = 35.0
    fidelity: str = "nlpd_colour"
    target: float = 200.0


# What --search tries on the tuning photographs; the nodes' defaults are the entry with the largest gain in score at
# which neither mean SSIM nor mean PSNR falls below the input's.
GRID = {
    f"strength {strength}, fidelity weight {weight}": Method("diffusion", strength=strength, fidelity_weight=weight)
    for strength in (0.2, 0.3, 0.4)
    for weight in (25.0, 40.0, 60.0)
}
METHODS = {
    "autoencoder alone": Method("none"),
    "MAP on pixels": Method("pixels", step_size=0.004),
    "MAP in the autoencoder": Method("latent"),
    "MAP in diffusion, strength 0.2": Method("diffusion"),
    "MAP in diffusion, strength 0.4": Method("diffusion", strength=0.4),
    "the same, colour not held": Method("diffusion", strength=0.4, fidelity="nlpd"),
}


class Models:
    """The shipped networks."""

    def __init__(self) -> None:
        self.diffusion = shipped()
        self.prior = frozen_prior("dmap_quality", self.diffusion.device)


def degradations(clean: Tensor, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Each degradation by name, of (1, 3, h, w)."""
    generator = torch.Generator().manual_seed(seed)
    yield "blur", gaussian_blur(clean, 1.2)
    yield "noise", gaussian_noise(clean, 15 / 255, generator)
    yield "jpeg", jpeg(clean, 25)
    yield "mixed", jpeg(gaussian_noise(gaussian_blur(clean, 0.8), 10 / 255, generator), 50)


def restore(models: Models, photograph: Tensor, method: Method) -> tuple[Tensor, float]:
    """The restored (1, 3, h, w) and the seconds of the ascent; without what the autoencoder loses."""
    if method.space == "none":
        with torch.no_grad():
            return models.diffusion.decode(models.diffusion.encode(photograph)).clamp(0, 1), 0.0
    model, point = moving_in(method.space, models.diffusion), method.space != "diffusion"
    settings = Settings(
        steps=1 if point else method.steps,
        strength=1.0 if point else method.strength,
        rule=method.rule,
        step_size=method.step_size,
        iterations=method.iterations,
        prior_weight=method.prior_weight,
        fidelity=method.fidelity,
        fidelity_weight=method.fidelity_weight,
        target_score=method.target,
        detail="0",
    )
    with torch.no_grad():
        latent = model.encode(photograph)
    path, _ = invert(model, latent, settings, Photograph(photograph))
    ascent = prepare(model, path, models.prior, settings)
    ascent.run()
    assert ascent.image is not None
    return ascent.image, ascent.trace.rows[-1].seconds


def measure(models: Models, image: Tensor, clean: Tensor, seconds: float) -> dict[str, float]:
    """All ``MEASURES``; the prior's score is what was climbed and proves nothing."""
    with torch.no_grad():
        return {
            "psnr": psnr(image, clean),
            "ssim": 1 - float(fidelity("ssim")(image, clean)),
            "ms_ssim": 1 - float(fidelity("ms_ssim")(image, clean)),
            "prior": float(models.prior(image)),
            "seconds": seconds,
        }


def interval(differences: Tensor, samples: int = 2000) -> tuple[float, float]:
    """95 % bootstrap confidence interval of a mean, over images."""
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(len(differences), (samples, len(differences)), generator=generator)
    means = differences[index].mean(dim=1)
    return float(means.quantile(0.025)), float(means.quantile(0.975))


def summary(rows: list[dict[str, str | float]]) -> str:
    """Markdown: mean difference to the input by degradation and method, with intervals over images."""
    lines = ["| degradation | method | PSNR dB | SSIM | MS-SSIM | prior |", "|---|---|---|---|---|---|"]
    kinds = list(dict.fromkeys(str(row["degradation"]) for row in rows))
    for degradation in [*kinds, "all"]:
        here = [row for row in rows if degradation in (row["degradation"], "all")]
        start = {(row["photo"], row["degradation"]): row for row in here if row["method"] == "input"}
        for method in dict.fromkeys(str(row["method"]) for row in here):
            mine = [row for row in here if row["method"] == method]
            cells = []
            for key, digits in (("psnr", 2), ("ssim", 3), ("ms_ssim", 3), ("prior", 1)):
                values = torch.tensor([float(row[key]) for row in mine])
                if method == "input":
                    cells.append(f"{float(values.mean()):.{digits}f}")
                    continue
                change = values - torch.tensor([float(start[row["photo"], row["degradation"]][key]) for row in mine])
                low, high = interval(change)
                cells.append(f"{float(change.mean()):+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})")
            lines.append(f"| {degradation} | {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write(rows: list[dict[str, str | float]], out: Path) -> None:
    """Table and summary so far, ``restore.csv`` and ``restore.md``."""
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "restore.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, ["photo", "degradation", "method", *MEASURES])
        writer.writeheader()
        writer.writerows(rows)
    (out / "restore.md").write_text(summary(rows), encoding="utf-8")


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.restore", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--out", type=Path, required=True, help="folder for table and CSV")
    parser.add_argument("--tune", action="store_true", help="use the tuning half of the photographs")
    parser.add_argument("--search", action="store_true", help="try the grid of settings instead of the methods")
    parser.add_argument("--count", type=int, default=8, help="photographs")
    parser.add_argument("--size", type=int, default=192, help="side of the central square in pixels, at least 176")
    parser.add_argument("--iterations", type=int, default=30, help="of every ascent")
    options = parser.parse_args()
    files = list_photos(options.photos, heldout=True)[0 if options.tune else 1 :: 2][: options.count]
    models, rows = Models(), []
    for index, file in enumerate(files):
        clean = centre_crop(file, options.size)[None]
        for name, degraded in degradations(clean, seed=index):
            found = {"input": (degraded, 0.0)}
            for title, method in (GRID if options.search else METHODS).items():
                found[title] = restore(models, degraded, replace(method, iterations=options.iterations))
            for title, (image, seconds) in found.items():
                row: dict[str, str | float] = {"photo": file.name, "degradation": name, "method": title}
                row.update(measure(models, image, clean, seconds))
                rows.append(row)
        write(rows, options.out)
        print(f"{index + 1} of {len(files)} photographs", flush=True)
    print(summary(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
