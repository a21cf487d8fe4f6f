"""From votes to a ranking: Bradley-Terry and Thurstone strengths with intervals, and how far observers agree."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from ..errors import UserError
from .results import Array
from .votes import Observer, Vote

PRIOR_DEVIATION = 3.0
"""Of the weak Gaussian prior on strengths: a model that won every vote still gets a finite one."""
FEW = 5
"""Observers, and photographs, below which intervals are said to be rough."""
LINKS = ("logit", "probit")
"""Bradley and Terry (1952), and Thurstone's case V (1927)."""
ITERATIONS, LARGEST_STEP = 60, 1.0
"""Of Newton's method: steps are cut to this size, so that it cannot run away from a flat start."""


def wins(votes: Sequence[Vote], models: Sequence[str]) -> Array:
    """(models, models): how often the row's was preferred to the column's; a tie is half a win of each."""
    place = {name: number for number, name in enumerate(models)}
    count = np.zeros((len(models), len(models)))
    for vote in votes:
        _add(count, vote, place)
    return count


def _add(count: Array, vote: Vote, place: dict[str, int]) -> None:
    won, lost = place[vote.winner], place[vote.loser]
    count[won, lost] += 0.5 if vote.tie else 1.0
    count[lost, won] += 0.5 if vote.tie else 0.0


def strengths(count: Array, link: str = "logit") -> Array:
    """Strengths (..., models) of mean 0 by maximum a posteriori, of counts (..., models, models).

    P(i preferred to j) is 1 / (1 + exp(s_j - s_i)) with ``logit`` (strengths in log odds), and the normal distribution
    function of s_i - s_j with ``probit`` (in standard deviations of the difference). Newton's method, all at once.
    """
    wins_ = torch.from_numpy(np.ascontiguousarray(count, dtype=np.float64))
    models = wins_.shape[-1]
    found = wins_.new_zeros(wins_.shape[:-1])
    for _ in range(ITERATIONS):
        difference = found[..., :, None] - found[..., None, :]
        if link == "logit":
            slope = torch.sigmoid(-difference)  # of the log likelihood of one win
            curve = slope * (1 - slope)
        else:
            slope = torch.exp(-0.5 * difference**2 - 0.9189385332046727 - torch.special.log_ndtr(difference))
            curve = slope * (slope + difference)
        pull = wins_ * slope
        gradient = pull.sum(dim=-1) - pull.sum(dim=-2) - found / PRIOR_DEVIATION**2
        weight = wins_ * curve
        weight = weight + weight.transpose(-1, -2)
        hessian = torch.diag_embed(weight.sum(dim=-1) + 1 / PRIOR_DEVIATION**2) - weight
        step = torch.linalg.solve(hessian, gradient)
        largest = step.abs().amax(dim=-1, keepdim=True).clamp(min=1e-300)
        found = found + step * (LARGEST_STEP / largest).clamp(max=1.0)
        if models == 0 or float(largest.max()) < 1e-10:
            break
    result: Array = (found - found.mean(dim=-1, keepdim=True)).numpy()
    return result


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


def nominal_alpha(units: Sequence[Sequence[str]]) -> float | None:
    """Krippendorff's alpha for nominal data with missing answers: 1 agreement, 0 chance; None if no unit has two.

    Krippendorff, "Content Analysis" (2004).
    """
    shared = [given for given in units if len(given) > 1]
    values = sorted({value for given in shared for value in given})
    counts = np.array([[given.count(value) for value in values] for given in shared], dtype=float)
    if not len(counts):
        return None
    sizes, totals = counts.sum(axis=1), counts.sum(axis=0)
    expected = (totals.sum() ** 2 - (totals**2).sum()) / (totals.sum() - 1)
    observed = ((sizes**2 - (counts**2).sum(axis=1)) / (sizes - 1)).sum()
    return 1.0 if expected == 0 else float(1 - observed / expected)


def agreement(observers: Sequence[Observer]) -> float | None:
    """Krippendorff's alpha of the answers on pairs; None if nothing was seen by two.

    Which model of a pair is called the first is nobody's choice, and alpha must not depend on it: every pair is entered
    both ways round. Chance then means that either model is preferred as often, as for observers who press anything.
    """
    answers: dict[str, list[str]] = defaultdict(list)
    for observer in observers:
        for vote in observer.votes:
            first = "tie" if vote.tie else "a" if vote.winner == vote.trial.model_a else "b"
            answers[vote.trial.id].append(first)
    turned = {"a": "b", "b": "a", "tie": "tie"}
    return nominal_alpha([*answers.values(), *([turned[one] for one in given] for given in answers.values())])


def counts_by(observers: Sequence[Observer], models: Sequence[str]) -> Array:
    """(observers, photographs, models, models): who preferred what where."""
    place = {name: number for number, name in enumerate(models)}
    photographs = {vote.trial.photograph: 0 for observer in observers for vote in observer.votes}
    photographs = {name: number for number, name in enumerate(sorted(photographs))}
    found = np.zeros((len(observers), len(photographs), len(models), len(models)))
    for number, observer in enumerate(observers):
        for vote in observer.votes:
            _add(found[number, photographs[vote.trial.photograph]], vote, place)
    return found


