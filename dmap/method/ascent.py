"""Gradient ascent of the MAP objective in the latent of a chain, best iterate kept per image."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from ..errors import UserError, no_choice
from ..memory.plan import is_out_of_memory
from ..settings import Settings
from .chain import Chain
from .judge import Judge
from .latent_prior import LatentPrior
from .objective import Objective, Terms
from .path import LatentPath
from .rules import RULES, make_rule
from .trace import Row, Trace

OUT_OF_MEMORY = (
    "gradient: out of memory even with no activations kept and the decoder's gradient by the smallest tiles; use a "
    "smaller image or batch, or free memory. The best image so far is kept."
)


@dataclass(frozen=True)
class AscentSettings:
    """How to climb.

    Attributes:
        iterations: number of changes of the latent, at least 1; the objective is evaluated once more at the end.
        rule: name of the step rule.
        step_size: of the rule.
        target_score: an image stops as soon as its prior score (0..100) reaches this; above 100 it never stops
            early. The authors stop at 90.
    """

    iterations: int = Settings.iterations
    rule: str = Settings.rule
    step_size: float = Settings.step_size
    target_score: float = Settings.target_score

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise UserError(f"iterations: got {self.iterations}, at least 1 is needed; 20 is a good first value")
        if self.rule not in RULES:
            raise no_choice("rule", self.rule, RULES)


class Ascent:
    """One ascent; its best images so far can be read at any time, also after an interrupt or a fault in ``run``.

    Args:
        chain: the differentiable map from latent to image.
        objective: what is to rise.
        settings: how to climb.
        judge: ends the ascent of an image that it finds worse for too long.
        latent_prior: points to take from the objective for where z is.
        movable: (1 or B, 1, H, W) in [0, 1], factor on the changes of the latent; None = 1.

    Attributes:
        trace: rows so far.
        image: (B, 3, h, w) the best images so far as they will be shown; None before the first evaluation.
        current: the same of the last evaluation, the best or not.
    """

    def __init__(
        self,
        chain: Chain,
        objective: Objective,
        settings: AscentSettings,
        judge: Judge | None = None,
        latent_prior: LatentPrior | None = None,
        movable: Tensor | None = None,
    ) -> None:
        self.chain, self.objective, self.settings = chain, objective, settings
        self.judge, self.latent_prior, self.movable = judge, latent_prior, movable
        self.trace = Trace(settings=asdict(settings))
        self.image: Tensor | None = None
        self.current: Tensor | None = None
        self._z = chain.start()
        self._best_z = self._z.clone()
        self._best = torch.full((chain.path.batch,), -torch.inf)

    @property
    def path(self) -> LatentPath:
        """The path of the best latents so far."""
        return self.chain.path.with_state(self.chain.state(self._best_z))

    def run(self, callback: Callable[[Ascent], None] | None = None) -> None:
        """Climb. ``callback(self)`` is called after each evaluation and may raise to stop.

        Raises:
            UserError: if the objective is not finite at the very start.
            FloatingPointError: if it stops being finite later on.
            MemoryError: if memory runs out and nothing is left to save it with.
        """
        rule = make_rule(self.settings.rule, self.settings.step_size)
        began = time.monotonic()
        running = torch.ones(self.chain.path.batch, dtype=torch.bool)
        self.trace.stopped = ["running"] * self.chain.path.batch
        for iteration in range(self.settings.iterations + 1):
            last = iteration == self.settings.iterations
            image, terms, gradient = self._within_memory(iteration, with_gradient=not last)
            self._record(iteration, image, terms, time.monotonic() - began)
            reached = running & (terms.prior.detach().cpu() >= self.settings.target_score)
            self._mark(reached, "target")
            running &= ~reached
            if self.judge is not None:
                worse = running & self.judge.worse(torch.tensor(self.trace.rows[-1].judge))
                self._mark(worse, "judge")
                running &= ~worse
            if callback is not None:
                callback(self)
            if gradient is None or not running.any():
                break
            change = rule.change(gradient)
            if self.movable is not None:
                change = change * self.movable
            self._z = self._z + change * running.to(change.device).reshape(1, -1, 1, 1, 1)
        self._mark(running, "iterations")

    def _mark(self, which: Tensor, reason: str) -> None:
        for index in which.nonzero().flatten().tolist():
            self.trace.stopped[index] = reason

    def _within_memory(self, iteration: int, with_gradient: bool) -> tuple[Tensor, Terms, Tensor | None]:
        """Evaluate; if memory runs out, make the chain lighter and try again."""
        while True:
            try:
                return self._evaluate(iteration, with_gradient)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                change = self.chain.lighter()
                if change is None:
                    raise MemoryError(OUT_OF_MEMORY) from error
                self.trace.notes.append(f"gradient: out of memory in iteration {iteration}, went on with {change}")
            # Here the error is gone, and with it what its traceback held.
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _evaluate(self, iteration: int, with_gradient: bool) -> tuple[Tensor, Terms, Tensor | None]:
        z = self._z.detach().requires_grad_(with_gradient)
        with torch.set_grad_enabled(with_gradient):
            image = self.chain(z)
            terms = self.objective(image, iteration)
            if self.latent_prior is not None:
                terms = replace(terms, objective=terms.objective - self.latent_prior(z))
            total = terms.objective.sum()
        if not torch.isfinite(terms.objective).all():
            bad = (~torch.isfinite(terms.objective)).nonzero().flatten().tolist()
            text = f"the objective of image {bad} is not finite in iteration {iteration}"
            if iteration == 0:
                raise UserError(f"{text}, before any change: the model, the photograph or the prior is broken")
            raise FloatingPointError(f"{text}; lower step_size or prior_weight. The best image so far is kept.")
        if not with_gradient:
            return image.detach(), terms, None
        (gradient,) = torch.autograd.grad(total, z)
        # The mean over a pair moves both alike and so keeps the difference that inversion gave them.
        return image.detach(), terms, gradient.mean(dim=0, keepdim=True).expand_as(gradient)

    def _record(self, iteration: int, image: Tensor, terms: Terms, seconds: float) -> None:
        objective = terms.objective.detach().cpu()
        self.current = shown = self.objective.composite(image)
        judged = None if self.judge is None else self.judge.scores(shown)
        value = judged if judged is not None and self.judge is not None and self.judge.keep_best else objective
        if self.image is None:
            self.image, self.trace.best_iteration = shown.clone(), [0] * len(objective)
        for index in (value > self._best).nonzero().flatten().tolist():
            self.image[index] = shown[index]
            self._best_z[:, index] = self._z[:, index].detach()
            self._best[index] = value[index]
            self.trace.best_iteration[index] = iteration
        self.trace.rows.append(
            Row(
                iteration=iteration,
                objective=objective.tolist(),
                prior=terms.prior.detach().cpu().tolist(),
                fidelity=terms.fidelity.detach().cpu().tolist(),
                latent_norm=self._z.detach().square().mean(dim=(0, 2, 3, 4)).sqrt().cpu().tolist(),
                seconds=seconds,
                judge=[] if judged is None else judged.tolist(),
            )
        )
