"""The search, on photographs that the report never shows: step sizes by the objective, the defaults by judges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from . import tables
from .cells import Cells
from .methods import DEFAULTS, METHODS, Budget, Method, restore
from .store import Units, Workshop
from .tables import Row

Batches = Callable[[], list[Cells]]
"""The tuning photographs, read when they are needed."""
PRIOR = "dmap_quality"
LATENT_SIZES = (0.02, 0.04, 0.08)
STEP_SIZES = {"pixels": (0.002, 0.004, 0.008), "latent": LATENT_SIZES, "diffusion": LATENT_SIZES}
STRENGTHS = (0.2, 0.4)
FIDELITY_WEIGHTS = (240.0, 400.0)


def _reached(workshop: Workshop, batches: Batches, method: Method, budget: Budget, name: str) -> list[Row]:
    """The mean objective that a method reaches, as one row."""
    tools = workshop.tools(PRIOR)
    objectives = torch.cat([restore(tools, cells.degraded, method, budget).objective for cells in batches()])
    return [{"method": name, "step size": method.step_size, "mean objective": round(float(objectives.mean()), 3)}]


def _all(workshop: Workshop, batches: Batches, method: Method, budget: Budget, title: str) -> list[Row]:
    return [row for cells in batches() for row in workshop.judged(PRIOR, cells, method, budget, {"method": title})]


def searched(batches: Batches, budget: Budget, workshop: Workshop) -> tuple[Units, Units]:
    """Every step size of every method, and every strength and fidelity weight of the shipped one."""
    steps: Units = {}
    for index, (name, method) in enumerate(METHODS.items()):
        for size in () if name == DEFAULTS else STEP_SIZES.get(method.space, ()):
            tried = replace(method, step_size=size)
            steps["search", f"step {index} {size:g}"] = partial(_reached, workshop, batches, tried, budget, name)
    grid: Units = {}
    for strength in STRENGTHS:
        for weight in FIDELITY_WEIGHTS:
            title = f"strength {strength:g}, fidelity weight {weight:g}"
            tried, climb = replace(METHODS[DEFAULTS], strength=strength), replace(budget, fidelity_weight=weight)
            grid["search", title] = partial(_all, workshop, batches, tried, climb, title)
    return steps, grid


def report(steps: list[Row], grid: list[Row]) -> str:
    """Both as Markdown."""
    listed = tables.table(list(steps[0]), ([str(value) for value in row.values()] for row in steps))
    return f"{listed}\n{tables.means(grid)}"
