"""Figures of the shipped denoiser, on held-out photographs: ``python -m tools.benchmarks.denoiser --help``.

Its loss by noise level; by size of the photograph the errors of each solver's round trip (inverting, then sampling) and
of the denoised predictions; and a sheet of unconditional samples to be looked at.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from dmap.image.files import centre_crop
from dmap.method.solvers import make_solver
from dmap.models import Autoencoder, load_model
from dmap.models.diffusion import LatentDiffusion, shipped
from tools.training.data import list_photos
from tools.training.denoiser import evaluate, sample

from .evidence.sheets import sheet
from .evidence.tables import table

SIZES = (192, 256, 384, 512, 768)
TRIPS = (("residual_ddim", 4, 0.2), ("residual_ddim", 10, 1.0), ("edict", 20, 1.0))
"""Solver, steps and strength: the nodes' default, and the full path by both solvers."""
LEVELS = (0.1, 0.3, 1.0, 3.0)
"""Noise deviations, in units of the latent's own."""
ROWS, COLUMNS, STEPS = 2, 4, 50


def round_trip(models: LatentDiffusion, latent: Tensor, solver: str, steps: int, strength: float) -> float:
    """Root mean square of the change by inverting and sampling, relative to the latent's."""
    made, schedule = make_solver(solver), models.schedule(steps, strength)
    with torch.no_grad():
        back = made.sample(models.denoise, made.invert(models.denoise, schedule, latent))
    return float((back - latent).square().mean().sqrt() / latent.square().mean().sqrt())


def denoising_error(models: LatentDiffusion, latent: Tensor, sigma: float) -> float:
    """Squared error of the denoised prediction, relative to the noise's variance: 1 leaves all of it, 0 is perfect."""
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = models.denoise(latent + sigma * noise, torch.tensor(sigma))
    return float((found - latent).square().mean()) / sigma**2


def by_size(models: LatentDiffusion, files: list[Path]) -> Iterator[list[str]]:
    """Rows: a size, its round trips on the first photograph, its denoising errors (mean over the photographs)."""
    for side in SIZES:
        latents = [models.encode(centre_crop(file, side)[None]) for file in files]
        trips = [f"{round_trip(models, latents[0], *trip):.0e}" for trip in TRIPS]
        errors = [sum(denoising_error(models, latent, sigma) for latent in latents) / len(latents) for sigma in LEVELS]
        yield [f"{side} px", *trips, *(f"{error:.3f}" for error in errors)]


def samples(models: LatentDiffusion, network: torch.nn.Module, file: Path) -> None:
    """Write the sheet of samples from pure noise, 128 px each."""
    rows = []
    for row in range(ROWS):
        images = models.decode(sample(network, COLUMNS, 32, STEPS, seed=row))
        rows.append((f"seed {row}", {str(index): image for index, image in enumerate(images)}))
    sheet(rows, file)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.denoiser", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--out", type=Path, required=True, help="folder for the table and the sheet")
    parser.add_argument("--count", type=int, default=4, help="photographs for the errors by size")
    options = parser.parse_args(arguments)
    models, network = shipped(), load_model("demo_denoiser", kind="denoiser").requires_grad_(False)
    autoencoder = load_model("demo_autoencoder", kind="autoencoder").requires_grad_(False)
    assert isinstance(autoencoder, Autoencoder)
    try:
        files = list_photos(options.photos, heldout=True)
        losses = evaluate(network, autoencoder, options.photos)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    head = [f"{solver}, {steps} steps, strength {strength:g}" for solver, steps, strength in TRIPS]
    errors = [f"error at sigma {sigma:g}" for sigma in LEVELS]
    text = f"v-loss by quarter of t: {', '.join(f'{loss:.3f}' for loss in losses)}\n\n"
    text += table(["size", *head, *errors], by_size(models, files[: options.count]))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "denoiser.md").write_text(text, encoding="utf-8")
    samples(models, network, options.out / "samples.png")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
