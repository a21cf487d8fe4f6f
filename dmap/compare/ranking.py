"""From votes to a ranking: Bradley-Terry strengths with intervals, and how far observers agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import UserError
from .results import Array
from .votes import Observer, Vote

PRIOR_DEVIATION = 3.0
"""Of the weak Gaussian prior on strengths: a model that won every vote still gets a finite one."""
FEW_OBSERVERS = 5
"""Below this votes are resampled for the intervals, from this on observers with all their votes."""


def wins(votes: Sequence[Vote], models: Sequence[str]) -> Array:
    """(models, models): how often the row's was preferred to the column's."""
    place = {name: number for number, name in enumerate(models)}
    count = np.zeros((len(models), len(models)))
    for vote in votes:
        count[place[vote.winner], place[vote.loser]] += 1
    return count


def bradley_terry(count: Array) -> Array:
    """Strengths (models,) of mean 0 in log odds, by maximum a posteriori (Bradley and Terry 1952).

    P(i preferred to j) = 1 / (1 + exp(s_j - s_i)); scipy does the fit.

    Raises:
        UserError: if scipy cannot be imported.
    """
    try:
        from scipy.optimize import minimize
        from scipy.special import expit
    except ImportError as error:
        raise UserError("ranking: it needs the package scipy (ComfyUI brings it); run 'pip install scipy'") from error
    total = count + count.T

    def loss(strengths: Array) -> tuple[float, Array]:
        difference = strengths[:, None] - strengths[None, :]
        value = (count * np.logaddexp(0, -difference)).sum() + (strengths**2).sum() / (2 * PRIOR_DEVIATION**2)
        slope = (total * expit(difference) - count).sum(axis=1) + strengths / PRIOR_DEVIATION**2
        return float(value), slope

    found: Array = minimize(loss, np.zeros(len(count)), jac=True, method="L-BFGS-B").x
    return found - found.mean()


def connected(count: Array) -> bool:
    """Whether every model was compared with every other one, at least by way of third ones."""
    reached, todo = {0}, [0]
    while todo:
        here = todo.pop()
        for other in np.flatnonzero(count[here] + count[:, here]).tolist():
            if other not in reached:
                reached.add(other)
                todo.append(other)
    return len(reached) == len(count)


def agreement(observers: Sequence[Observer]) -> float | None:
    """Krippendorff's alpha (nominal) of the answers on pairs: 1 agreement, 0 chance; None if nothing was seen by two.

    Krippendorff, "Content Analysis" (2004), with missing answers.
    """
    answers: dict[str, list[str]] = defaultdict(list)
    for observer in observers:
        for vote in observer.votes:
            answers[vote.trial.id].append("a" if vote.winner == vote.trial.model_a else "b")
    shared = [given for given in answers.values() if len(given) > 1]
    if not shared:
        return None
    total = sum(len(given) for given in shared)
    first = sum(given.count("a") for given in shared)
    expected = 2 * first * (total - first) / (total - 1)
    observed = sum(2 * given.count("a") * given.count("b") / (len(given) - 1) for given in shared)
    return 1.0 if expected == 0 else 1 - observed / expected


def intervals(observers: Sequence[Observer], models: Sequence[str], samples: int, seed: int) -> Array:
    """(2, models): 95 % bootstrap intervals of the strengths."""
    random = np.random.default_rng(seed)
    everything = [vote for observer in observers for vote in observer.votes]
    drawn = []
    for _ in range(samples):
        if len(observers) >= FEW_OBSERVERS:
            some = random.integers(len(observers), size=len(observers))
            votes = [vote for index in some for vote in observers[index].votes]
        else:
            votes = [everything[index] for index in random.integers(len(everything), size=len(everything))]
        drawn.append(bradley_terry(wins(votes, models)))
    result: Array = np.quantile(np.stack(drawn), [0.025, 0.975], axis=0)
    return result


@dataclass(frozen=True)
class Ranking:
    """Models by preference, best first.

    Attributes:
        models: names.
        strengths: in log odds, mean 0.
        low, high: 95 % bootstrap interval.
        votes: how many each took part in.
        connected: if not, strengths of models that never met are not comparable.
    """

    models: list[str]
    strengths: list[float]
    low: list[float]
    high: list[float]
    votes: list[int]
    connected: bool


def rank(observers: Sequence[Observer], models: Sequence[str], samples: int = 500, seed: int = 0) -> Ranking:
    """Rank the models.

    Raises:
        UserError: if there is no vote.
    """
    votes = [vote for observer in observers for vote in observer.votes]
    if not votes:
        raise UserError("ranking: there is no usable vote; see the list of problems")
    count = wins(votes, models)
    strengths = bradley_terry(count)
    low, high = intervals(observers, models, samples, seed)
    order = np.argsort(-strengths).tolist()
    taken = (count + count.T).sum(axis=1)

    def ordered(values: Array) -> list[float]:
        return [float(values[index]) for index in order]

    return Ranking(
        [models[index] for index in order],
        ordered(strengths),
        ordered(low),
        ordered(high),
        [int(taken[index]) for index in order],
        connected(count),
    )


def by_degradation(observers: Sequence[Observer], models: Sequence[str], samples: int, seed: int) -> dict[str, Ranking]:
    """A ranking for each degradation that was shown."""
    kinds = sorted({vote.trial.degradation for observer in observers for vote in observer.votes})
    found = {}
    for kind in kinds:
        part = [
            Observer(
                observer.name,
                tuple(vote for vote in observer.votes if vote.trial.degradation == kind),
                observer.catches,
                observer.repeats,
                observer.left,
            )
            for observer in observers
        ]
        found[kind] = rank(part, models, samples, seed)
    return found


def summary(observers: Sequence[Observer], models: Sequence[str], samples: int = 500, seed: int = 0) -> dict[str, Any]:
    """All of it, as JSON holds it."""
    return {
        "overall": asdict(rank(observers, models, samples, seed)),
        "degradations": {
            kind: asdict(one) for kind, one in by_degradation(observers, models, samples, seed).items()
        },
        "agreement": agreement(observers),
        "resampled": "observers" if len(observers) >= FEW_OBSERVERS else "votes",
        "observers": [
            {
                "name": one.name, "votes": len(one.votes), "catches": list(one.catches), "repeats": list(one.repeats),
                "left": one.left,
            }
            for one in observers
        ],
    }  # fmt: skip
