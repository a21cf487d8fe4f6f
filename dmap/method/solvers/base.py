"""What every solver offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import UserError
from ...image.layout import Layout
from ...image.photograph import Photograph
from ..denoiser import Denoiser
from ..path import LatentPath
from ..schedule import Schedule

WHOLE = Layout()


class Solver(ABC):
    """A reversible integrator of the probability-flow ODE between a clean latent and a noise latent.

    ``invert`` followed by ``sample`` returns the latent up to rounding. Nothing in either is stochastic, both are
    differentiable, and images of a batch do not see one another.
    """

    name: ClassVar[str]
    states: ClassVar[int]
    """1, or 2 for a solver that carries a pair."""
    evaluations: ClassVar[int]
    """Network evaluations a sampling step."""

    @abstractmethod
    def invert(
        self,
        denoise: Denoiser,
        schedule: Schedule,
        latent: Tensor,
        layout: Layout = WHOLE,
        photograph: Photograph | None = None,
    ) -> LatentPath:
        """Walk from a clean latent (B, C, H, W) to ``schedule.sigmas[0]``.

        ``layout`` and ``photograph`` are of what the latent was encoded from; the path carries them.
        """

    @abstractmethod
    def sample(self, denoise: Denoiser, path: LatentPath, state: Tensor | None = None) -> Tensor:
        """Walk from ``state`` (the path's own by default; (S, B, C, H, W)) to a clean latent (B, C, H, W)."""

    def inversion_evaluations(self, steps: int) -> int:
        """Network evaluations that ``invert`` takes, for progress bars and cost estimates."""
        return self.evaluations * steps

    def _path(
        self,
        schedule: Schedule,
        state: Tensor,
        latent: Tensor,
        layout: Layout,
        photograph: Photograph | None,
        residuals: Tensor | None = None,
        settings: dict[str, float] | None = None,
    ) -> LatentPath:
        scale = state.std(dim=(0, 2, 3, 4), correction=0)
        if not (torch.isfinite(scale).all() and (scale > 0).all()):
            raise UserError(
                "inversion: the inverted latent is not finite or has no variance; the model or the latent is "
                "broken, or its precision is too low: try fewer steps or a smaller strength"
            )
        return LatentPath(
            self.name,
            schedule,
            state,
            latent,
            scale,
            residuals,
            settings or {},
            layout=layout,
            photograph=photograph,
        )


def levels(schedule: Schedule, like: Tensor) -> Tensor:
    """The schedule's sigmas on the device of ``like`` and in its precision."""
    return schedule.sigmas.to(device=like.device, dtype=like.dtype)


def round_trip_error(solver: Solver, denoise: Denoiser, path: LatentPath) -> Tensor:
    """Relative reconstruction error of a path, (B,): rms(sample(path) - latent) / rms(latent)."""
    with torch.no_grad():
        difference = solver.sample(denoise, path) - path.latent
    return difference.flatten(1).norm(dim=1) / path.latent.flatten(1).norm(dim=1).clamp(min=1e-12)
