"""Gradients of short chains and of flows: ``python -m tools.benchmarks.flows --help``.

What the network's Jacobian is worth: cosine to the exact gradient of the same chain, and what a step of fixed length
along a gradient gains in the objective for each network call that it took. "straight" leaves the Jacobian out (as
FlowChef does, Patel et al., ICCV 2025): the direction of each step counts as constant.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from dmap.method.chain import Chain
from dmap.method.gradients import ALL, GradientStrategy, SparseJacobian, make_gradient
from dmap.method.path import LatentPath
from dmap.method.schedule import flow_levels
from dmap.method.solvers import SOLVERS, make_solver
from dmap.models.diffusion import LatentDiffusion, shipped
from tools.benchmarks.climbs import cases
from tools.benchmarks.step import Bench, cosines, head, row

CHAINS = (
    ("residual_ddim", 1, 0.2), ("residual_ddim", 2, 0.2), ("residual_ddim", 4, 0.2), ("residual_ddim", 8, 0.2),
    ("residual_ddim", 1, 0.4), ("residual_ddim", 4, 0.4), ("residual_ddim", 8, 0.4), ("residual_ddim", 10, 1.0),
    ("edict", 4, 0.2), ("edict", 10, 0.4), ("edict", 10, 1.0), ("edict", 20, 1.0),
)  # fmt: skip
LENGTH = 0.001
"""Of the step that is taken for the gain, root mean square of a coordinate of the unit-variance latent."""


class Straight(SparseJacobian):
    """No Jacobian of the network at all: N calls without a gradient."""

    def __init__(self) -> None:
        super().__init__(0, ALL)

    def calls(self, solver: object, steps: int) -> tuple[int, int]:
        return getattr(solver, "evaluations", 1) * steps, 0

    def _sample(self, solver: object, calls: object, path: LatentPath, state: Tensor) -> Tensor:
        evaluate = calls.without_gradient  # type: ignore[attr-defined]

        def constant(u: Tensor, sigma: Tensor) -> Tensor:
            return u - (u - evaluate(u, sigma)).detach()

        return solver.sample(constant, path, state)  # type: ignore[attr-defined,no-any-return]


def as_flow(model: LatentDiffusion) -> LatentDiffusion:
    """The flow model of the same denoiser: x = (1 - s) x0 + s n is (1 - s) (x0 + sigma n)."""

    def denoise(x: Tensor, s: Tensor) -> Tensor:
        return model.denoise(x / (1 - s), s / (1 - s))

    return replace(model, denoise=denoise, table=flow_levels(model.table), flow=True)


def gains(bench: Bench, path: LatentPath, gradients: Sequence[Tensor]) -> list[Tensor]:
    """How much the objective rises by a step of ``LENGTH`` along each gradient, an image (B,)."""
    chain = Chain(path, bench.model.denoise, bench.model.decode)
    start = bench.away(chain.start())
    with torch.no_grad():
        before = bench.objective(chain(start)).objective
        found = []
        for gradient in gradients:
            size = gradient.square().mean(dim=(0, 2, 3, 4), keepdim=True).sqrt()
            found.append(bench.objective(chain(start + LENGTH * gradient / size)).objective - before)
    return found


def table(bench: Bench, solvers: Sequence[str]) -> Iterator[str]:
    """Chains x strategies."""
    columns = ("F", "cosine, median", "cosine, least", "gain, mean", "gain an F")
    yield from head("solver, steps, strength", "gradient", *columns)
    for solver, steps, strength in CHAINS:
        if solver not in solvers:
            continue
        path = bench.invert(solver, steps, strength)
        strategies: list[GradientStrategy] = [make_gradient("keep")]
        strategies += [make_gradient(name, ALL) for name in ("sparse", "short_chain")] if steps > 1 else []
        names = [*(strategy.name for strategy in strategies), "straight"]
        found = [bench.step(path, strategy) for strategy in (*strategies, Straight())]
        exact = found[0]["gradient"]
        risen = gains(bench, path, [one["gradient"] for one in found])
        for name, one, gain in zip(names, found, risen, strict=True):
            near, mean = cosines(one["gradient"], exact), float(gain.mean())
            passes = max(one["F"], make_solver(solver).evaluations * steps)
            cells = (passes, float(near.median()), float(near.min()), mean, mean / passes)
            yield row(f"{solver}, {steps}, {strength}", name, *cells)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.flows", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help="folder with the held-out photographs")
    parser.add_argument("--denoiser", default="demo_denoiser", help="a shipped denoiser or a file of the recipes'")
    parser.add_argument("--as-flow", action="store_true", help="take a diffusion model's denoiser as a flow")
    parser.add_argument("--size", type=int, default=96, help="side of the central square in pixels")
    parser.add_argument("--count", type=int, default=3, help="photographs")
    parser.add_argument("--solvers", nargs="+", choices=list(SOLVERS), default=list(SOLVERS))
    options = parser.parse_args(arguments)
    photographs = torch.cat([case.photograph for case in cases(options.photos, options.count, options.size)])
    model = shipped(denoiser=options.denoiser)
    bench = Bench(as_flow(model) if options.as_flow else model, photographs)
    for line in table(bench, options.solvers):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
