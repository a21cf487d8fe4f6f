"""A small comparison of toy priors on pixels, quick enough for every test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmap.compare.folder import Cell, Folder, Input
from dmap.compare.inputs import Photograph, Skipped
from dmap.compare.plan import Plan
from dmap.compare.results import Condition, Results
from dmap.compare.run import Comparison
from dmap.fingerprint import checksum
from dmap.image.layout import Layout
from dmap.image.photograph import Photograph as Restorable
from dmap.method.path import LatentPath
from dmap.method.schedule import Schedule
from dmap.method.solvers import make_solver
from dmap.models.diffusion import LatentDiffusion
from dmap.priors import Prior, PriorInfo
from dmap.priors.logistic import LogisticMap
from toys import SmoothnessPrior, photograph


class PixelEngine:
    """No diffusion: the path is a point, the latent is the image."""

    fingerprint = "pixels"
    device = torch.device("cpu")
    software: Mapping[str, str] = {"pixels": "1"}

    def __init__(self, decode: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        table = torch.linspace(1e-3, 1, 10, dtype=torch.float64)
        self.model = LatentDiffusion(
            lambda u, _: u, lambda x: x, decode, table, 1, self.device, torch.nn.Identity(), room=lambda _: None
        )

    def start(self, photograph: Tensor) -> str:
        return ""

    def path(self, photograph: Tensor, plan: Plan) -> LatentPath:
        schedule = Schedule(torch.tensor([1e-3, 0.0], dtype=torch.float64))
        known = Restorable(photograph)
        return make_solver("residual_ddim").invert(lambda u, _: u, schedule, photograph, Layout(*known.size), known)


class LevelPrior(Prior):
    """Likes one mean value of a channel."""

    def __init__(self, name: str, channel: int, wanted: float) -> None:
        super().__init__(PriorInfo(name, False, (0.0, 0.2), 16, "none", True, "toy"), LogisticMap(0.1, -8.0))
        self.channel = channel
        self.wanted = torch.nn.Parameter(torch.tensor(wanted), requires_grad=False)

    def score(self, image: Tensor) -> Tensor:
        return (image[:, self.channel] - self.wanted).square().mean(dim=(1, 2))


class GradientlessPrior(LevelPrior):
    """A judge without a gradient, and so kin of nobody."""

    def score(self, image: Tensor) -> Tensor:
        return super().score(image.detach())


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


def synthetic(
    scores: Any, start: Any, names: Sequence[str], judges: Sequence[str], photographs: Sequence[str] | None = None
) -> Results:
    """Results with given scores (conditions, models, judges) and starts (conditions, judges), and nothing on disk.

    Args:
        names: of the models compared; models that judge as well stand first among ``judges``.
        photographs: of each condition; by default each has its own.
    """
    scores, start = np.asarray(scores, dtype=float), np.asarray(start, dtype=float)
    conditions = []
    for row in range(len(scores)):
        photo = photographs[row] if photographs else f"photo {row}"
        cells = tuple(
            Cell(f"{row}-{column}", f"in {row}", column, 0.05, 1.0, 0.15, 0.15, True, ((1.0, 0.15),), 1.0, "none")
            for column in range(len(names))
        )
        conditions.append(Condition(Input(f"in {row}", photo, "none", 0.1), 0.05, cells))
    count = len(judges)
    models = [{"fingerprint": f"print of {name}", "spec": name} for name in judges]
    return Results(
        {"engine": "none", "models": models}, plan(priors=tuple(names)), list(names), list(judges),
        [{name} for name in judges], conditions, np.full((count, count), np.nan), [""] * count, scores, start, start,
    )  # fmt: skip


def without(results: Results, condition: int, model: int) -> Results:
    """The same with one output that missed the wanted fidelity."""
    conditions = list(results.conditions)
    cells = list(conditions[condition].cells)
    missed = cells[model]
    assert missed is not None
    cells[model] = replace(missed, matched=False)
    conditions[condition] = replace(conditions[condition], cells=tuple(cells))
    return replace(results, conditions=conditions)


def with_a_judge(folder: Path, first: str = "photo 0.png") -> None:
    """Run a comparison of three photographs at two levels, with a model that only judges and a skipped file.

    Args:
        first: name of the first photograph.
    """
    named = [replace(one, name=first if number == 0 else one.name) for number, one in enumerate(photographs(3))]
    toys = {**models(), "=judge": GradientlessPrior("blue", 2, 0.6)}
    planned = plan(levels=(3e-4, 6e-4), judges=("=judge",))
    Comparison(planned, Folder(folder), named, [Skipped("bad.jpg", "broken")], toys, PixelEngine()).run()
