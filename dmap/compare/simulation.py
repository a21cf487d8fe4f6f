"""Simulated observers: does the ranking come out as it is known to be, and how many votes does it take?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .ranking import strengths
from .results import Array
from .selection import STRATEGIES, Pair, choose

LAPSE = 0.05
"""Share of answers that are given blindly."""
CONTENT = 0.7
"""Standard deviation, in log odds, of how much better or worse a model does on one content than on average."""
UNKNOWN = 0.5
"""Standard deviation of the logarithm of a pair's visibility that no model foretells."""
BUDGETS = (10, 20, 40, 80, 160, 320, 640)


@dataclass(frozen=True)
class Power:
    """How well a number of votes recovers a known order.

    Attributes:
        strategy: how pairs were chosen.
        follows: how far people see what the models part on, see ``visibility``.
        votes: so many.
        right: share of the pairs of models that came out in the right order, mean over the simulations.
        error: standard error of ``right`` over the simulations.
        first: share of the simulations whose best model came out best.
        more: how much larger ``right`` is than with random pairs in the same simulations, mean.
        more_error: standard error of that.
    """

    strategy: str
    follows: float
    votes: int
    right: float
    error: float
    first: float
    more: float
    more_error: float


def visibility(pairs: Sequence[Pair], follows: float, random: np.random.Generator) -> Array:
    """How strongly people see the difference of each pair, as a factor on its log odds; of median 1.

    The factor is the pair's own disagreement over the median one, to the power ``follows``, times something that no
    model foretells (log-normal, ``UNKNOWN``). Where all pairs part the models alike there is nothing to choose by,
    however many there are. A pair on which the judges agree fully is taken for one at a tenth of the median.

    Args:
        follows: 0 where what the models part on tells nothing of what people see, 1 where twice the disagreement is
            twice the difference.
    """
    values = np.array([pair.value for pair in pairs])
    median = float(np.median(values))
    known = np.clip(values / median, 0.1, None) if median > 0 else np.ones(len(pairs))
    result: Array = known**follows * np.exp(UNKNOWN * random.standard_normal(len(pairs)))
    return result


def answers(
    pairs: Sequence[Pair], odds: Array, models: int, budgets: Sequence[int], random: np.random.Generator
) -> Array:
    """(budgets, models, models) wins after so many votes on these pairs in turn, each with its own log odds."""
    most = max(budgets)
    turn = np.arange(most) % len(pairs)
    chance = LAPSE / 2 + (1 - LAPSE) / (1 + np.exp(-odds[turn]))
    first_won = random.random(most) < chance
    first, second = np.array([(pair.first, pair.second) for pair in pairs])[turn].T
    count = np.zeros((len(budgets), models, models))
    for place, votes in enumerate(budgets):
        won, lost = np.where(first_won, first, second)[:votes], np.where(first_won, second, first)[:votes]
        np.add.at(count[place], (won, lost), 1.0)
    return count


def power(
    pairs: Sequence[Pair],
    contents: Sequence[str],
    models: int,
    shown: int,
    follows: Sequence[float] = (0.0, 0.5, 1.0),
    budgets: Sequence[int] = BUDGETS,
    repeats: int = 40,
    seed: int = 0,
) -> list[Power]:
    """Votes against recovery of a known order, for each way to choose pairs.

    In every simulation the models' mean strengths are drawn anew, one log odd apart on average, and so is how each does
    on every content (``CONTENT``). A vote follows their difference on this content, times the pair's visibility. What
    is to be recovered is the order of the mean strengths. All ways to choose pairs meet the same simulations.

    Args:
        pairs: a comparison's candidates.
        contents: of each condition.
        models: how many there are.
        shown: pairs that each study shows; votes go round them.
    """
    place = {name: number for number, name in enumerate(dict.fromkeys(contents))}
    found = []
    for correlation in follows:
        right = {strategy: np.zeros((repeats, len(budgets))) for strategy in STRATEGIES}
        first = {strategy: np.zeros(len(budgets)) for strategy in STRATEGIES}
        for repeat in range(repeats):
            random = np.random.default_rng([seed, repeat])
            truth = random.standard_normal(models)
            on_content = truth + CONTENT * random.standard_normal((len(place), models))
            clear = dict(zip(map(id, pairs), visibility(pairs, correlation, random), strict=True))
            for strategy in STRATEGIES:
                chosen = choose(pairs, contents, shown, strategy, seed + repeat)
                odds = np.array(
                    [
                        clear[id(pair)] * (of[pair.first] - of[pair.second])
                        for pair in chosen
                        for of in (on_content[place[contents[pair.condition]]],)
                    ]
                )
                voting = np.random.default_rng([seed, repeat, 1])
                estimate = strengths(answers(chosen, odds, models, budgets, voting))
                right[strategy][repeat] = [ordered(one, truth) for one in estimate]
                first[strategy] += (estimate.argmax(axis=1) == truth.argmax()) / repeats
        for strategy in STRATEGIES:
            more = right[strategy] - right["random"]
            found += [
                Power(
                    strategy, correlation, votes, float(right[strategy][:, at].mean()), _error(right[strategy][:, at]),
                    float(first[strategy][at]), float(more[:, at].mean()), _error(more[:, at]),
                )
                for at, votes in enumerate(budgets)
            ]  # fmt: skip
    return found


def _error(values: Array) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0


def ordered(estimate: Array, truth: Array) -> float:
    """Share of the pairs of models that are in the right order."""
    rows, columns = np.triu_indices(len(truth), 1)
    return float((np.sign(estimate[rows] - estimate[columns]) == np.sign(truth[rows] - truth[columns])).mean())


def votes_needed(found: Sequence[Power], strategy: str, follows: float, share: float = 0.9) -> int | None:
    """The fewest votes at which so many pairs of models come out right; None if more than were simulated."""
    enough = [one.votes for one in found if (one.strategy, one.follows) == (strategy, follows) and one.right >= share]
    return min(enough, default=None)


def claim(found: Sequence[Power], follows: float) -> str:
    """Whether choosing pairs is worth it: the mean share of right pairs over all budgets, debiased less random."""
    rows = [one for one in found if (one.strategy, one.follows) == ("debiased", follows)]
    more = float(np.mean([one.more for one in rows]))
    error = float(np.mean([one.more_error for one in rows]))  # budgets of one simulation rise and fall together
    if abs(more) <= 2 * error:
        return f"no difference shown between debiased and random pairs ({more:+.1%} right, error {error:.1%})"
    return f"{'debiased' if more > 0 else 'random'} pairs order more models rightly ({more:+.1%}, error {error:.1%})"
