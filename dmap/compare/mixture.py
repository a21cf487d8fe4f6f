"""A better prior out of the best ones: weights proposed by a comparison, and checked on other photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..priors import priorfile
from ..priors.priorfile import PriorFile
from .inference import LEVEL, holm, interval, sign_flip
from .results import Array, Chosen, Results
from .statistics import cross_scores, mean_and_error, mean_by, over_judges

LEAST_WEIGHT = 1e-3
"""Parts with less are left out: a linear program gives zeros up to rounding."""
ENOUGH = 6
"""Photographs below which nothing is said: the paired test cannot come out below it."""


@dataclass(frozen=True)
class Proposal:
    """Weights of a mixture.

    Attributes:
        parts: (model, weight), weights of sum 1, the largest first.
        floor: share of a judge's largest gain that every judge is to keep; lowered where the wanted one cannot be had.
        expected: judges' mean gain if gains mixed like the weights; judgements by a model's relatives left out.
        gains: judge -> its expected gain.
        displeased: judges to which no model brought a gain; there is no floor for them.
        left_out: models that no prior file can name, by why.
    """

    parts: list[tuple[str, float]]
    floor: float
    expected: float
    gains: dict[str, float]
    displeased: list[str]
    left_out: dict[str, str] = field(default_factory=dict)


def propose(results: Results, floor: float = 0.25) -> Proposal:
    """Weights that maximise the judges' mean gain while every judge gains at least ``floor`` of its largest gain.

    A judge that no model pleased has no such floor; it still counts in the mean.

    A linear program over the mean gains of the comparison, taking a mixture's gains as the mixture of the gains. That
    is a model, not a fact: ``check`` measures.

    Raises:
        UserError: for a floor outside [0, 1), without matched conditions, or if scipy cannot be imported.
    """
    if not 0 <= floor < 1:
        raise UserError(f"floor: got {floor}; give a share of a judge's largest gain, from 0 to below 1")
    chosen = results.select()
    left_out = {name: reason for name in results.names if (reason := _unnameable(name))}
    for name, count in zip(results.names, results.counted.sum(axis=0), strict=True):
        if count == 0:
            left_out.setdefault(name, "it reached the wanted fidelity at no start")
    usable = [index for index, name in enumerate(results.names) if name not in left_out]
    if len(chosen) == 0 or len(usable) < 2:
        raise UserError(
            "mixture: it takes a comparison with outputs at one fidelity and at least two priors that are no "
            "compositions; a prior file names plain priors only"
        )
    gains = cross_scores(results, chosen, gain=True)[0][usable]
    worth = over_judges(results, chosen).mean[usable]
    if np.isnan(worth).any():
        raise UserError("mixture: some models share no judge but kin; add independent ones with --judges")
    largest = gains.max(axis=0)
    weights, kept = _solve(gains[:, largest > 0], worth, largest[largest > 0], floor)
    weights = np.where(weights < LEAST_WEIGHT, 0, weights)
    weights = weights / weights.sum()
    named = sorted(
        ((results.names[index], float(weight)) for index, weight in zip(usable, weights, strict=True) if weight > 0),
        key=lambda part: -part[1],
    )
    expected = dict(zip(results.judges, (float(value) for value in weights @ gains), strict=True))
    displeased = [name for name, gain in zip(results.judges, largest, strict=True) if not gain > 0]
    return Proposal(named, kept, float(weights @ worth), expected, displeased, left_out)


def _unnameable(name: str) -> str:
    """Why a prior file cannot name this prior; "" if it can."""
    if any(sign in name for sign in "(),"):
        return "it is a composition, and a prior file names plain priors only"
    return "it is a prior file itself" if name.startswith(priorfile.PREFIX) else ""


def _solve(gains: Array, worth: Array, largest: Array, floor: float) -> tuple[Array, float]:
    """Weights (models,) of the linear program, and the floor that could be kept."""
    try:
        from scipy.optimize import linprog
    except ImportError as error:
        raise UserError("mixture: it needs the package scipy (ComfyUI brings it); run 'pip install scipy'") from error
    count = len(gains)
    # Variables: the weights and the floor. First the highest floor that can be kept at all, up to the wanted one.
    ones = np.append(np.ones(count), 0)[None]
    bounds = [(0, 1)] * count + [(None, floor)]
    keep = np.hstack([-gains.T, largest[:, None]])
    best = linprog(np.append(np.zeros(count), -1), keep, np.zeros(len(keep)), ones, [1], bounds)
    kept = float(best.x[-1])
    found = linprog(-worth, -gains.T, -(kept * largest - 1e-6), np.ones((1, count)), [1], [(0, 1)] * count)
    return np.asarray(found.x), kept


def spec(proposal: Proposal) -> str:
    """The mixture as ``specs.build`` reads it."""
    return f"mean({', '.join(f'{weight:.3f} {name}' for name, weight in proposal.parts)})"


def write_prior(proposal: Proposal, name: str, file: Path) -> None:
    """Write the mixture as a prior file that DMAP Load IQA Prior offers from the host's folder models/iqa."""
    priorfile.write(PriorFile(name, "mean", tuple((part, round(weight, 3)) for part, weight in proposal.parts)), file)


