"""Whether a comparison's outcome depends on its seed and its budget: the same comparison made several times."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UserError
from .charts import curves
from .drawing import Drawing
from .people import spearman
from .results import Array, Results
from .statistics import contrasts, over_judges
from .verdict import verdict

FREE = ("seed", "iterations")
"""Settings in which runs may differ: with another one they would answer another question."""


@dataclass(frozen=True)
class Run:
    """One of the comparisons.

    Attributes:
        name: of its folder.
        seed, iterations: its own.
        gain, error: (models,) by the judges of ``judging``, in their standard deviations, with standard errors.
        headline: its verdict.
        shown: pairs of models (better, worse) that its tests tell apart.
    """

    name: str
    seed: int
    iterations: int
    gain: Array
    error: Array
    headline: str
    shown: frozenset[tuple[int, int]]


def read(named: Sequence[tuple[str, Results]]) -> list[Run]:
    """The runs, in the order of their budgets and seeds.

    Raises:
        UserError: for fewer than two, or if they differ in anything but ``FREE``.
    """
    if len(named) < 2:
        raise UserError(
            f"stability: got {len(named)} comparison; name two or more that differ in --seed or --iterations"
        )
    first_name, first = named[0]
    for name, one in named[1:]:
        for what, mine, theirs in _compared(first, one):
            if mine != theirs:
                raise UserError(f"stability: {first_name} and {name} differ in {what}: {mine} and {theirs}")
    plans = [(one.plan.seed, one.plan.iterations) for _, one in named]
    if len(set(plans)) != len(plans):
        raise UserError("stability: two of the comparisons have the same seed and iterations; name each once")
    found = []
    for name, one in named:
        chosen = one.select()
        judged = over_judges(one, chosen, deviations=True)
        shown = frozenset(
            (pair.first, pair.second) if pair.deviations > 0 else (pair.second, pair.first)
            for pair in contrasts(one, chosen)
            if pair.shown and pair.second is not None
        )
        found.append(
            Run(name, one.plan.seed, one.plan.iterations, judged.mean, judged.error, verdict(one, chosen)[0], shown)
        )
    return sorted(found, key=lambda run: (run.iterations, run.seed))


def _compared(one: Results, other: Results) -> Iterator[tuple[str, Any, Any]]:
    mine, theirs = one.plan.to_json(), other.plan.to_json()
    yield from ((name, mine[name], theirs[name]) for name in mine if name not in FREE)
    shown, others = ([photo["name"] for photo in found.index["photographs"]] for found in (one, other))
    yield "photographs", shown, others
    yield "the weights of models", one.prints, other.prints
    yield "the diffusion model", one.index["engine"], other.index["engine"]


def over_seeds(runs: Sequence[Run]) -> tuple[list[int], Array, Array, Array]:
    """Budgets, and each (models, budgets): the mean gain over seeds, its standard deviation over them (NaN for a single
    seed), and the mean standard error over photographs."""
    budgets = sorted({run.iterations for run in runs})
    mean, spread, error = (np.full((len(runs[0].gain), len(budgets)), np.nan) for _ in range(3))
    for column, budget in enumerate(budgets):
        gains = np.stack([run.gain for run in runs if run.iterations == budget])
        mean[:, column] = gains.mean(axis=0)
        error[:, column] = np.mean([run.error for run in runs if run.iterations == budget], axis=0)
        if len(gains) > 1:
            spread[:, column] = gains.std(axis=0, ddof=1)
    return budgets, mean, spread, error


def sentences(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    """What holds in all runs, and what only in some."""
    union = frozenset().union(*(run.shown for run in runs))
    common = [pair for pair in union if all(pair in run.shown for run in runs)]
    contradicted = [pair for pair in union if pair[::-1] in union and pair[0] < pair[1]]

    def words(pairs: Sequence[tuple[int, int]]) -> str:
        return "; ".join(f"{names[better]} above {names[worse]}" for better, worse in sorted(pairs)) or "none"

    found = [
        f"Differences shown in all of {len(runs)} runs: {words(common)}.",
        f"Shown in some of them only: {words([pair for pair in union if pair not in common])}.",
    ]
    if contradicted:
        found.append(f"Shown either way round in different runs, so not at all: {words(contradicted)}.")
    orders = [spearman(one.gain, other.gain) for one, other in itertools.combinations(runs, 2)]
    known = [value for value in orders if np.isfinite(value)]
    if known:
        found.append(
            f"Rank correlation of the models' order between two runs: {np.mean(known):.2f} on average, "
            f"{min(known):.2f} at the least."
        )
    budgets, _, spread, error = over_seeds(runs)
    for column, budget in enumerate(budgets):
        if np.isfinite(spread[:, column]).all():
            found.append(
                f"With {budget} iterations a model's gain has a standard deviation of {spread[:, column].mean():.3f} "
                f"over seeds, beside a standard error of {error[:, column].mean():.3f} over photographs."
            )
    return found


def rows(runs: Sequence[Run], names: Sequence[str]) -> list[dict[str, Any]]:
    """A row a run and model."""
    return [
        {
            "run": run.name, "seed": run.seed, "iterations": run.iterations, "model": name,
            "gain deviations": float(run.gain[row]), "gain error": float(run.error[row]),
            "place": 1 + int((run.gain > run.gain[row]).sum()),
        }
        for run in runs
        for row, name in enumerate(names)
    ]  # fmt: skip


def drawing(runs: Sequence[Run], names: Sequence[str]) -> Drawing:
    """The gain over the budget, with standard deviations over seeds."""
    budgets, mean, spread, _ = over_seeds(runs)
    x = np.tile(np.array(budgets, dtype=float), (len(names), 1))
    labels = "iterations", "gain by common judges, standard deviations"
    return curves("Gain over the budget, mean and spread over seeds", labels, names, x, mean, spread)
