"""The search, on photographs that the report never shows: step sizes by the objective, the defaults by judges."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from . import tables
from .cells import Cells
from .judges import Judges
from .methods import DEFAULTS, METHODS, Budget, Method, Tools, restore
from .store import Store, judged
from .tables import Row

LATENT_SIZES = (0.02, 0.04, 0.08)
STEP_SIZES = {"pixels": (0.002, 0.004, 0.008), "latent": LATENT_SIZES, "diffusion": LATENT_SIZES}
STRENGTHS = (0.2, 0.4)
FIDELITY_WEIGHTS = (240.0, 400.0)


def _reached(tools: Tools, batches: list[Cells], method: Method, budget: Budget, name: str) -> list[Row]:
    """The mean objective that a method reaches, as one row."""
    objectives = torch.cat([restore(tools, cells.degraded, method, budget).objective for cells in batches])
    return [{"method": name, "step size": method.step_size, "mean objective": round(float(objectives.mean()), 3)}]


def _all(judges: Judges, tools: Tools, batches: list[Cells], method: Method, budget: Budget, title: str) -> list[Row]:
    return [row for cells in batches for row in judged(judges, tools, cells, method, budget, {"method": title})]


def searched(batches: list[Cells], store: Store, budget: Budget, judges: Judges) -> tuple[list[Row], list[Row]]:
    """Every step size of every method, and every strength and fidelity weight of the shipped one."""
    tools = Tools()
    steps: list[Row] = []
    for index, (name, method) in enumerate(METHODS.items()):
        for size in () if name == DEFAULTS else STEP_SIZES.get(method.space, ()):
            tried = replace(method, step_size=size)
            steps += store.rows(f"step {index} {size:g}", partial(_reached, tools, batches, tried, budget, name))
            print(steps[-1:], flush=True)
    grid: list[Row] = []
    for strength in STRENGTHS:
        for weight in FIDELITY_WEIGHTS:
            title = f"strength {strength:g}, fidelity weight {weight:g}"
            tried, climb = replace(METHODS[DEFAULTS], strength=strength), replace(budget, fidelity_weight=weight)
            grid += store.rows(title, partial(_all, judges, tools, batches, tried, climb, title))
            print(title, flush=True)
    return steps, grid


def report(steps: list[Row], grid: list[Row]) -> str:
    """Both as Markdown."""
    listed = tables.table(list(steps[0]), ([str(value) for value in row.values()] for row in steps))
    return f"{listed}\n{tables.means(grid)}"
