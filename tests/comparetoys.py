"""A small comparison of toy priors on pixels, quick enough for every test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from dmap.compare.folder import Folder
from dmap.compare.inputs import Photograph, Skipped, checksum
from dmap.compare.plan import Plan
from dmap.compare.run import Comparison
from dmap.method.chain import Chain, keep_activations
from dmap.method.schedule import Schedule
from dmap.method.solvers import make_solver
from dmap.priors import Prior, PriorInfo
from dmap.priors.logistic import LogisticMap
from toys import SmoothnessPrior, photograph


class PixelEngine:
    """No diffusion: the path is a point, the latent is the image."""

    fingerprint = "pixels"
    device = torch.device("cpu")
    software: Mapping[str, str] = {"pixels": "1"}

    def chain(self, photograph: Tensor, plan: Plan) -> Chain:
        schedule = Schedule(torch.tensor([1e-3, 0.0], dtype=torch.float64))
        path = make_solver("residual_ddim").invert(lambda u, _: u, schedule, photograph)
        return Chain(path, lambda u, _: u, lambda x: x, keep_activations)


class LevelPrior(Prior):
    """Likes one mean value of a channel."""

    def __init__(self, name: str, channel: int, wanted: float) -> None:
        super().__init__(PriorInfo(name, False, (0.0, 0.2), 16, "none", True, "toy"), LogisticMap(0.1, -8.0))
        self.channel = channel
        self.wanted = torch.nn.Parameter(torch.tensor(wanted), requires_grad=False)

    def score(self, image: Tensor) -> Tensor:
        return (image[:, self.channel] - self.wanted).square().mean(dim=(1, 2))


def models() -> dict[str, Prior]:
    """Three toys that want different things."""
    smooth = SmoothnessPrior()
    smooth.info = replace(smooth.info, name="smooth")
    smooth.score_map = LogisticMap(0.02, -40.0)
    return {"smooth": smooth, "red": LevelPrior("red", 0, 0.8), "grey": LevelPrior("grey", 1, 0.5)}


def photographs(count: int = 2) -> list[Photograph]:
    """Pictures of 48 px."""
    images = [photograph(1, 48, seed).float() for seed in range(count)]
    return [Photograph(f"photo {number}.png", checksum([image]), image) for number, image in enumerate(images)]


def plan(**changes: object) -> Plan:
    """A plan for the toys, quick and easy to reach."""
    settings: dict[str, object] = {
        "priors": ("smooth", "red", "grey"), "degradations": ("none", "noise"), "levels": (3e-4,), "iterations": 12,
        "size": 0, "fidelity": "mse", "fidelity_weight": 1e4, "step_size": 0.03, "shift": 0, "searches": 12,
    }  # fmt: skip
    return Plan(**{**settings, **changes})  # type: ignore[arg-type]


def comparison(folder: Path, count: int = 2, named: Mapping[str, Prior] | None = None, **changes: object) -> Comparison:
    """A comparison of the toys, not run yet."""
    return Comparison(plan(**changes), Folder(folder), photographs(count), [], named or models(), PixelEngine())


def with_a_judge(folder: Path, first: str = "photo 0.png") -> None:
    """Run a comparison of three photographs at two levels, with a model that only judges and a skipped file.

    Args:
        first: name of the first photograph.
    """
    named = [replace(one, name=first if number == 0 else one.name) for number, one in enumerate(photographs(3))]
    toys = {**models(), "=judge": LevelPrior("blue", 2, 0.6)}
    planned = plan(levels=(3e-4, 6e-4), judges=("=judge",))
    Comparison(planned, Folder(folder), named, [Skipped("bad.jpg", "broken")], toys, PixelEngine()).run()
