"""Noise schedules: the explicit list of noise levels that a solver walks along.

A level is sigma = sqrt((1 - abar) / abar) for variance-preserving models (Karras et al. 2022, arXiv:2206.00364,
the coordinates of k-diffusion), or the time s in [0, 1] for flow matching, x = (1 - s) x0 + s n (Lipman et al. 2023,
arXiv:2210.02747; Liu et al. 2023, arXiv:2209.03003). Both give the same solver steps. The ratio of noise to signal is
sigma for the one and s / (1 - s) for the other; by it both are put on one scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UserError, no_choice

SPACINGS = ("uniform", "log", "karras")
KARRAS_RHO = 7.0


def scaled_linear_betas(steps: int = 1000, start: float = 0.00085, end: float = 0.012) -> Tensor:
    """Betas of Stable Diffusion 1.x/2.x/XL: linear in sqrt(beta). Returns (steps,) float64."""
    return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2


def sigmas_from_betas(betas: Tensor) -> Tensor:
    """Noise levels of a DDPM (Ho et al. 2020) with the given betas: (T,) float64, increasing."""
    abar = torch.cumprod(1.0 - betas.double(), dim=0)
    return ((1.0 - abar) / abar).sqrt()


def flow_levels(table: Tensor) -> Tensor:
    """The times s = sigma / (1 + sigma) at which a flow has as much noise to its signal as ``table`` says, (T,)."""
    return table / (1 + table)


def flow_table() -> Tensor:
    """The levels of every flow model, (1000,) float64: those of Stable Diffusion's table, by the ratio of noise.

    A flow's network takes any time, so its table is ours to choose. With this one a strength means the same amount of
    noise for all models, whatever the shift that a flow was trained or is sampled with. The noisiest is s = 0.936.
    """
    return flow_levels(sigmas_from_betas(scaled_linear_betas()))


@dataclass(frozen=True)
class Schedule:
    """Noise levels from the noisiest to the clean end.

    Attributes:
        sigmas: (steps + 1,) float64 on the CPU, strictly decreasing, finite, the last one 0. Step i goes from
            ``sigmas[i]`` to ``sigmas[i + 1]`` and evaluates the network at ``sigmas[i]``, so never at 0.
        flow: whether they are times of flow matching.

    Raises:
        UserError: if the levels are not of that form.
    """

    sigmas: Tensor
    flow: bool = False

    def __post_init__(self) -> None:
        sigmas = self.sigmas.detach().to("cpu", torch.float64).clone()
        if sigmas.ndim != 1 or len(sigmas) < 2:
            raise UserError(
                f"schedule: expected a list of at least 2 sigmas, got shape {tuple(sigmas.shape)}; use steps >= 1"
            )
        if not torch.isfinite(sigmas).all():
            raise UserError("schedule: every sigma must be finite; choose a smaller strength or another model")
        if not (sigmas[1:] < sigmas[:-1]).all():
            raise UserError("schedule: sigmas must decrease strictly from noise to image; use fewer steps")
        if sigmas[-1] != 0:
            raise UserError(f"schedule: the last sigma must be 0, got {float(sigmas[-1]):g}")
        if self.flow and sigmas[0] > 1:
            raise UserError(f"schedule: the times of a flow lie in [0, 1], got {float(sigmas[0]):g}")
        object.__setattr__(self, "sigmas", sigmas)

    @property
    def noise(self) -> float:
        """Noise to signal at the start: what is the same for all families."""
        start = float(self.sigmas[0])
        return start if not self.flow else start / (1 - start) if start < 1 else float("inf")

    @property
    def steps(self) -> int:
        """Number of solver steps."""
        return len(self.sigmas) - 1

    @classmethod
    def from_table(
        cls, table: Tensor, steps: int, strength: float = 1.0, spacing: str = "uniform", flow: bool = False
    ) -> Schedule:
        """Choose levels from a model's table, so that a network with discrete timesteps sees exact ones.

        Args:
            table: (T,) the model's levels, strictly increasing and positive.
            steps: number of solver steps, 1..T.
            strength: share of the noising process, in (0, 1]; 1 starts at the noisiest level of the table.
            spacing: "uniform" in the timestep, "log" in sigma, or "karras" (rho = 7).
            flow: whether the table holds times of flow matching, see ``flow_table``.

        Raises:
            UserError: for values outside these ranges, or more steps than the table has distinct levels.
        """
        table = table.detach().to("cpu", torch.float64)
        if table.ndim != 1 or len(table) < 1 or not torch.isfinite(table).all() or not (table > 0).all():
            raise UserError("schedule: the model's table of sigmas must be a list of finite, positive numbers")
        if not (table[1:] > table[:-1]).all():
            raise UserError("schedule: the model's table of sigmas must increase strictly")
        if not 0.0 < strength <= 1.0:
            raise UserError(f"strength: got {strength}, it must be in (0, 1]; 0.4 is a good first value")
        if steps < 1:
            raise UserError(f"steps: got {steps}, at least 1 step is needed; 5 to 10 are good first values")
        if spacing not in SPACINGS:
            raise no_choice("spacing", spacing, SPACINGS)
        start = max(1, round(strength * len(table)))
        if steps > start:
            raise UserError(
                f"steps: got {steps}, but strength {strength} leaves {start} noise levels; "
                f"use at most {start} steps or a greater strength"
            )
        index = _distinct(_spaced_indices(table, start, steps, spacing), start)
        return cls(torch.cat([table[index], table.new_zeros(1)]), flow)


def _spaced_indices(table: Tensor, start: int, steps: int, spacing: str) -> Tensor:
    """Table positions, decreasing, of which the first is ``start - 1``."""
    fraction = torch.arange(steps, dtype=torch.float64) / steps
    if spacing == "uniform":
        return (start * (1.0 - fraction)).round().long().clamp(min=1) - 1
    low, high = table[0], table[start - 1]
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64) if steps > 1 else torch.zeros(1, dtype=torch.float64)
    if spacing == "log":
        wanted = torch.exp(high.log() + ramp * (low.log() - high.log()))
    else:
        rho = 1.0 / KARRAS_RHO
        wanted = (high**rho + ramp * (low**rho - high**rho)) ** KARRAS_RHO
    return (table[None, :start] - wanted[:, None]).abs().argmin(dim=1)


def _distinct(index: Tensor, start: int) -> Tensor:
    """Move neighbours that fell on one level apart; ``len(index) <= start``, so there is always room."""
    positions = index.tolist()
    for k in reversed(range(len(positions) - 1)):
        positions[k] = max(positions[k], positions[k + 1] + 1)
    positions[0] = start - 1
    for k in range(1, len(positions)):
        positions[k] = min(positions[k], positions[k - 1] - 1)
    return torch.tensor(positions)
