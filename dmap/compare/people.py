"""Votes against scores: which quality models prefer what people prefer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .results import Array, Results

SAMPLES = 1000
FEWEST = 5
"""Photographs below which no interval is given."""


@dataclass(frozen=True)
class Agreement:
    """How a judge's scores go with people's votes over the pairs that they voted on.

    Attributes:
        judge: its index.
        correlation: Spearman's, between its score difference and the share of votes for one side; both ways round, so
            that it does not matter which side is called the first. NaN without pairs.
        low, high: 95 % bootstrap interval over photographs; None for too few of them.
        alike: share of the pairs with a majority on which it prefers the same side.
        pairs: how many pairs it was held against.
    """

    judge: int
    correlation: float
    low: float | None
    high: float | None
    alike: float
    pairs: int


def ranks(values: Array) -> Array:
    """Ranks from 1 along the last axis, equal values sharing their mean rank."""
    order = values.argsort(axis=-1, kind="stable")
    found = np.empty(values.shape)
    for index in np.ndindex(values.shape[:-1]):
        ordered = values[index][order[index]]
        _, first, count = np.unique(ordered, return_index=True, return_counts=True)
        found[index][order[index]] = np.repeat(first + (count + 1) / 2, count)
    return found


def spearman(one: Array, other: Array) -> float:
    """Spearman's rank correlation of (n,) with (n,); NaN if either does not vary."""
    first, second = ranks(one), ranks(other)
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / size if size > 0 else float("nan")


def against_scores(results: Results, pairs: Sequence[Mapping[str, Any]], seed: int = 0) -> list[Agreement]:
    """Every judge held against people's votes.

    Args:
        results: of the comparison that people were shown.
        pairs: "pairs" of a ranking: where, which two models, and how many votes for each.
        seed: of the bootstrap.
    """
    place = {
        (one.input.photograph, one.input.degradation, one.level): number
        for number, one in enumerate(results.conditions)
    }
    model = {name: number for number, name in enumerate(results.names)}
    change, share, photographs = [], [], []
    for pair in pairs:
        where = place.get((pair["photograph"], pair["degradation"], pair["level"]))
        votes = pair["votes_a"] + pair["votes_b"]
        if where is None or not votes or pair["a"] not in model or pair["b"] not in model:
            continue
        change.append(results.scores[where, model[pair["a"]]] - results.scores[where, model[pair["b"]]])
        share.append((pair["votes_a"] - pair["votes_b"]) / votes)
        photographs.append(pair["photograph"])
    found = []
    random = np.random.default_rng(seed)
    names = list(dict.fromkeys(photographs))
    members = [[number for number, photo in enumerate(photographs) if photo == name] for name in names]
    drawn = random.integers(len(names), size=(SAMPLES, len(names))) if len(names) >= FEWEST else None
    for judge in range(len(results.judges)):
        scores, votes_ = np.array([one[judge] for one in change]), np.array(share)
        known = np.isfinite(scores) if len(scores) else np.zeros(0, dtype=bool)
        ends: tuple[float | None, float | None] = (None, None)
        if drawn is not None and known.all():
            samples = []
            for draw in drawn:
                chosen = [number for name in draw for number in members[name]]
                samples.append(_both_ways(scores[chosen], votes_[chosen]))
            low, high = np.nanquantile(samples, [0.025, 0.975])
            ends = float(low), float(high)
        decided = known & (votes_ != 0) if len(scores) else known
        alike = float((np.sign(scores[decided]) == np.sign(votes_[decided])).mean()) if decided.any() else float("nan")
        correlation = _both_ways(scores[known], votes_[known]) if known.any() else float("nan")
        found.append(Agreement(judge, correlation, *ends, alike, int(known.sum())))
    return found


def _both_ways(scores: Array, votes: Array) -> float:
    return spearman(np.concatenate([scores, -scores]), np.concatenate([votes, -votes]))
