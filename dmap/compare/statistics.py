"""What the outputs say about the models: cross-scores, who is fooled, how cheaply, which differences hold.

Models are compared by judges that are kin of none of them (``Results.common``), so that every row of a table averages
the same judges. Where there is none, by a model of judge effects, gain = model + judge, over all judgements by judges
that are no kin of the climbed model (``Judging.kind``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .inference import LEVEL, Estimate, effects, holm, interval, sign_flip
from .results import Array, Booleans, Chosen, Results

Pair = tuple[Array, Array]
"""Means and standard errors."""


LEAST_MOVED = 1e-5
"""Of D, on average: outputs that came no further, or closer, than the start have no cost for each 0.01 of it."""


@dataclass(frozen=True)
class Judging:
    """Who judges all models alike.

    Attributes:
        kind: "common": the judges that are kin of no model; "effects": judge effects are estimated, since there is
            none; "nobody": some model shares no judge with the others.
        judges: indices of the judges that take part.
    """

    kind: str
    judges: list[int]


def judging(results: Results) -> Judging:
    """Who judges these models alike."""
    if results.common:
        return Judging("common", results.common)
    free = ~results.related
    judges = np.flatnonzero(free.any(axis=0)).tolist()
    shared = [[bool((free[one] & free[two]).any()) for two in range(len(free))] for one in range(len(free))]
    return Judging("effects" if _linked(np.array(shared)) else "nobody", judges)


def _linked(shared: Booleans) -> bool:
    """Whether all models can be told apart: by judges that two share, at least by way of third models."""
    reached = shared[0].copy()
    for _ in shared:
        reached |= shared[reached].any(axis=0)
    return bool(reached.all())


def over_judges(results: Results, chosen: Chosen, deviations: bool = False) -> Estimate:
    """Gains over the start by the judges of ``judging``: (models,) over the photographs.

    Args:
        deviations: in units of each judge's standard deviation, else in points.
    """
    return effects(*judged_rows(results, chosen, deviations))


def judged_rows(results: Results, chosen: Chosen, deviations: bool = False) -> tuple[Array, list[str]]:
    """Gains (rows, models) by the judges of ``judging``, NaN where missing, and the photograph of each row."""
    found = judging(results)
    gains = results.gains[chosen] / (results.deviation if deviations else 1.0)
    photographs = results.photographs(chosen)
    if found.kind == "nobody":
        return np.full((len(chosen), len(results.names)), np.nan), photographs
    if found.kind == "common":
        return gains[..., found.judges].mean(axis=2), photographs
    free = np.where(results.related[None], np.nan, gains)
    rows = free.transpose(0, 2, 1)[:, found.judges].reshape(-1, len(results.names))
    return rows, [name for name in photographs for _ in found.judges]


@dataclass(frozen=True)
class Standing:
    """How a model stands, each (models,) with standard errors over photographs.

    Attributes:
        own: gain in its own score where it was climbed, in points.
        others: gain by the judges of ``judging``, in points: what it is worth.
        deviations: the same in units of each judge's standard deviation.
        fooled: own less others, the part that nobody confirms.
        cost: ``fooled`` in points for each 0.01 that D moved away from the start: the attack's strength.
        offset: how far D ended from the wanted one, as a share of the level.
        starts: (models,) outputs that count.
    """

    own: Pair
    others: Pair
    deviations: Pair
    fooled: Pair
    cost: Pair
    offset: Pair
    starts: Array


def standing(results: Results, chosen: Chosen) -> Standing:
    """The standing of every model over these conditions."""
    photographs, models = results.photographs(chosen), len(results.names)
    own = effects(results.gains[chosen][:, np.arange(models), np.arange(models)], photographs)
    others = over_judges(results, chosen)
    fooled = own - others
    moved, offset = np.full((len(chosen), models), np.nan), np.full((len(chosen), models), np.nan)
    for row, number in enumerate(chosen):
        condition = results.conditions[number]
        for column, cell in enumerate(condition.cells):
            if cell is not None and results.counted[number, column]:
                moved[row, column] = cell.distance - condition.input.start_distance
                offset[row, column] = (cell.distance - cell.target) / cell.level
    far = effects(moved, photographs)
    cost = fooled / replace(far, mean=np.where(far.mean > LEAST_MOVED, far.mean, np.nan))
    return Standing(
        _pair(own),
        _pair(others),
        _pair(over_judges(results, chosen, deviations=True)),
        _pair(fooled),
        (0.01 * cost.mean, 0.01 * cost.error),
        _pair(effects(offset, photographs)),
        results.counted[chosen].sum(axis=0).astype(float),
    )


def _pair(estimate: Estimate) -> Pair:
    return estimate.mean, estimate.error


def cross_scores(results: Results, chosen: Chosen, gain: bool, deviations: bool = False) -> Pair:
    """(models, judges) mean and standard error of the scores, or of the gains over the start.

    Args:
        gain: over the start; else the score itself.
        deviations: gains in units of each judge's standard deviation, else in points.
    """
    photographs, count = results.photographs(chosen), len(results.judges)
    columns = [effects(results.gains[chosen][..., judge], photographs) for judge in range(count)]
    mean = np.stack([one.mean for one in columns], axis=1)
    error = np.stack([one.error for one in columns], axis=1)
    if gain:
        scale = results.deviation if deviations else np.ones(count)
        return mean / scale, error / scale
    scores = [
        effects(results.start[chosen][:, judge, None] + results.gains[chosen][..., judge], photographs)
        for judge in range(count)
    ]
    start = starts(results, chosen)
    return start + mean, np.stack([one.error for one in scores], axis=1)


def starts(results: Results, chosen: Chosen) -> Array:
    """(judges,) mean score of the starts, every photograph counting once."""
    return mean_and_error(results.start[chosen], results.photographs(chosen))[0]


def mean_and_error(values: Array, photographs: Sequence[str]) -> Pair:
    """Mean and standard error over photographs of complete values (conditions, ...).

    A photograph's conditions are averaged first: degradations of one photograph are not independent. The error of one
    photograph alone is NaN.
    """
    means = mean_by(values, photographs)
    if not len(means):
        return np.full(values.shape[1:], np.nan), np.full(values.shape[1:], np.nan)
    error = means.std(axis=0, ddof=1) / np.sqrt(len(means)) if len(means) > 1 else np.full(means.shape[1:], np.nan)
    return means.mean(axis=0), error


def mean_by(values: Array, photographs: Sequence[str]) -> Array:
    """(photographs, ...) means of values (conditions, ...), photographs in the order of their first condition."""
    names = np.array(photographs)
    means = [values[names == name].mean(axis=0) for name in dict.fromkeys(photographs)]
    return np.stack(means) if means else np.empty((0, *values.shape[1:]))


def fooled_by(results: Results, chosen: Chosen) -> Pair:
    """(models, judges): how much more a judge gains by a model's outputs than the judges that are kin of neither.

    NaN where nobody is left to compare with.
    """
    gains, photographs = results.gains[chosen], results.photographs(chosen)
    models, judges = len(results.names), len(results.judges)
    mean, error = np.full((models, judges), np.nan), np.full((models, judges), np.nan)
    for judge in range(judges):
        excess = np.full((len(chosen), models), np.nan)
        for model in range(models):
            rest = np.flatnonzero(~(results.kin[model] | results.kin[judge]))
            if len(rest):
                excess[:, model] = gains[:, model, judge] - gains[:, model, rest].mean(axis=1)
        found = effects(excess, photographs)
        mean[:, judge], error[:, judge] = found.mean, found.error
    return mean, error


@dataclass(frozen=True)
class Contrast:
    """A paired comparison of two models, or of a model and the start, over photographs.

    Attributes:
        first, second: indices of models; ``second`` is None for the start.
        judges: how many judge both alike.
        favour: how many of them prefer the first on average.
        photographs: on which both count.
        points, deviations: mean difference by these judges, in points and in their standard deviations.
        low, high: 95 % bootstrap interval over photographs of ``deviations``; None for too few photographs.
        p: of the paired sign-flip test of ``deviations``.
        adjusted: by Holm over all contrasts of its kind.
    """

    first: int
    second: int | None
    judges: int
    favour: int
    photographs: int
    points: float
    deviations: float
    low: float | None
    high: float | None
    p: float
    adjusted: float = 1.0

    @property
    def shown(self) -> bool:
        """Whether a difference is shown, at 5 % after Holm."""
        return self.adjusted <= LEVEL


def contrasts(results: Results, chosen: Chosen, start: bool = False) -> list[Contrast]:
    """All pairs of models, or with ``start`` every model against the start.

    By the common judges; where there is none, each pair by the judges that are kin of neither of the two.
    """
    models = range(len(results.names))
    pairs = [(one, None) for one in models] if start else [(one, two) for one in models for two in models if one < two]
    found = [_contrast(results, chosen, first, second) for first, second in pairs]
    known = [one for one in found if one is not None]
    adjusted = holm([one.p for one in known])
    return [replace(one, adjusted=value) for one, value in zip(known, adjusted, strict=True)]


def _contrast(results: Results, chosen: Chosen, first: int, second: int | None) -> Contrast | None:
    judges = results.common or unrelated(results, first, first if second is None else second)
    gains = results.gains[chosen][..., judges]
    difference = gains[:, first] if second is None else gains[:, first] - gains[:, second]
    there = np.asarray(np.isfinite(difference).all(axis=1))
    photographs = [name for name, one in zip(results.photographs(chosen), there, strict=True) if one]
    if not judges or not photographs:
        return None
    each = mean_by(difference[there], photographs)
    scaled = (each / results.deviation[judges]).mean(axis=1)
    if not np.isfinite(scaled).all():
        return None  # a single photograph gives judges no deviation
    ends = interval(scaled)
    return Contrast(
        first,
        second,
        len(judges),
        int((each.mean(axis=0) > 0).sum()),
        len(each),
        float(each.mean()),
        float(scaled.mean()),
        None if ends is None else ends[0],
        None if ends is None else ends[1],
        sign_flip(scaled),
    )


@dataclass(frozen=True)
class Disagreement:
    """Two outputs of one start on which two judges, kin of neither model, disagree most.

    Attributes:
        condition: index of the condition.
        first, second: models whose outputs they are; ``judge_first`` prefers the first, ``judge_second`` the second.
        deviations: the smaller of the two preferences, in the judge's standard deviations.
    """

    condition: int
    first: int
    second: int
    judge_first: int
    judge_second: int
    deviations: float


def disagreements(results: Results, chosen: Chosen, most: int = 12) -> list[Disagreement]:
    """The pairs on which unrelated judges part most, at most one for each photograph and pair of models.

    After maximum differentiation (Wang and Simoncelli 2008): what two models call better and worse tells them apart. A
    judge that is kin of one of the two models does not count, nor do two judges that are kin of each other.
    """
    found: dict[tuple[str, int, int], Disagreement] = {}
    for number in chosen:
        for first in range(len(results.names)):
            for second in range(first + 1, len(results.names)):
                one = _disagreement(results, int(number), first, second)
                key = results.conditions[number].input.photograph, first, second
                if one is not None and (key not in found or found[key].deviations < one.deviations):
                    found[key] = one
    return sorted(found.values(), key=lambda one: -one.deviations)[:most]


def unrelated(results: Results, first: int, second: int) -> list[int]:
    """The judges that are kin of neither of two models."""
    return np.flatnonzero(~(results.related[first] | results.related[second])).tolist()


def scale_of(results: Results) -> Array:
    """(judges,) their standard deviations; 1, for points, where a single photograph gives them none."""
    return np.where(np.isfinite(results.deviation), results.deviation, 1.0)


def preferences(results: Results, condition: int, first: int, second: int) -> tuple[list[int], Array]:
    """The judges that are kin of neither model, and how much each prefers the first, in its standard deviations.

    NaN where an output does not count; in points, if a single photograph gives judges no deviation.
    """
    judges = unrelated(results, first, second)
    gains = results.gains[condition]
    return judges, (gains[first, judges] - gains[second, judges]) / scale_of(results)[judges]


def _disagreement(results: Results, condition: int, first: int, second: int) -> Disagreement | None:
    judges, change = preferences(results, condition, first, second)
    if len(judges) < 2 or not np.isfinite(change).all():
        return None
    strangers = ~results.kin[np.ix_(judges, judges)]
    parted = np.where(strangers, np.minimum(change[:, None], -change[None, :]), -np.inf)
    likes_first, likes_second = np.unravel_index(int(parted.argmax()), parted.shape)
    if not parted[likes_first, likes_second] > 0:
        return None
    return Disagreement(
        condition, first, second, judges[likes_first], judges[likes_second], float(parted[likes_first, likes_second])
    )
