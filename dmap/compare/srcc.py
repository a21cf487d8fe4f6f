"""The usual benchmark against this one: a user's table of rank correlations (SRCC) on IQA data sets, held against the
outcome of a comparison."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .inference import DRAWS, effects
from .people import FEWEST, ranks, spearman
from .ranking import strengths
from .results import Array, Results
from .statistics import judged_rows

NAME = "srcc.csv"
LEAST = 4
"""Models below which a rank correlation means nothing."""
SAMPLES, EXACT = 500, 7
"""Bootstrap samples, and models up to which every order is tried."""
EXAMPLE = "a first line 'model,KonIQ-10k,SPAQ', then one for each model, such as 'pyiqa:musiq,0.92,0.91'"


@dataclass(frozen=True)
class Agreement:
    """How the order of the models on a data set goes with their order in a comparison.

    Attributes:
        dataset: name of the column.
        outcome: "gain" by the common judges, or "votes".
        models: how many have both.
        correlation: Spearman's over the models.
        low, high: 95 % bootstrap interval over photographs, with the models as they are; None for too few of them.
        p: two-sided, of the correlation under all orders of the models.
    """

    dataset: str
    outcome: str
    models: int
    correlation: float
    low: float | None
    high: float | None
    p: float


def read(file: Path, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """A table of SRCC: data set -> model -> SRCC, of these models; empty cells are left out.

    Raises:
        UserError: if it is no such table, or names fewer than ``LEAST`` of the models.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            head, *rows = [row for row in csv.reader(opened) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise UserError(f"--srcc: {file} is no table ({error}); give CSV, {EXAMPLE}") from error
    datasets = [one.strip() for one in head[1:]]
    if head[0].strip() != "model" or not datasets or len(set(datasets)) != len(datasets) or "" in datasets:
        raise UserError(f"--srcc: {file} begins with {','.join(head)[:80]!r}; give CSV, {EXAMPLE}")
    found: dict[str, dict[str, float]] = {name: {} for name in datasets}
    for row in rows:
        model = row[0].strip()
        if model not in names:
            continue
        for dataset, cell in zip(datasets, row[1:], strict=False):
            if not cell.strip():
                continue
            try:
                value = float(cell)
            except ValueError:
                value = math.nan
            if not abs(value) <= 1:
                raise UserError(f"--srcc: {file}, {model}, {dataset}: got {cell!r}, give a correlation from -1 to 1")
            if model in found[dataset]:
                raise UserError(f"--srcc: {file}: {model} is there twice; keep one line for each model")
            found[dataset][model] = value
    usable = {name: values for name, values in found.items() if len(values) >= LEAST}
    if not usable:
        raise UserError(
            f"--srcc: {file} has values for {max(map(len, found.values()))} of the models {', '.join(names)}, at least "
            f"{LEAST} are needed; name them as the comparison does"
        )
    return usable


def against(
    results: Results, table: Mapping[str, Mapping[str, float]], ranking: Mapping[str, Any] | None = None, seed: int = 0
) -> list[Agreement]:
    """Every data set against the gain by the common judges, and against people's votes where there are any.

    Args:
        results: of the comparison.
        table: of ``read``.
        ranking: contents of a ranking.
        seed: of the bootstrap and, for many models, of the orders that are tried.
    """
    outcomes = {"gain": _gains(results, seed)}
    if ranking is not None:
        outcomes["votes"] = _votes(results, ranking["pairs"], seed)
    found = []
    for dataset, values in table.items():
        srcc = np.array([values.get(name, np.nan) for name in results.names])
        for outcome, (middle, samples) in outcomes.items():
            both = np.isfinite(srcc) & np.isfinite(middle)
            if both.sum() < LEAST:
                continue
            mine, theirs = srcc[both], middle[both]
            ends: tuple[float | None, float | None] = (None, None)
            if len(samples):
                drawn = [spearman(mine, sample[both]) for sample in samples if np.isfinite(sample[both]).all()]
                low, high = np.nanquantile(drawn, [0.025, 0.975])
                ends = float(low), float(high)
            found.append(
                Agreement(
                    dataset, outcome, int(both.sum()), spearman(mine, theirs), *ends, permutation_p(mine, theirs, seed)
                )
            )
    return found


def permutation_p(one: Array, other: Array, seed: int = 0) -> float:
    """Two-sided p of Spearman's correlation of (n,) with (n,): all orders up to ``EXACT``, else random ones."""
    count = len(one)
    if count <= EXACT:
        orders = np.array(list(itertools.permutations(range(count))))
    else:
        orders = np.random.default_rng(seed).permuted(np.tile(np.arange(count), (DRAWS, 1)), axis=1)
    # Of the same ranks in whatever order mean and length are the same: their product alone decides.
    mine, theirs = (ranks(values) - (count + 1) / 2 for values in (one, other))
    as_far = int((np.abs(theirs[orders] @ mine) >= abs(float(theirs @ mine)) - 1e-9).sum())
    return as_far / len(orders) if count <= EXACT else (as_far + 1) / (len(orders) + 1)


def _gains(results: Results, seed: int) -> tuple[Array, Array]:
    """(models,) and its bootstrap samples (samples, models) over photographs; none for too few of these."""
    rows, photographs = judged_rows(results, results.select(), deviations=True)
    names = list(dict.fromkeys(photographs))
    members = [np.flatnonzero(np.array(photographs) == name) for name in names]
    random = np.random.default_rng(seed)
    samples = []
    for _ in range(SAMPLES if len(names) >= FEWEST else 0):
        drawn = random.integers(len(names), size=len(names))
        places = np.concatenate([members[number] for number in drawn])
        blocks = [str(place) for place, number in enumerate(drawn) for _ in members[number]]
        samples.append(effects(rows[places], blocks).mean)
    return effects(rows, photographs).mean, np.array(samples)


def _votes(results: Results, pairs: Sequence[Mapping[str, Any]], seed: int) -> tuple[Array, Array]:
    """The same of Bradley and Terry's strengths; NaN for models without a vote."""
    place = {name: number for number, name in enumerate(results.names)}
    known = [pair for pair in pairs if pair["a"] in place and pair["b"] in place]
    photographs = {name: number for number, name in enumerate(dict.fromkeys(pair["photograph"] for pair in known))}
    models = len(place)
    counts = np.zeros((len(photographs), models, models))
    for pair in known:
        one, other = place[pair["a"]], place[pair["b"]]
        counts[photographs[pair["photograph"]], one, other] += pair["votes_a"]
        counts[photographs[pair["photograph"]], other, one] += pair["votes_b"]
    total = counts.sum(axis=0)
    voted = (total + total.T).sum(axis=1) > 0
    middle = np.where(voted, strengths(total), np.nan)
    if len(photographs) < FEWEST:
        return middle, np.empty((0, models))
    weights = np.random.default_rng(seed).multinomial(
        len(photographs), np.full(len(photographs), 1 / len(photographs)), size=SAMPLES
    )
    drawn = strengths(np.einsum("sp,pij->sij", weights, counts))
    return middle, np.where(voted, drawn, np.nan)
