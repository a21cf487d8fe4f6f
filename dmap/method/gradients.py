"""How gradients pass through the network's calls of a chain: what is remembered, computed again or left out.

Costs are in F, one forward pass of the denoiser; its backward pass with frozen weights is counted as two. A chain of N
steps with E calls a step makes EN calls. No strategy changes a chain's value. A new one is a class here and a line in
``GRADIENTS``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from ..errors import UserError, no_choice
from ..memory.checkpoint import CopyOnWrite, checkpoint
from .denoiser import Denoiser
from .path import LatentPath
from .schedule import Schedule

if TYPE_CHECKING:
    from .solvers import Solver

ALL = 10**9
"""As many calls as there are."""


class GradientStrategy(ABC):
    """One way to differentiate a chain's sampling.

    Args:
        kept: so many of the calls with a gradient, the last ones, keep their activations instead of being computed
            again; each saves 1 F and costs one call's activations in memory.
    """

    name: ClassVar[str]
    exact: ClassVar[bool]
    formula: ClassVar[str]
    """Passes of the value and the gradient together, with K = ``kept``."""
    accuracy: ClassVar[str]

    def __init__(self, kept: int = 0) -> None:
        if kept < 0:
            raise UserError(f"kept: got {kept}, it must not be negative")
        self.kept = kept

    @abstractmethod
    def calls(self, solver: Solver, steps: int) -> tuple[int, int]:
        """Of an evaluation: calls without a gradient, calls with one."""

    def warning(self, solver: Solver, schedule: Schedule) -> str | None:
        """What is to be said of a chain for which the gradient was measured to be far from exact; None of others."""
        return None

    def passes(self, solver: Solver, steps: int) -> int:
        """F of a chain's value and gradient."""
        without, with_gradient = self.calls(solver, steps)
        return without + 4 * with_gradient - min(self.kept, with_gradient)

    def sample(
        self, solver: Solver, denoise: Denoiser, path: LatentPath, state: Tensor, guard: CopyOnWrite | None = None
    ) -> Tensor:
        """``solver.sample`` with this strategy's gradient with respect to ``state``.

        ``guard`` must see whatever the caller runs on the result before the backward pass, if the network may write
        in place and calls are kept.
        """
        if not (torch.is_grad_enabled() and state.requires_grad):
            return solver.sample(denoise, path, state)
        _, taken = self.calls(solver, path.schedule.steps)
        return self._sample(solver, _Calls(denoise, taken, self.kept, guard or CopyOnWrite()), path, state)

    @abstractmethod
    def _sample(self, solver: Solver, calls: _Calls, path: LatentPath, state: Tensor) -> Tensor: ...


class Checkpoint(GradientStrategy):
    """Every call computes itself again in the backward pass, but for the ``kept`` last ones."""

    name: ClassVar[str] = "checkpoint"
    exact: ClassVar[bool] = True
    formula: ClassVar[str] = "4EN - K"
    accuracy: ClassVar[str] = "exact"

    def calls(self, solver: Solver, steps: int) -> tuple[int, int]:
        return 0, solver.evaluations * steps

    def _sample(self, solver: Solver, calls: _Calls, path: LatentPath, state: Tensor) -> Tensor:
        return solver.sample(calls, path, state)


class Keep(Checkpoint):
    """Every call keeps its activations: the fastest exact gradient, if memory holds it."""

    name: ClassVar[str] = "keep"
    formula: ClassVar[str] = "3EN"

    def __init__(self, kept: int = ALL) -> None:
        super().__init__(kept)


class SparseJacobian(GradientStrategy):
    """The network's Jacobian at the first of every ``period`` steps, weighted for all of them.

    Where it is left out the direction d = (u - D) / sigma counts as constant. Where it is taken it stands for its
    group: the chain's Jacobian is close to the exponential of the sum of h_i d'(sigma_i), so the one taken gets the
    group's share of the way, sum(h) / h. (Weighting by the number of steps instead, as for equal h, was measured to
    be worse.) With two, the same as the Jacobian of a chain of half the steps along the full chain's own trajectory.

    Args:
        kept: as for every strategy.
        period: m, the next odd number for EDICT; more than 2 was measured to be too inaccurate to be offered
            (docs/cost.md).
    """

    name: ClassVar[str] = "sparse"
    exact: ClassVar[bool] = False
    formula: ClassVar[str] = "EN + 3E ceil(N/2) - K"
    accuracy: ClassVar[str] = (
        "cosine to exact at least 0.99 at the default settings; with edict 0.98 up to strength 0.4"
    )

    def __init__(self, kept: int = 0, period: int = 2) -> None:
        super().__init__(kept)
        if period < 2:
            raise UserError(f"period: got {period}, it must be at least 2; 1 would be exact")
        self.period = period

    def warning(self, solver: Solver, schedule: Schedule) -> str | None:
        if solver.states == 1 or schedule.noise <= PAIR_NOISE:
            return None
        return (
            f"warning: gradient sparse is far from exact with {solver.name} this far into the noise (a cosine of 0.72 "
            "was measured over the full path); use auto, or a strength up to 0.4"
        )

    def _period(self, solver: Solver) -> int:
        """An odd one for a pair, whose two swap roles from step to step: else one of them would never have its turn."""
        return self.period if solver.states == 1 else self.period | 1

    def calls(self, solver: Solver, steps: int) -> tuple[int, int]:
        taken = math.ceil(steps / self._period(solver))
        return solver.evaluations * (steps - taken), solver.evaluations * taken

    def _sample(self, solver: Solver, calls: _Calls, path: LatentPath, state: Tensor) -> Tensor:
        way, index, period = -path.schedule.sigmas.diff(), 0, self._period(solver)

        def sparse(u: Tensor, sigma: Tensor) -> Tensor:
            nonlocal index
            step, index = index // solver.evaluations, index + 1
            if step % period:
                return _carry(calls.without_gradient(u, sigma), u)
            weight = float(way[step : step + period].sum() / way[step])
            denoised = calls(u, sigma)
            return _carry(denoised, u - weight * (u - denoised))

        return solver.sample(sparse, path, state)


