"""Step rules: from a gradient to a change of the latent. All work element by element, so images stay independent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import UserError, no_choice


class StepRule(ABC):
    """Turns gradients of an objective that is to rise into changes of the unit-variance latent.

    Args:
        step_size: in units of the latent's standard deviation for Adam, a factor on the summed gradient for momentum.
    """

    name: ClassVar[str]

    def __init__(self, step_size: float) -> None:
        if not step_size > 0:
            raise UserError(f"step_size: got {step_size}, it must be greater than 0")
        self.step_size = step_size

    @abstractmethod
    def change(self, gradient: Tensor) -> Tensor:
        """What to add to the latent; same shape as ``gradient``."""


class Adam(StepRule):
    """Adam (Kingma and Ba 2015, arXiv:1412.6980), without weight decay, with a linear warm-up.

    Its first steps are nearly the gradient's signs, which move what hardly matters as far as what does: at full length
    they are noise that the fidelity punishes.
    """

    name: ClassVar[str] = "adam"
    warm_up: ClassVar[int] = 4
    """Steps until the step size is reached."""

    def __init__(self, step_size: float, beta1: float = 0.9, beta2: float = 0.99, eps: float = 1e-12) -> None:
        super().__init__(step_size)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self._mean: Tensor | None = None
        self._square: Tensor | None = None
        self._count = 0

    def change(self, gradient: Tensor) -> Tensor:
        if self._mean is None or self._square is None:
            self._mean, self._square = torch.zeros_like(gradient), torch.zeros_like(gradient)
        self._count += 1
        self._mean = self.beta1 * self._mean + (1 - self.beta1) * gradient
        self._square = self.beta2 * self._square + (1 - self.beta2) * gradient**2
        mean = self._mean / (1 - self.beta1**self._count)
        square = self._square / (1 - self.beta2**self._count)
        step = self.step_size * min(1.0, self._count / self.warm_up)
        return step * mean / (square.sqrt() + self.eps)


class ClippedMomentum(StepRule):
    """The authors' rule: element-wise clipping at 1e-3, momentum 0.9 (their step is 2)."""

    name: ClassVar[str] = "momentum"

    def __init__(self, step_size: float, clip: float = 1e-3, momentum: float = 0.9) -> None:
        super().__init__(step_size)
        self.clip, self.momentum = clip, momentum
        self._velocity: Tensor | None = None

    def change(self, gradient: Tensor) -> Tensor:
        clipped = gradient.clamp(-self.clip, self.clip)
        self._velocity = clipped if self._velocity is None else self.momentum * self._velocity + clipped
        return self.step_size * self._velocity


RULES: dict[str, type[StepRule]] = {Adam.name: Adam, ClippedMomentum.name: ClippedMomentum}


def make_rule(name: str, step_size: float) -> StepRule:
    """The step rule of that name. Raises UserError for an unknown one or a step that is not positive."""
    if name not in RULES:
        raise no_choice("rule", name, RULES)
    return RULES[name](step_size)
