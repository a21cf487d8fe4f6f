"""Figures of a quality network on photographs that it never saw: ``python -m tools.training.assess --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from dmap.degradations.synthetic import gaussian_blur, gaussian_noise, jpeg, resample
from dmap.image.files import centre_crop
from dmap.models import load_model
from dmap.priors import PRIORS, load_prior

from .data import list_photos
from .draw import Degrader, OtherDegrader
from .judge import label as judge_label
from .quality import correlation, label

Degradation = Callable[[Tensor, torch.Generator], Tensor]


def _blur(sigma: float) -> Degradation:
    return lambda x, _: gaussian_blur(x, sigma)


def _noise(sigma: float) -> Degradation:
    return lambda x, generator: gaussian_noise(x, sigma / 255, generator)


def _jpeg(quality: int) -> Degradation:
    return lambda x, _: jpeg(x, quality)


def _small(factor: float) -> Degradation:
    return lambda x, _: resample(x, factor)


def _mixture(blur: float, noise: float, quality: int) -> Degradation:
    return lambda x, generator: jpeg(gaussian_noise(gaussian_blur(x, blur), noise / 255, generator), quality)


SERIES: Mapping[str, Sequence[Degradation]] = {
    "blur": [_blur(sigma) for sigma in (0.8, 1.4, 2.2, 3.2)],
    "noise": [_noise(sigma) for sigma in (5, 10, 20, 40)],
    "jpeg": [_jpeg(quality) for quality in (60, 35, 18, 8)],
    "down-up-sampling": [_small(factor) for factor in (1.5, 2.1, 3.0, 4.0)],
    "mixture": [_mixture(0.6, 4, 65), _mixture(1.0, 8, 45), _mixture(1.6, 14, 28), _mixture(2.4, 24, 15)],
}
"""Levels of rising strength; each series begins with the clean photograph."""
UNSEEN = 6
"""Random degradations of each photograph by ``OtherDegrader``, none of which the prior was trained on."""


def monotone(scores: Tensor) -> float:
    """Share of the images (n, levels) whose score falls at every level."""
    return float((scores[:, 1:] < scores[:, :-1]).all(dim=1).float().mean())


def uphill(network: Callable[[Tensor], Tensor], image: Tensor, clean: Tensor) -> float:
    """Cosine of the angle between the score's gradient at an image and the way to its original, (1, 3, h, w) both.

    Both are cut first, so that no block of a JPEG begins where it does at the corner of a photograph.
    """
    image, clean = (each[..., 5:-11, 3:-13] for each in (image, clean))
    image = image.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(network(image).sum(), image)
    return float(nn.functional.cosine_similarity(gradient.flatten(), (clean - image.detach()).flatten(), dim=0))


def assess(network: nn.Module, photos: Path, side: int, known: Callable[[Tensor, Tensor], Tensor], count: int) -> str:
    """Markdown: by series SRCC with the known quality, monotone share, mean scores by level, and the mean cosine of
    gradient and way to the original over the levels; then for all.

    Args:
        network: (B, 3, h, w) in [0, 1] -> (B,).
        photos: folder with the held-out photographs.
        side: of the central square in pixels.
        known: quality (B,) of images against their originals.
        count: of photographs.
    """
    scores: dict[str, list[Tensor]] = {name: [] for name in (*SERIES, "unseen")}
    labels: dict[str, list[Tensor]] = {name: [] for name in scores}
    cosines: dict[str, list[float]] = {name: [] for name in SERIES}
    shifts = []
    for index, file in enumerate(list_photos(photos, heldout=True)[:count]):
        generator = torch.Generator().manual_seed(index)
        clean, other = centre_crop(file, side)[None], OtherDegrader(generator)
        versions = {name: [clean, *(level(clean, generator) for level in levels)] for name, levels in SERIES.items()}
        versions["unseen"] = [other.one(clean) for _ in range(UNSEEN)]
        with torch.no_grad():
            for name, images in versions.items():
                scores[name].append(torch.cat([network(image) for image in images]))
                labels[name].append(torch.cat([known(image, clean) for image in images]))
            one = Degrader(generator).one(clean)
            shifts.append(network(one[..., :-1, :-1]) - network(one[..., 1:, 1:]))
        for name in SERIES:
            cosines[name] += [uphill(network, image, clean) for image in versions[name][1:]]
    lines = [
        "| series | SRCC | falls at every level | mean score by level | mean label | cosine uphill |",
        "|---|---|---|---|---|---|",
    ]
    for name in scores:
        score, truth = torch.stack(scores[name]), torch.stack(labels[name])
        srcc = f"| {name} | {correlation(score.flatten(), truth.flatten()):.3f} |"
        if name == "unseen":
            lines.append(f"{srcc} | {float(score.mean()):.0f} | {float(truth.mean()):.0f} | |")
        else:
            means = [" ".join(f"{float(value):.0f}" for value in values.mean(dim=0)) for values in (score, truth)]
            cosine = sum(cosines[name]) / len(cosines[name])
            lines.append(f"{srcc} {100 * monotone(score):.0f} % | {means[0]} | {means[1]} | {cosine:.2f} |")
    score, truth = (torch.cat([torch.cat(rows[name]) for name in SERIES]) for rows in (scores, labels))
    falls = sum(monotone(torch.stack(scores[name])) for name in SERIES) / len(SERIES)
    shift = torch.cat(shifts).abs()
    lines.append(f"| all series | {correlation(score, truth):.3f} | {100 * falls:.0f} % | | | |")
    error, mean, most = (float(value) for value in ((score - truth).abs().mean(), shift.mean(), shift.max()))
    return "\n".join(lines) + (
        f"\n\nMean absolute error {error:.1f} points; a shift by one pixel in both directions changes the score by "
        f"{mean:.2f} points on average, {most:.2f} at most.\n"
    )


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.training.assess", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--weights", default="dmap_quality", help="a prior of the pack, a shipped network or a file")
    parser.add_argument("--side", type=int, default=256, help="of the central square in pixels")
    parser.add_argument("--count", type=int, default=10**6, help="at most so many photographs")
    parser.add_argument("--judge", action="store_true", help="the network is a judge: its label comes from SSIM")
    options = parser.parse_args(arguments)
    try:
        name = options.weights
        network = load_prior(name) if name in PRIORS else load_model(name, kind="quality")
        known = judge_label if options.judge else label
        print(assess(network.eval(), options.photos, options.side, known, options.count), flush=True)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
