"""Simulated observers: does the ranking come out as it is known to be, and how many votes does it take?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .ranking import bradley_terry
from .results import Array
from .selection import STRATEGIES, Pair, choose

LAPSE = 0.05
"""Share of answers that are given blindly."""
BUDGETS = (10, 20, 40, 80, 160, 320, 640)


@dataclass(frozen=True)
class Power:
    """How well a number of votes recovers a known order.

    Attributes:
        strategy: how pairs were chosen.
        follows: correlation of what people can see with what the models disagree on.
        votes: so many.
        right: share of the pairs of models that came out in the right order, mean over the simulations.
        first: share of the simulations whose best model came out best.
    """

    strategy: str
    follows: float
    votes: int
    right: float
    first: float


def visibility(pairs: Sequence[Pair], follows: float, random: np.random.Generator) -> Array:
    """How clearly people see the better one of each pair: log-normal of mean about 1.

    Args:
        follows: correlation, before the exponential, with the pair's own value.
    """
    values = np.log(np.array([pair.value for pair in pairs]) + 1e-3)
    spread = values.std()
    known = (values - values.mean()) / spread if spread > 0 else np.zeros(len(pairs))
    unknown = random.standard_normal(len(pairs))
    return np.exp(follows * known + np.sqrt(1 - follows**2) * unknown - 0.5)


def answers(pairs: Sequence[Pair], seen: Array, strengths: Array, votes: int, random: np.random.Generator) -> Array:
    """(models, models) wins of so many votes on these pairs in turn."""
    count = np.zeros((len(strengths), len(strengths)))
    for number in range(votes):
        index = number % len(pairs)
        pair = pairs[index]
        odds = seen[index] * (strengths[pair.first] - strengths[pair.second])
        chance = LAPSE / 2 + (1 - LAPSE) / (1 + np.exp(-odds))
        winner, loser = (pair.first, pair.second) if random.random() < chance else (pair.second, pair.first)
        count[winner, loser] += 1
    return count


def power(
    pairs: Sequence[Pair],
    contents: Sequence[str],
    models: int,
    shown: int,
    follows: Sequence[float] = (0.0, 0.5, 0.9),
    budgets: Sequence[int] = BUDGETS,
    repeats: int = 40,
    seed: int = 0,
) -> list[Power]:
    """Votes against recovery of a known order, for each way to choose pairs.

    True strengths are drawn anew for each simulation, one log odd apart on average. A vote follows them the more
    clearly, the better the pair shows the difference. ``follows`` = 0 is a world in which what the models disagree on
    tells nothing of what people see.

    Args:
        pairs: a comparison's candidates.
        contents: of each condition.
        models: how many there are.
        shown: pairs that each study shows; votes go round them.
    """
    found = []
    for strategy in STRATEGIES:
        for correlation in follows:
            right, first = np.zeros(len(budgets)), np.zeros(len(budgets))
            for repeat in range(repeats):
                random = np.random.default_rng([seed, repeat])
                strengths = random.standard_normal(models)
                clear = dict(zip(map(id, pairs), visibility(pairs, correlation, random), strict=True))
                chosen = choose(pairs, contents, shown, strategy, seed + repeat)
                seen = np.array([clear[id(pair)] for pair in chosen])
                for place, votes in enumerate(budgets):
                    estimate = bradley_terry(answers(chosen, seen, strengths, votes, random))
                    right[place] += ordered(estimate, strengths) / repeats
                    first[place] += float(estimate.argmax() == strengths.argmax()) / repeats
            found += [
                Power(strategy, correlation, votes, float(right[place]), float(first[place]))
                for place, votes in enumerate(budgets)
            ]
    return found


def ordered(estimate: Array, truth: Array) -> float:
    """Share of the pairs of models that are in the right order."""
    rows, columns = np.triu_indices(len(truth), 1)
    return float((np.sign(estimate[rows] - estimate[columns]) == np.sign(truth[rows] - truth[columns])).mean())


def votes_needed(found: Sequence[Power], strategy: str, follows: float, share: float = 0.9) -> int | None:
    """The fewest votes at which so many pairs of models come out right; None if more than were simulated."""
    enough = [one.votes for one in found if (one.strategy, one.follows) == (strategy, follows) and one.right >= share]
    return min(enough, default=None)
