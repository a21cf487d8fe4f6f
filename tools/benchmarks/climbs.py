"""Climbs of the paper's objective, counted: passes, seconds and objective value after every iteration."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from dmap.degradations.synthetic import gaussian_blur, gaussian_noise, jpeg
from dmap.fingerprint import checksum, digest
from dmap.image.files import centre_crop
from dmap.method.ascent import Ascent, AscentSettings
from dmap.method.chain import Chain
from dmap.method.fidelity import fidelity
from dmap.method.gradients import ALL, make_gradient
from dmap.method.objective import Objective
from dmap.method.path import LatentPath
from dmap.method.solvers import make_solver
from dmap.models.diffusion import LatentDiffusion
from dmap.priors import Prior
from dmap.settings import preset
from tools.benchmarks.evidence.store import Store
from tools.benchmarks.meter import Meter
from tools.training.data import list_photos

Record = dict[str, float]
"""After an iteration: "F" and "forwards" (seconds over those of one forward pass) so far, "objective", "prior"."""


def degradations(clean: Tensor, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Each degradation by name, of (1, 3, h, w)."""
    generator = torch.Generator().manual_seed(seed)
    yield "blur", gaussian_blur(clean, 1.2)
    yield "noise", gaussian_noise(clean, 15 / 255, generator)
    yield "jpeg", jpeg(clean, 25)
    yield "mixed", jpeg(gaussian_noise(gaussian_blur(clean, 0.8), 10 / 255, generator), 50)


@dataclass(frozen=True)
class Coarse:
    """What is climbed first, and cheaper.

    Attributes:
        iterations: of this part.
        steps: of its chain.
        factor: by which its photograph is smaller; a pass counts as 1 / factor^2 F.
    """

    iterations: int
    steps: int
    factor: int = 1


@dataclass(frozen=True)
class Configuration:
    """How the objective is climbed; names as on the nodes."""

    solver: str = "residual_ddim"
    steps: int = 4
    strength: float = 0.2
    gradient: str = "sparse"
    rule: str = "adam"
    step_size: float = 0.02
    iterations: int = 1000
    coarse: Coarse | None = None


def paper(iterations: int) -> Configuration:
    """The preset, its calls kept in memory: the same numbers for 300 F an iteration instead of 400."""
    settings = preset("paper")
    chain = (settings.solver, settings.steps, settings.strength)
    return Configuration(*chain, "keep", settings.rule, settings.step_size, iterations)


@dataclass(frozen=True)
class Case:
    """A photograph to climb on: its name with the degradation, and (1, 3, size, size) in [0, 1]."""

    name: str
    photograph: Tensor


def cases(folder: Path, count: int, size: int, heldout: bool = True, skip: int = 0) -> list[Case]:
    """Degraded central squares of photographs that nothing was trained on, or of others; degradations take turns."""
    found = []
    for index, file in enumerate(list_photos(folder, heldout)[skip : skip + count]):
        kinds = list(degradations(centre_crop(file, size)[None], seed=index))
        kind, image = kinds[index % len(kinds)]
        found.append(Case(f"{file.stem} ({kind})", image))
    return found


def key(model: LatentDiffusion, prior: Prior, case: Case, settings: Any) -> str:
    """Names a climb by all that decides it, so that a kept one is never taken for another."""
    weights = [tensor for module in (*model.modules, prior) for tensor in module.state_dict().values()]
    return digest([checksum([*weights, case.photograph]), settings])


class _SpentError(Exception):
    """The climb need not go on."""


class Climber:
    """Climbs with a model and a prior.

    Args:
        model: the diffusion model.
        prior: what is climbed, with the paper's weights and fidelity.
    """

    def __init__(self, model: LatentDiffusion, prior: Prior) -> None:
        self.model, self.prior = model, prior

    def forward_seconds(self, photograph: Tensor) -> float:
        """Processor time of one forward pass of the denoiser: the least of five."""
        latent, found = self.model.encode(photograph), []
        with torch.no_grad():
            for _ in range(5):
                began = time.process_time()
                self.model.denoise(latent, self.model.table[100])
                found.append(time.process_time() - began)
        return min(found)

    def climb(
        self,
        photograph: Tensor,
        configuration: Configuration,
        enough: Callable[[Record], bool],
        target_score: float = 200.0,
    ) -> list[Record]:
        """Invert and climb until ``enough`` says so of the last record, or the iterations or ``target_score`` do."""
        unit, began = self.forward_seconds(photograph), time.process_time()
        records: list[Record] = []
        spent, moved, coarse = 0.0, None, configuration.coarse
        if coarse is not None:
            small = nn.functional.avg_pool2d(photograph, coarse.factor)
            stage = replace(configuration, steps=coarse.steps, iterations=coarse.iterations)
            meter, path = self._invert(small, stage)
            ascent = self._ascent(small, stage, meter, path, 200.0)
            ascent.run()
            moved = ascent.path.state - path.state
            if coarse.factor > 1:
                moved = nn.functional.interpolate(moved[0], scale_factor=coarse.factor, mode="bilinear")[None]
            spent = meter.passes / coarse.factor**2
        meter, path = self._invert(photograph, configuration)
        if moved is not None:
            path = path.with_state(path.state + moved)

        def after(state: Ascent) -> None:
            row = state.trace.rows[-1]
            record = {
                "F": spent + meter.passes,
                "forwards": (time.process_time() - began) / unit,
                "objective": row.objective[0],
                "prior": row.prior[0],
            }
            records.append(record)
            if enough(record):
                raise _SpentError

        with contextlib.suppress(_SpentError):
            self._ascent(photograph, configuration, meter, path, target_score).run(after)
        return records

    def _invert(self, photograph: Tensor, configuration: Configuration) -> tuple[Meter, LatentPath]:
        meter = Meter(self.model.denoise)
        schedule = self.model.schedule(configuration.steps, configuration.strength)
        with torch.no_grad():
            latent = self.model.encode(photograph)
            return meter, make_solver(configuration.solver).invert(meter, schedule, latent)

    def _ascent(
        self, photograph: Tensor, configuration: Configuration, meter: Meter, path: LatentPath, target: float
    ) -> Ascent:
        settings = preset("paper")
        weights = (settings.prior_weight, settings.fidelity_weight, settings.shift)
        objective = Objective(self.prior, fidelity(settings.fidelity), photograph, *weights)
        chain = Chain(path, meter, self.model.decode, make_gradient(configuration.gradient, ALL))
        climb = AscentSettings(configuration.iterations, configuration.rule, configuration.step_size, target)
        return Ascent(chain, objective, climb)


def settings_of(configuration: Configuration) -> dict[str, Any]:
    """As JSON can hold it."""
    return asdict(configuration)


def stored(store: Store, name: str, compute: Callable[[], list[Record]]) -> list[Record]:
    """A climb that was kept under that name, or else is made now."""
    found: Any = store.rows(name, cast(Any, compute))
    return list(found)
