"""Which pairs people are asked about: those on which few votes tell most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UserError
from .results import Results

STRATEGIES = ("debiased", "random")


@dataclass(frozen=True)
class Pair:
    """Two outputs of one start.

    Attributes:
        condition: index of the condition.
        first, second: models.
        value: how much the judges disagree on which is better, in points; see ``candidates``.
    """

    condition: int
    first: int
    second: int
    value: float


def candidates(results: Results) -> list[Pair]:
    """All pairs of outputs at matched fidelity.

    The value of a pair is the standard deviation, over the judges, of the difference of their scores: large where the
    two outputs differ and the models part on which is better.
    """
    found = []
    for number in results.select():
        scores = results.scores[number]
        for first in range(len(results.names)):
            for second in range(first + 1, len(results.names)):
                value = float((scores[first] - scores[second]).std())
                found.append(Pair(int(number), first, second, value))
    return found


def choose(pairs: Sequence[Pair], contents: Sequence[str], count: int, strategy: str, seed: int) -> list[Pair]:
    """Choose pairs to show.

    ``debiased`` takes, again and again, from the pairs of models and then the contents shown least so far, the pair of
    the largest value: the most telling comparisons without a bias to some photographs or models (after Cao, Wang and
    Ma, "Debiased Subjective Assessment of Real-World Image Enhancement", CVPR 2021). ``random`` draws evenly.

    Args:
        pairs: candidates.
        contents: the content of each condition, such as its photograph.
        count: how many; all if there are fewer.
        strategy: of ``STRATEGIES``.
        seed: of the draw, and of the order of equal pairs.

    Raises:
        UserError: for an unknown strategy, or if there is no candidate.
    """
    if strategy not in STRATEGIES:
        raise UserError(f"strategy: got {strategy!r}, choose one of {', '.join(STRATEGIES)}")
    if not pairs:
        raise UserError(
            "study: no two outputs are at one fidelity; finish the comparison, or run it with a smaller level, more "
            "searches or a wider tolerance"
        )
    order = np.random.default_rng(seed).permutation(len(pairs))
    shuffled = [pairs[index] for index in order]
    if strategy == "random":
        return shuffled[:count]
    models: Counter[tuple[int, int]] = Counter()
    shown: Counter[str] = Counter()
    chosen: list[Pair] = []
    while shuffled and len(chosen) < count:
        best = min(
            shuffled,
            key=lambda pair: (models[pair.first, pair.second], shown[contents[pair.condition]], -pair.value),
        )
        shuffled.remove(best)
        chosen.append(best)
        models[best.first, best.second] += 1
        shown[contents[best.condition]] += 1
    return chosen