def check(results: Results, mixture: str, parts: Sequence[str]) -> dict[str, Any]:
    """Does the mixture beat its parts? On a comparison of the mixture and its parts on other photographs.

    The judges are the models that are kin of neither the mixture nor its parts; without one, all are, each model's own
    outputs excepted. "judged" holds what each of them says, mean and standard error. Beside them, and not part of the
    verdict, the changes from the start of the measures against the undegraded photographs, where photographs were
    degraded.

    Raises:
        UserError: if no start was brought to one fidelity by all.
    """
    chosen = results.select()
    if len(chosen) == 0:
        raise UserError(
            "mixture: on no held-out photograph did all parts and the mixture reach the same fidelity; allow more "
            "searches or a wider tolerance"
        )
    family = results.kin[[results.names.index(name) for name in (mixture, *parts)]].any(axis=0)
    independent = np.flatnonzero(~family).tolist()
    gains = results.gains[chosen]
    photographs = results.photographs(chosen)
    names = list(dict.fromkeys(photographs))
    each: dict[str, Array] = {}
    for name in (mixture, *parts):
        row = results.names.index(name)
        judges = independent or [index for index in range(len(results.judges)) if results.judges[index] != name]
        each[name] = gains[:, row, judges].mean(axis=1)
    differences = {name: _by_photograph(each[mixture] - each[name], photographs) for name in parts}
    p_values = {name: sign_flip(values) for name, values in differences.items()}
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    found: list[dict[str, Any]] = []
    for name, values in each.items():
        against = differences.get(name, np.empty(0))
        low, high = interval(against) or (None, None)
        found.append(
            {
                "name": name, "gain": _mean(_by_photograph(values, photographs)), "difference": _mean(against),
                "low": low, "high": high, "p": p_values.get(name), "adjusted": adjusted.get(name),
                "judged": _judged(gains[:, results.names.index(name)][:, independent], photographs),
                "measures": _changes(results, chosen, name),
            }
        )  # fmt: skip
    means = {name: _mean(values) or 0.0 for name, values in differences.items()}
    beaten = [name for name in parts if adjusted[name] <= LEVEL and means[name] > 0]
    lost = [name for name in parts if adjusted[name] <= LEVEL and means[name] < 0]
    # To beat them all each test has to come out: no correction is needed for that claim.
    if all(p_values[name] <= LEVEL and means[name] > 0 for name in parts):
        beaten = list(parts)
    return {
        "rows": found,
        "photographs": len(names),
        "names": names,
        "judges": [results.judges[index] for index in independent],
        "judging": "judged by models that are not in the mixture: "
        + ", ".join(results.judges[index] for index in independent)
        if independent
        else "no model is outside of the mixture, so its parts judge one another: weak evidence",
        "verdict": _verdict(list(parts), beaten, lost, len(names)),
    }


def _by_photograph(values: Array, photographs: Sequence[str]) -> Array:
    """(photographs,) means of values (conditions,), those that are there."""
    there = np.isfinite(values)
    names = [name for name, one in zip(photographs, there, strict=True) if one]
    return mean_by(values[there], names)


def _mean(values: Array) -> float | None:
    return float(values.mean()) if len(values) else None


def _judged(gains: Array, photographs: Sequence[str]) -> dict[str, list[float | None]]:
    """Mean and standard error of gains (conditions, judges); no error of a single photograph."""
    there = np.asarray(np.isfinite(gains).all(axis=1))
    mean, error = mean_and_error(gains[there], [name for name, one in zip(photographs, there, strict=True) if one])
    return {"mean": mean.tolist(), "error": [None if np.isnan(value) else float(value) for value in error]}


def _changes(results: Results, chosen: Chosen, name: str) -> dict[str, float]:
    """Mean changes from the start of the measures against the undegraded photographs, those that there are."""
    row = results.names.index(name)
    changes = {
        measure: values[chosen, row] - results.start_measures[measure][chosen]
        for measure, values in results.measures.items()
    }
    return {measure: float(np.nanmean(change)) for measure, change in changes.items() if np.isfinite(change).any()}


def _verdict(parts: list[str], beaten: list[str], lost: list[str], photographs: int) -> str:
    if photographs < ENOUGH:
        return f"Nothing is shown either way: held-out photographs {photographs}, at least {ENOUGH} are needed."
    if len(beaten) == len(parts):
        return "Yes: on held-out photographs the mixture beats every one of its parts (paired sign-flip tests at 5 %)."
    words = "No: on held-out photographs the mixture does not beat all of its parts."
    if beaten:
        words += f" It beats {', '.join(beaten)}."
    if lost:
        words += f" It is worse than {', '.join(lost)}."
    undecided = [name for name in parts if name not in (*beaten, *lost)]
    if undecided:
        words += f" Against {', '.join(undecided)} nothing is shown either way."
    return words
