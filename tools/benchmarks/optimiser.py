"""A search for what climbs the paper's objective in few passes: ``python -m tools.benchmarks.optimiser --help``.

From one configuration, each other changes one thing: the chain's steps and strength, the gradient, the step rule, its
numbers, a preconditioner of the unit-variance latent, a shorter chain or a smaller photograph to begin with. The
photographs are those that models were trained on; what is found is then measured on held-out ones by
``tools.benchmarks.target``. Passes are counted, inversion included. Finished climbs are kept in the folder, so that a
stopped search goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor

from dmap.method.rules import RULES, Adam, StepRule
from dmap.models.diffusion import shipped
from dmap.priors import load_prior
from tools.benchmarks.climbs import Case, Climber, Coarse, Configuration, Record, cases, key, settings_of, stored
from tools.benchmarks.evidence.store import Store
from tools.benchmarks.step import head, row

BUDGETS = (60, 120, 240)
"""F at which the best objective so far is compared."""


def _norm(x: Tensor) -> Tensor:
    """Root mean square an image of (S, B, C, H, W), to be divided by."""
    return x.square().mean(dim=(0, 2, 3, 4), keepdim=True).sqrt().clamp(min=1e-12)


class NormalisedMomentum(StepRule):
    """Momentum 0.9 of gradients with the length of one standard deviation an image."""

    name = "normalised momentum"

    def __init__(self, step_size: float) -> None:
        super().__init__(step_size)
        self._velocity: Tensor | None = None

    def change(self, gradient: Tensor) -> Tensor:
        unit = gradient / _norm(gradient)
        self._velocity = unit if self._velocity is None else 0.9 * self._velocity + 0.1 * unit
        return self.step_size * self._velocity


class Lion(StepRule):
    """Sign of an interpolated momentum (Chen et al. 2023, arXiv:2302.06675), without weight decay."""

    name = "lion"

    def __init__(self, step_size: float) -> None:
        super().__init__(step_size)
        self._mean: Tensor | None = None

    def change(self, gradient: Tensor) -> Tensor:
        mean = torch.zeros_like(gradient) if self._mean is None else self._mean
        self._mean = 0.99 * mean + 0.01 * gradient
        return self.step_size * (0.9 * mean + 0.1 * gradient).sign()


class BarzilaiBorwein(StepRule):
    """Steps of the length that the last change of the gradient suggests, an image (Barzilai and Borwein 1988)."""

    name = "barzilai-borwein"

    def __init__(self, step_size: float) -> None:
        super().__init__(step_size)
        self._last: tuple[Tensor, Tensor] | None = None

    def change(self, gradient: Tensor) -> Tensor:
        longest = self.step_size / _norm(gradient)
        length = longest
        if self._last is not None:
            change, before = self._last
            bent = (change * (before - gradient)).sum(dim=(0, 2, 3, 4), keepdim=True)
            moved = change.square().sum(dim=(0, 2, 3, 4), keepdim=True)
            length = torch.where(bent > 0, moved / bent, longest).minimum(4 * longest)
        change = length * gradient
        self._last = change, gradient
        return change


class SmoothAdam(Adam):
    """Adam of gradients whose spectrum is multiplied by 1 / (1 + f)^power, f in cycles a latent: slow parts first."""

    power = 0.5

    def change(self, gradient: Tensor) -> Tensor:
        height, width = gradient.shape[-2:]
        rows, columns = torch.fft.fftfreq(height) * height, torch.fft.rfftfreq(width) * width
        weight = (1 + (rows[:, None] ** 2 + columns[None] ** 2).sqrt()) ** -self.power
        return super().change(torch.fft.irfft2(torch.fft.rfft2(gradient) * weight, s=(height, width)))


class ChannelAdam(Adam):
    """Adam whose second moment is one number a channel and image instead of one an element."""

    def change(self, gradient: Tensor) -> Tensor:
        self._count += 1
        mean = torch.zeros_like(gradient) if self._mean is None else self._mean
        square = torch.zeros_like(gradient[..., :1, :1]) if self._square is None else self._square
        self._mean = self.beta1 * mean + (1 - self.beta1) * gradient
        self._square = self.beta2 * square + (1 - self.beta2) * gradient.square().mean(dim=(-2, -1), keepdim=True)
        corrected = self._mean / (1 - self.beta1**self._count)
        scale = (self._square / (1 - self.beta2**self._count)).sqrt() + self.eps
        return self.step_size * min(1.0, self._count / self.warm_up) * corrected / scale


def _adam(title: str, base: type[Adam] = Adam, warm_up: int = 4, **numbers: float) -> type[Adam]:
    """A variety of Adam under a name of its own; numbers are its betas."""

    class Variety(base):  # type: ignore[misc, valid-type]
        name = title

        def __init__(self, step_size: float) -> None:
            super().__init__(step_size, **numbers)

    Variety.warm_up = warm_up
    return Variety


TRIED: tuple[type[StepRule], ...] = (
    NormalisedMomentum,
    Lion,
    BarzilaiBorwein,
    _adam("adam, no warm-up", warm_up=1),
    _adam("adam, beta1 0.8", beta1=0.8),
    _adam("adam, beta1 0.95", beta1=0.95),
    _adam("adam, beta2 0.999", beta2=0.999),
    _adam("adam, smoothed gradient", SmoothAdam),
    _adam("adam, one scale a channel", ChannelAdam),
)

START, UNIT = Configuration(), NormalisedMomentum.name
CHANGES: dict[str, Configuration] = {
    "start: 4 steps, strength 0.2, sparse, adam 0.02": START,
    **{f"step size {size}": replace(START, step_size=size) for size in (0.01, 0.04, 0.08)},
    **{f"{steps} steps, exact": replace(START, steps=steps, gradient="keep") for steps in (1, 2, 4)},
    "8 steps, sparse": replace(START, steps=8),
    **{f"strength {strength}": replace(START, strength=strength) for strength in (0.1, 0.4)},
    "edict, short_chain": replace(START, solver="edict", gradient="short_chain"),
    "the authors' momentum, step 2": replace(START, rule="momentum", step_size=2.0),
    **{f"{UNIT} {size}": replace(START, rule=UNIT, step_size=size) for size in (0.05, 0.1)},
    "lion 0.01": replace(START, rule=Lion.name, step_size=0.01),
    "barzilai-borwein 0.02": replace(START, rule=BarzilaiBorwein.name, step_size=0.02),
    **{rule.name: replace(START, rule=rule.name) for rule in TRIED if rule.name.startswith("adam")},
    "1 step for 10 iterations, then 4": replace(START, coarse=Coarse(10, 1)),
    "2 steps for 10 iterations, then 4": replace(START, coarse=Coarse(10, 2)),
    "half the size for 10 iterations": replace(START, coarse=Coarse(10, 4, factor=2)),
    "half the size, 1 step, for 20 iterations": replace(START, coarse=Coarse(20, 1, factor=2)),
}  # fmt: skip


def climbed(climber: Climber, case: Case, configuration: Configuration) -> list[Record]:
    """Until the largest budget is spent."""
    return climber.climb(case.photograph, configuration, lambda record: record["F"] >= BUDGETS[-1])


def best_within(records: Sequence[Record], budget: float) -> float:
    """The best objective that was reached for so many F; minus infinity if none was known by then."""
    return max((record["objective"] for record in records if record["F"] <= budget), default=-torch.inf)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.optimiser", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder with the photographs")
    parser.add_argument("--out", type=Path, required=True, help="folder for the climbs and the table, optimiser.md")
    parser.add_argument("--count", type=int, default=4, help="photographs (default: 4)")
    parser.add_argument("--size", type=int, default=128, help="side of the central square in pixels (default: 128)")
    options = parser.parse_args(arguments)
    RULES.update({rule.name: rule for rule in TRIED})
    model, prior = shipped(), load_prior("dmap_quality").requires_grad_(False)
    climber, store = Climber(model, prior), Store(options.out)
    found = cases(options.photos, options.count, options.size, heldout=False)
    lines = list(head("changed", *(f"objective at {budget} F" for budget in BUDGETS)))
    for name, configuration in CHANGES.items():
        least = prior.info.min_size
        if configuration.coarse is not None and options.size // configuration.coarse.factor < least:
            print(f"{name}: left out, the prior takes no less than {least} px", flush=True)
            continue
        settings = [BUDGETS[-1], settings_of(configuration)]
        climbs = [
            stored(store, key(model, prior, case, settings), partial(climbed, climber, case, configuration))
            for case in found
        ]
        lines.append(row(name, *(mean(best_within(records, budget) for records in climbs) for budget in BUDGETS)))
        (options.out / "optimiser.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(lines[-1], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