class ShortChain(GradientStrategy):
    """The Jacobian of a chain of half the steps from the same latent; dearer and less accurate than ``sparse``.

    Not for EDICT, whose pair swaps roles from step to step and is mixed at each: half the steps are another map.
    """

    name: ClassVar[str] = "short_chain"
    exact: ClassVar[bool] = False
    formula: ClassVar[str] = "EN + 4E ceil(N/2) - K"
    accuracy: ClassVar[str] = "cosine to exact at least 0.97 at the default settings; less at high strength"

    def calls(self, solver: Solver, steps: int) -> tuple[int, int]:
        return solver.evaluations * steps, solver.evaluations * math.ceil(steps / 2)

    def warning(self, solver: Solver, schedule: Schedule) -> str | None:
        if solver.states == 1 or schedule.steps <= PAIR_STEPS:
            return None
        return (
            f"warning: gradient short_chain is far from exact with {solver.name} and {schedule.steps} steps (a cosine "
            "of 0.42 was measured); use auto"
        )

    def _sample(self, solver: Solver, calls: _Calls, path: LatentPath, state: Tensor) -> Tensor:
        with torch.no_grad():
            value = solver.sample(calls.without_gradient, path, state)
        schedule = replace(path.schedule, sigmas=torch.cat([path.schedule.sigmas[:-1:2], path.schedule.sigmas[-1:]]))
        residuals = path.residuals
        if residuals is not None:
            residuals = torch.stack([pair.sum(dim=0) for pair in torch.split(residuals, 2)])
        return _carry(value, solver.sample(calls, replace(path, schedule=schedule, residuals=residuals), state))


GRADIENTS: dict[str, type[GradientStrategy]] = {
    Checkpoint.name: Checkpoint,
    Keep.name: Keep,
    SparseJacobian.name: SparseJacobian,
    ShortChain.name: ShortChain,
}
PAIR_STEPS = 4
"""Up to so many steps ``short_chain`` was measured to be close with a pair; docs/cost.md."""
PAIR_NOISE = 1.2
"""Up to so much noise to the signal (strength 0.4) ``sparse`` was measured to be close with a pair."""
AUTO = "auto"
"""Exact, with as many calls kept as the caller says memory holds."""


def make_gradient(name: str, kept: int = 0) -> GradientStrategy:
    """The strategy of that name.

    Args:
        name: of ``GRADIENTS``, or "auto".
        kept: how many calls' activations memory holds; "checkpoint" keeps none and "keep" all whatever it says.

    Raises:
        UserError: for an unknown name or a negative number.
    """
    if name == AUTO:
        return Checkpoint(kept)
    if name not in GRADIENTS:
        raise no_choice("gradient", name, [AUTO, *GRADIENTS])
    return GRADIENTS[name]() if name in (Checkpoint.name, Keep.name) else GRADIENTS[name](kept)


class _Calls:
    """The network in one evaluation of a chain: the last ``kept`` calls remember, those before compute again.

    The last ones, because the backward pass comes to them first and has let go of them before it computes another.
    """

    def __init__(self, denoise: Denoiser, total: int, kept: int, guard: CopyOnWrite) -> None:
        self._denoise, self._left, self._kept, self._guard = denoise, total, kept, guard

    def without_gradient(self, u: Tensor, sigma: Tensor) -> Tensor:
        """A call whose result is a constant."""
        with torch.no_grad(), self._guard.watching():
            return self._denoise(u, sigma)

    def __call__(self, u: Tensor, sigma: Tensor) -> Tensor:
        self._left -= 1
        if self._left < self._kept:
            with self._guard.saving():
                return self._denoise(u, sigma)
        return checkpoint(lambda x: self._denoise(x, sigma), u)


class _Carry(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, carrier: Tensor) -> Tensor:  # noqa: ARG004 - autograd's form
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:  # noqa: ARG004
        return None, gradients[0]


def _carry(value: Tensor, carrier: Tensor) -> Tensor:
    """Exactly ``value``, with the gradient of ``carrier``."""
    result: Tensor = _Carry.apply(value.detach(), carrier)  # type: ignore[no-untyped-call]
    return result
