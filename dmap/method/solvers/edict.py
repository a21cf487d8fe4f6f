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


class Edict(Solver):
    """A pair (u, v), each moved by the network's output at the other, then mixed (arXiv:2211.12446, eq. 14-15).

    With h = sigma_{i+1} - sigma_i, step i of sampling is, for even i (for odd i the other one moves first),

        u += h d(v, sigma_i);  v += h d(u, sigma_i);  u = p u + (1-p) v;  v = (1-p) u + p v

    and inversion undoes these four in reverse. i counts from 0 at the noisiest level in both directions.

    Args:
        mixing: p in (0.5, 1]; the paper's is 0.93. The difference u - v grows by p^-2 in each inversion step.
    """

    name: ClassVar[str] = "edict"
    states: ClassVar[int] = 2
    evaluations: ClassVar[int] = 2

    def __init__(self, mixing: float = 0.93) -> None:
        if not 0.5 < mixing <= 1.0:
            raise UserError(f"mixing: got {mixing}, it must be in (0.5, 1]; the paper's value is 0.93")
        self.mixing = mixing

    def invert(
        self,
        denoise: Denoiser,
        schedule: Schedule,
        latent: Tensor,
        layout: Layout = WHOLE,
        photograph: Photograph | None = None,
    ) -> LatentPath:
        sigmas, p = levels(schedule, latent), self.mixing
        u, v = latent, latent
        for i in reversed(range(schedule.steps)):
            h = sigmas[i + 1] - sigmas[i]
            v = (v - (1 - p) * u) / p
            u = (u - (1 - p) * v) / p
            if i % 2 == 0:
                v = v - h * derivative(denoise, u, sigmas[i])
                u = u - h * derivative(denoise, v, sigmas[i])
            else:
                u = u - h * derivative(denoise, v, sigmas[i])
                v = v - h * derivative(denoise, u, sigmas[i])
        return self._path(schedule, torch.stack([u, v]), latent, layout, photograph, settings={"mixing": p})

    def sample(self, denoise: Denoiser, path: LatentPath, state: Tensor | None = None) -> Tensor:
        u, v = path.state if state is None else state
        sigmas, p = levels(path.schedule, u), path.settings.get("mixing", self.mixing)
        for i in range(path.schedule.steps):
            h = sigmas[i + 1] - sigmas[i]
            if i % 2 == 0:
                u = u + h * derivative(denoise, v, sigmas[i])
                v = v + h * derivative(denoise, u, sigmas[i])
            else:
                v = v + h * derivative(denoise, u, sigmas[i])
                u = u + h * derivative(denoise, v, sigmas[i])
            u = p * u + (1 - p) * v
            v = (1 - p) * u + p * v
        return (u + v) / 2