def resampled(counts: Array, samples: int, seed: int) -> Array:
    """(samples, models, models) counts of the pigeonhole bootstrap (Owen 2007).

    Observers and photographs are both drawn anew, with all votes of those drawn: other people and other photographs
    would both give other votes.

    Args:
        counts: of ``counts_by``. Of a single observer, or photograph, only the other kind is drawn.
    """
    random = np.random.default_rng(seed)
    observers, photographs = counts.shape[:2]

    def weights(count: int) -> Array:
        drawn = random.multinomial(count, np.full(count, 1 / count), size=samples) if count > 1 else 1
        return np.broadcast_to(np.asarray(drawn, dtype=float), (samples, count))

    people, pictures = weights(observers), weights(photographs)
    flat = counts.reshape(observers, -1)
    models = counts.shape[2]
    found = np.empty((samples, models, models))
    for start in range(0, samples, 100):  # a block at a time, for the memory
        part = slice(start, start + 100)
        given = (people[part] @ flat).reshape(-1, photographs, models * models)
        found[part] = np.einsum("sp,spm->sm", pictures[part], given).reshape(-1, models, models)
    return found


def intervals(
    observers: Sequence[Observer], models: Sequence[str], samples: int, seed: int, link: str = "logit"
) -> Array:
    """(2, models): 95 % bootstrap intervals of the strengths, over observers and photographs; see ``resampled``."""
    drawn = strengths(resampled(counts_by(observers, models), samples, seed), link)
    result: Array = np.quantile(drawn, [0.025, 0.975], axis=0)
    return result


@dataclass(frozen=True)
class Ranking:
    """Models by preference, best first.

    Attributes:
        models: names.
        strengths: in log odds, mean 0.
        low, high: 95 % bootstrap interval over observers and photographs.
        thurstone: strengths by the probit link, in standard deviations of a difference, mean 0.
        votes: how many each took part in.
        above: of each model, the share of the bootstrap's samples in which it is above the next one; the last has none.
        connected: if not, strengths of models that never met are not comparable.
    """

    models: list[str]
    strengths: list[float]
    low: list[float]
    high: list[float]
    thurstone: list[float]
    votes: list[int]
    above: list[float]
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
    found, other = strengths(count), strengths(count, "probit")
    drawn = strengths(resampled(counts_by(observers, models), samples, seed))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    order = np.argsort(-found, kind="stable").tolist()
    taken = (count + count.T).sum(axis=1)

    def ordered(values: Array) -> list[float]:
        return [float(values[index]) for index in order]

    return Ranking(
        [models[index] for index in order],
        ordered(found),
        ordered(low),
        ordered(high),
        ordered(other),
        [round(float(taken[index])) for index in order],
        [float((drawn[:, one] > drawn[:, two]).mean()) for one, two in itertools.pairwise(order)],
        connected(count),
    )


def verdict(found: Ranking) -> str:
    """Which models people are shown to prefer to which, in a sentence.

    Neighbours in the order are told apart where one is above the other in 97.5 % of the bootstrap's samples.
    """
    if not found.connected:
        return "Not all models were compared with one another, even by way of others: their order means nothing."
    parted = [number for number, share in enumerate(found.above) if share >= 0.975]
    if not parted:
        return "No difference shown: no model is above the next one in 97.5 % of the resampled studies."
    groups, begin = [], 0
    for end in (*parted, len(found.models) - 1):
        groups.append(", ".join(found.models[begin : end + 1]))
        begin = end + 1
    return f"Shown: {' above '.join(groups)}; within a group no difference is shown."


def by_degradation(observers: Sequence[Observer], models: Sequence[str], samples: int, seed: int) -> dict[str, Ranking]:
    """A ranking for each degradation that was shown."""
    kinds = sorted({vote.trial.degradation for observer in observers for vote in observer.votes})
    return {
        kind: rank(
            [
                replace(one, votes=tuple(vote for vote in one.votes if vote.trial.degradation == kind))
                for one in observers
            ],
            models,
            samples,
            seed,
        )
        for kind in kinds
    }


def summary(observers: Sequence[Observer], models: Sequence[str], samples: int = 500, seed: int = 0) -> dict[str, Any]:
    """All of it, as JSON holds it."""
    overall = rank(observers, models, samples, seed)
    photographs = {vote.trial.photograph for observer in observers for vote in observer.votes}
    return {
        "overall": asdict(overall),
        "verdict": verdict(overall),
        "degradations": {
            kind: asdict(one) for kind, one in by_degradation(observers, models, samples, seed).items()
        },
        "agreement": agreement(observers),
        "photographs": len(photographs),
        "pairs": pairs_of(observers),
        "resampled": _resampled(len(observers), len(photographs)),
        "observers": [
            {
                "name": one.name, "votes": len(one.votes), "catches": list(one.catches), "repeats": list(one.repeats),
                "left": one.left,
            }
            for one in observers
        ],
    }  # fmt: skip


def pairs_of(observers: Sequence[Observer]) -> list[dict[str, Any]]:
    """Every pair that was voted on: where, which two models, and how many votes for each; a tie is half a vote."""
    found: dict[str, dict[str, Any]] = {}
    for observer in observers:
        for vote in observer.votes:
            trial = vote.trial
            row = found.setdefault(
                trial.id,
                {
                    "photograph": trial.photograph, "degradation": trial.degradation, "level": trial.level,
                    "a": trial.model_a, "b": trial.model_b, "votes_a": 0.0, "votes_b": 0.0,
                },
            )  # fmt: skip
            for_a = 0.5 if vote.tie else float(vote.winner == trial.model_a)
            row["votes_a"] += for_a
            row["votes_b"] += 1 - for_a
    return list(found.values())


def _resampled(observers: int, photographs: int) -> str:
    """What was resampled, in words, and what that leaves out."""
    counted = f"observers ({observers}) and photographs ({photographs})"
    if observers == 1:
        return "photographs only: of one observer nothing can be said about others"
    if photographs == 1:
        return "observers only: of one photograph nothing can be said about others"
    return counted + ("; so few that intervals are rough" if min(observers, photographs) < FEW else "")
