"""What the outputs say about the models: cross-scores, who is fooled, how cheaply, and where two models part ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .results import Array, Results

Chosen = npt.NDArray[np.intp]


def mean_and_error(values: Array, photographs: Sequence[str]) -> tuple[Array, Array]:
    """Mean and standard error over photographs of values (conditions, ...).

    A photograph's conditions are averaged first: degradations of one photograph are not independent. The error of one
    photograph alone is NaN.
    """
    names = list(dict.fromkeys(photographs))
    if not names:
        empty = np.full(values.shape[1:], np.nan)
        return empty, empty
    index = np.array([names.index(name) for name in photographs])
    means = np.stack([values[index == number].mean(axis=0) for number in range(len(names))])
    error = means.std(axis=0, ddof=1) / np.sqrt(len(names)) if len(names) > 1 else np.full(means.shape[1:], np.nan)
    return means.mean(axis=0), error


def others(results: Results, values: Array) -> Array:
    """Of (conditions, models, judges), the mean over the judges unrelated to the climbed model: (conditions, models).

    NaN for a model to which all judges are related.
    """
    outside = ~results.related
    count = outside.sum(axis=1)
    total: Array = np.where(outside[None], values, 0).sum(axis=2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@dataclass(frozen=True)
class Standing:
    """How a model stands, (models,) each with standard errors over photographs.

    Attributes:
        own: gain in its own score where it was climbed.
        others: mean gain of the judges there that share no network with it: what it is worth.
        fooled: own less others, the part that nobody confirms.
        cost: ``fooled`` in points for each 0.01 that D moved away from the start: the attack's strength.
    """

    own: tuple[Array, Array]
    others: tuple[Array, Array]
    fooled: tuple[Array, Array]
    cost: tuple[Array, Array]


def standing(results: Results, chosen: Chosen) -> Standing:
    """The standing of every model over these conditions."""
    gains, photographs = results.gains[chosen], results.photographs(chosen)
    own = np.stack([gains[:, model, model] for model in range(len(results.names))], axis=1)
    rest = others(results, gains)
    moved = np.array(
        [
            [np.nan if cell is None else cell.distance - condition.input.start_distance for cell in condition.cells]
            for condition in (results.conditions[number] for number in chosen)
        ]
    ).reshape(own.shape)
    return Standing(
        mean_and_error(own, photographs),
        mean_and_error(rest, photographs),
        mean_and_error(own - rest, photographs),
        mean_and_error((own - rest) / np.maximum(moved, 1e-6) * 0.01, photographs),
    )


def fooled_by(results: Results, chosen: Chosen) -> tuple[Array, Array]:
    """(models, judges): how much more a judge gains by a model's outputs than the judges unrelated to both.

    NaN where nobody is left to compare with.
    """
    gains = results.gains[chosen]
    models, judges = len(results.names), len(results.judges)
    excess = np.full((len(chosen), models, judges), np.nan)
    for model in range(models):
        for judge in range(judges):
            kin = results.parts[model] | results.parts[judge]
            rest = [other for other in range(judges) if kin.isdisjoint(results.parts[other])]
            if rest:
                excess[:, model, judge] = gains[:, model, judge] - gains[:, model, rest].mean(axis=1)
    return mean_and_error(excess, results.photographs(chosen))


@dataclass(frozen=True)
class Disagreement:
    """Two outputs of one start on which two judges disagree most.

    Attributes:
        condition: index of the condition.
        first, second: models whose outputs they are; ``judge_first`` prefers the first, ``judge_second`` the second.
        points: the smaller of the two preferences, in points.
    """

    condition: int
    first: int
    second: int
    judge_first: int
    judge_second: int
    points: float


def disagreements(results: Results, chosen: Chosen, most: int = 12) -> list[Disagreement]:
    """The pairs on which two models' judgements part most, at most one for each photograph and pair of models.

    After maximum differentiation (Wang and Simoncelli 2008): what two models call better and worse tells them apart.
    """
    found: dict[tuple[str, int, int], Disagreement] = {}
    for number in chosen:
        for first in range(len(results.names)):
            for second in range(first + 1, len(results.names)):
                one = _disagreement(results, int(number), first, second)
                key = results.conditions[number].input.photograph, first, second
                if one is not None and (key not in found or found[key].points < one.points):
                    found[key] = one
    return sorted(found.values(), key=lambda one: -one.points)[:most]


def _disagreement(results: Results, condition: int, first: int, second: int) -> Disagreement | None:
    change = results.scores[condition, first] - results.scores[condition, second]
    likes_first, likes_second = int(np.argmax(change)), int(np.argmin(change))
    points = min(change[likes_first], -change[likes_second])
    if not points > 0:
        return None
    return Disagreement(condition, first, second, likes_first, likes_second, float(points))


def cross_scores(results: Results, chosen: Chosen, gain: bool) -> tuple[Array, Array]:
    """(models, judges) mean and standard error of the scores, or of the gains over the start."""
    values = results.gains if gain else results.scores
    return mean_and_error(values[chosen], results.photographs(chosen))
