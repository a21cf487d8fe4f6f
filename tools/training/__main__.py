"""Command line of the recipe: ``python -m tools.training --help``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from dmap import output
from dmap.cli.common import device_of
from dmap.errors import UserError
from dmap.models.store import model_file

from . import autoencoder, denoiser, flow, guide, judge, policy, quality
from .loop import LoopSettings

# What trains it, minutes on two cores, peak learning rate.
RECIPES = {
    "autoencoder": (autoencoder.train, 12.0, 4e-4),
    "quality": (quality.train, 30.0, 1e-3),
    "guide": (guide.train, 60.0, 1.6e-3),
    "policy": (policy.train, 120.0, 1.6e-3),
    "judge": (judge.train, 15.0, 1e-3),
    "denoiser": (denoiser.train, 80.0, 4e-4),
    "flow": (flow.train, 80.0, 4e-4),
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m tools.training", description=__doc__)
    parser.add_argument("model", choices=list(RECIPES), help="which network to train")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs (jpg, png, webp)")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the finished model")
    parser.add_argument("--minutes", type=float, help="training time; a later run resumes and adds up")
    parser.add_argument("--rate", type=float, help="peak learning rate, for larger batches")
    parser.add_argument("--steps", type=int, default=10**9, help="stop after so many steps even if there is time")
    parser.add_argument("--seed", type=int, default=0, help="of all randomness")
    parser.add_argument(
        "--start",
        type=Path,
        help="train this finished model, a file or a shipped one's name, further at half the rate "
        "(of an autoencoder: its decoder)",
    )
    parser.add_argument("--bf16", action="store_true", help="faster on CPUs with bfloat16 arithmetic (avx512_bf16)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to train")
    parser.add_argument("--batch", type=int, help="crops a step, instead of the number that suits two cores")
    parser.add_argument("--workers", type=int, default=0, help="processes that degrade crops beside the training")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for PyTorch's own choice")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run one recipe; returns the exit code."""
    options = parse(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    train, minutes, rate = RECIPES[options.model]
    budget = minutes if options.minutes is None else options.minutes
    rate = options.rate or (rate / 2 if options.start else rate)
    settings = LoopSettings(
        minutes=budget,
        rate=rate,
        most_steps=options.steps,
        bf16=options.bf16,
        start=options.start,
        device=options.device,
        batch=options.batch,
        workers=options.workers,
    )
    try:
        device_of(options.device)
        if options.start is not None and not model_file(options.start).is_file():
            raise UserError(f"--start: there is no file {model_file(options.start)}")
        output.check_new_folder(options.out)
        train(options.photos, options.out, settings, options.seed)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
