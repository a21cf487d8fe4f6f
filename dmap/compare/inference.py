"""Tests and intervals over photographs, with NumPy alone: a user's machine need not have SciPy.

The tests of the pack hold each of these against SciPy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

EXACT = 14
"""Up to so many photographs every pattern of signs is tried; beyond, ``DRAWS`` random ones."""
DRAWS = 20_000
SAMPLES = 2000
"""Bootstrap samples of an interval."""
FEWEST = 5
"""Photographs below which no interval is given: too many of the bootstrap's samples would hold one alone."""
LEVEL = 0.05
"""Of every test and interval."""


def sign_flip(differences: Array, seed: int = 0) -> float:
    """Two-sided p value of a paired test: is the mean difference zero?

    Under the hypothesis that the two are alike a difference is as often positive as negative, so the mean is held
    against those under all patterns of signs (Fisher 1935; ``scipy.stats.permutation_test`` with samples paired). It
    takes no distribution for granted, and with n differences cannot fall below 2 / 2^n.

    Args:
        differences: (n,), one a photograph.
        seed: of the patterns, where not all are tried.
    """
    count = len(differences)
    if count == 0:
        return 1.0
    if count <= EXACT:
        signs = 1.0 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
    else:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], (DRAWS, count))
    means, found = np.abs(signs @ differences), abs(float(differences.sum()))
    as_far = int((means >= found * (1 - 1e-12) - 1e-300).sum())
    return as_far / len(means) if count <= EXACT else (as_far + 1) / (len(means) + 1)


def smallest_p(count: int) -> float:
    """The smallest p value that ``sign_flip`` can give for so many photographs."""
    return min(1.0, 2.0 ** (1 - count)) if count <= EXACT else 1 / (DRAWS + 1)


def photographs_needed(tests: int) -> int:
    """The fewest photographs with which any of so many tests could pass Holm's correction."""
    return next(count for count in range(1, EXACT + 1) if smallest_p(count) * tests <= LEVEL or count == EXACT)


def holm(values: Sequence[float]) -> list[float]:
    """P values adjusted so that the chance of any false finding among them all is held (Holm 1979)."""
    order = np.argsort(values)
    adjusted, largest = [0.0] * len(values), 0.0
    for place, index in enumerate(order.tolist()):
        largest = max(largest, (len(values) - place) * values[index])
        adjusted[index] = min(1.0, largest)
    return adjusted


def interval(values: Array, seed: int = 0, samples: int = SAMPLES) -> tuple[float, float] | None:
    """95 % interval of a mean by the studentised bootstrap over photographs (Efron and Tibshirani 1993, 12.5).

    The percentile bootstrap is too narrow for few photographs: at n = 6 it holds the mean in about 86 % of cases.

    Args:
        values: (n,), one a photograph.
        seed: of the samples.
        samples: how many.

    Returns:
        The ends, or None for fewer than ``FEWEST`` values.
    """
    count = len(values)
    if count < FEWEST:
        return None
    mean, error = float(values.mean()), float(values.std(ddof=1)) / count**0.5
    if error == 0:
        return mean, mean
    drawn = values[np.random.default_rng(seed).integers(count, size=(samples, count))]
    errors = drawn.std(axis=1, ddof=1) / count**0.5
    kept = errors > 1e-9 * error  # a sample of one photograph alone has none
    low, high = np.quantile((drawn.mean(axis=1)[kept] - mean) / errors[kept], [LEVEL / 2, 1 - LEVEL / 2])
    return mean - float(high) * error, mean - float(low) * error


@dataclass(frozen=True)
class Estimate:
    """Models' effects over photographs.

    Attributes:
        mean: (models,), NaN where nothing can be said.
        without: (photographs, models), the same with each photograph left out: what errors are made of.
    """

    mean: Array
    without: Array

    @property
    def error(self) -> Array:
        """Jackknife standard errors (models,), of complete data those of a mean; NaN for fewer than two photographs."""
        count = len(self.without)
        if count < 2:
            return np.full(self.mean.shape, np.nan)
        spread = self.without - self.without.mean(axis=0)
        result: Array = np.sqrt((count - 1) / count * (spread**2).sum(axis=0))
        return result

    def __sub__(self, other: Estimate) -> Estimate:
        return Estimate(self.mean - other.mean, self.without - other.without)

    def __truediv__(self, other: Estimate) -> Estimate:
        return Estimate(self.mean / other.mean, self.without / other.without)


def effects(gains: Array, blocks: Sequence[str]) -> Estimate:
    """Models' gains by least squares, gain = model + row, for rows in which some models are missing.

    A row is what models share: a start, or a start and a judge. Models are told apart within rows alone, so that none
    profits from starts that were easy, or judges that are generous, for all; the level is that of the mean row. Where
    no value is missing these are plain means. Every photograph counts once, however many rows it has. Models that share
    no row with the others, even by way of third ones, get their own rows' level.

    Args:
        gains: (rows, models), NaN where missing.
        blocks: the photograph of each row.
    """
    models = gains.shape[1]
    there = np.isfinite(gains)
    size = np.maximum(there.sum(axis=1, keepdims=True), 1)
    rows = np.where(there, gains, 0.0)
    means, shares = rows.sum(axis=1, keepdims=True) / size, there / size
    inside = there[:, :, None] * np.eye(models) - shares[:, :, None] * there[:, None, :]
    centred = (rows - means) * there
    names = np.array(blocks)
    photographs = [names == name for name in dict.fromkeys(blocks)]
    mean = np.full(models, np.nan)
    without = np.full((len(photographs), models), np.nan)
    for group in _groups(inside.sum(axis=0) if len(inside) else np.zeros((models, models))):
        used = there[:, group].any(axis=1)
        parts = [mine & used for mine in photographs]
        seen = np.array([part.any() for part in parts], dtype=bool)
        if not seen.any():
            continue
        left, right, level, share = (
            np.stack([values[part].mean(axis=0) if part.any() else np.zeros(values.shape[1:]) for part in parts])
            for values in (inside[:, group][:, :, group], centred[:, group], means[:, 0], shares[:, group])
        )
        sums = [values.sum(axis=0) for values in (left, right, level, share)]
        counts = seen.sum() - seen
        mean[group] = _solved(sums[0][None], sums[1][None], sums[2][None], sums[3][None], np.array([seen.sum()]))[0]
        without[:, group] = _solved(sums[0] - left, sums[1] - right, sums[2] - level, sums[3] - share, counts)
    return Estimate(mean, without)


def _groups(links: Array) -> list[list[int]]:
    """Models that share rows, at least by way of third ones."""
    left, found = set(range(len(links))), []
    while left:
        todo = [min(left)]
        group: set[int] = set()
        while todo:
            here = todo.pop()
            group.add(here)
            todo += [other for other in np.flatnonzero(links[here]).tolist() if other not in group]
        found.append(sorted(group))
        left -= group
    return found


def _solved(left: Array, right: Array, level: Array, share: Array, count: Array) -> Array:
    """Effects (n, models) of normal equations (n, models, models), their right sides, and sums of rows' levels.

    NaN where the rows that are left do not tell all of the models apart.
    """
    models = left.shape[-1]
    whole = left + np.ones((models, models)) / models
    good = (count > 0) & (np.linalg.eigvalsh(whole)[:, 0] > 1e-9)
    found = np.full(right.shape, np.nan)
    if good.any():
        contrast = np.linalg.solve(whole[good], right[good][..., None])[..., 0]
        found[good] = contrast + ((level[good] - (share[good] * contrast).sum(axis=1)) / count[good])[:, None]
    return found
