"""EDICT: exact diffusion inversion by coupled transformations (Wallace et al., CVPR 2023, arXiv:2211.12446)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ...errors import UserError
from ...image.layout import Layout
from ...image.photograph import Photograph
from ..denoiser import Denoiser, derivative
from ..path import LatentPath
from ..schedule import Schedule
from .base import WHOLE, Solver, levels

MIXING = 0.93
FLOW_STEPS = 4
"""So many steps of a flow are mixed by ``MIXING``; more of them as much as these altogether."""
NEXT_SCALE = "next_scale"
"""Setting of a path whose second evaluations see the next level's scale."""


class Edict(Solver):
    """A pair (u, v), each moved by the network's output at the other, then mixed (arXiv:2211.12446, eq. 14-15).

    With h = sigma_{i+1} - sigma_i, step i of sampling is, for even i (for odd i the other one moves first),

        u += h d(v, sigma_i);  v += h d(r_i u, sigma_i);  u = p u + (1-p) v;  v = (1-p) u + p v

    and inversion undoes these four in reverse. i counts from 0 at the noisiest level in both directions. The second
    evaluation hands the moved u to the network as it is, at the next level's scale, with the present timestep: for
    variance-preserving models r_i = sqrt((1 + sigma_i^2) / (1 + sigma_{i+1}^2)), for flows 1.

    Args:
        mixing: p in (0.5, 1]; by default the paper's 0.93, and for flows, whose pair has no growing scale that holds
            it together, 0.93^(4 / steps) from 5 steps on. The difference u - v grows by p^-2 in each inversion step.
    """

    name: ClassVar[str] = "edict"
    states: ClassVar[int] = 2
    evaluations: ClassVar[int] = 2

    def __init__(self, mixing: float | None = None) -> None:
        if mixing is not None and not 0.5 < mixing <= 1.0:
            raise UserError(f"mixing: got {mixing}, it must be in (0.5, 1]; the paper's value is 0.93")
        self.mixing = mixing

    def mixing_of(self, schedule: Schedule) -> float:
        """p along a schedule: the one that was given, or the default for its family."""
        if self.mixing is not None:
            return self.mixing
        return MIXING ** min(1.0, FLOW_STEPS / schedule.steps) if schedule.flow else MIXING

    def invert(
        self,
        denoise: Denoiser,
        schedule: Schedule,
        latent: Tensor,
        layout: Layout = WHOLE,
        photograph: Photograph | None = None,
    ) -> LatentPath:
        sigmas, p = levels(schedule, latent), self.mixing_of(schedule)
        ratio = _ratios(schedule)
        u, v = latent, latent
        for i in reversed(range(schedule.steps)):
            h = sigmas[i + 1] - sigmas[i]
            v = (v - (1 - p) * u) / p
            u = (u - (1 - p) * v) / p
            if i % 2 == 0:
                v = v - h * derivative(denoise, ratio[i] * u, sigmas[i])
                u = u - h * derivative(denoise, v, sigmas[i])
            else:
                u = u - h * derivative(denoise, ratio[i] * v, sigmas[i])
                v = v - h * derivative(denoise, u, sigmas[i])
        settings = {"mixing": p, NEXT_SCALE: 1.0}
        return self._path(schedule, torch.stack([u, v]), latent, layout, photograph, settings=settings)

    def sample(self, denoise: Denoiser, path: LatentPath, state: Tensor | None = None) -> Tensor:
        u, v = path.state if state is None else state
        sigmas, p = levels(path.schedule, u), path.settings.get("mixing", self.mixing_of(path.schedule))
        # Files of versions before 0.2.0 are sampled as they were inverted.
        ratio = _ratios(path.schedule) if path.settings.get(NEXT_SCALE) else [1.0] * path.schedule.steps
        for i in range(path.schedule.steps):
            h = sigmas[i + 1] - sigmas[i]
            if i % 2 == 0:
                u = u + h * derivative(denoise, v, sigmas[i])
                v = v + h * derivative(denoise, ratio[i] * u, sigmas[i])
            else:
                v = v + h * derivative(denoise, u, sigmas[i])
                u = u + h * derivative(denoise, ratio[i] * v, sigmas[i])
            u = p * u + (1 - p) * v
            v = (1 - p) * u + p * v
        return (u + v) / 2


def _ratios(schedule: Schedule) -> list[float]:
    """r_i of each step: the network's input scale at the next level over that at the present one."""
    if schedule.flow:
        return [1.0] * schedule.steps
    scale = (1 + schedule.sigmas.square()).sqrt()
    ratios: list[float] = (scale[:-1] / scale[1:]).tolist()
    return ratios
