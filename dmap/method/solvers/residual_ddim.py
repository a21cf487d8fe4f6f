"""Residual-corrected DDIM: one latent, one evaluation a step, exact where it was inverted."""

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


class ResidualDDIM(Solver):
    """DDIM (Song et al. 2021, arXiv:2010.02502) with the inversion's remaining error added back as a constant.

    Inversion solves each implicit step u_{i+1} = u_i + h d(u_i, sigma_i) for u_i by fixed-point iteration and keeps
    r_i = u_{i+1} - (u_i + h d(u_i, sigma_i)). Sampling adds r_i after step i: the inverted latent is returned to
    rounding, and elsewhere the map has exactly DDIM's Jacobian.

    Args:
        fixed_point: network evaluations a step of inversion, at least 1; the last one measures r_i.
    """

    name: ClassVar[str] = "residual_ddim"
    states: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1

    def __init__(self, fixed_point: int = 3) -> None:
        if fixed_point < 1:
            raise UserError(f"fixed_point: got {fixed_point}, at least 1 evaluation a step is needed")
        self.fixed_point = fixed_point

    def inversion_evaluations(self, steps: int) -> int:
        return self.fixed_point * steps

    def invert(
        self,
        denoise: Denoiser,
        schedule: Schedule,
        latent: Tensor,
        layout: Layout = WHOLE,
        photograph: Photograph | None = None,
    ) -> LatentPath:
        sigmas = levels(schedule, latent)
        target, residuals = latent, []
        for i in reversed(range(schedule.steps)):
            h = sigmas[i + 1] - sigmas[i]
            u = target
            for _ in range(self.fixed_point - 1):
                u = target - h * derivative(denoise, u, sigmas[i])
            residuals.append(target - (u + h * derivative(denoise, u, sigmas[i])))
            target = u
        return self._path(schedule, target[None], latent, layout, photograph, torch.stack(residuals[::-1]))

    def sample(self, denoise: Denoiser, path: LatentPath, state: Tensor | None = None) -> Tensor:
        if path.residuals is None:
            raise UserError("path: residual_ddim needs the residuals of its inversion, and this path has none")
        u = (path.state if state is None else state)[0]
        sigmas = levels(path.schedule, u)
        for i in range(path.schedule.steps):
            h = sigmas[i + 1] - sigmas[i]
            u = u + h * derivative(denoise, u, sigmas[i]) + path.residuals[i]
        return u
