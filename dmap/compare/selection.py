"""Which pairs people are asked about: those on which few votes tell most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UserError, no_choice
from .results import Results
from .statistics import preferences

STRATEGIES = ("debiased", "random")


@dataclass(frozen=True)
class Pair:
    """Two outputs of one start.

    Attributes:
        condition: index of the condition.
        first, second: models.
        value: how much the judges disagree on which is better, in their standard deviations; see ``candidates``.
    """

    condition: int
    first: int
    second: int
    value: float


def candidates(results: Results) -> list[Pair]:
    """All pairs of outputs at matched fidelity.

    The value of a pair is the standard deviation, over the judges that are kin of neither model, of how much they
    prefer one: large where the two outputs differ and independent models part on which is better. 0 with fewer than two
    such judges: pairs are then chosen evenly only.
    """
    found = []
    for number in results.select():
        counted = np.flatnonzero(results.counted[number]).tolist()
        for first in counted:
            for second in counted:
                if first < second:
                    _, change = preferences(results, int(number), first, second)
                    found.append(Pair(int(number), first, second, float(change.std()) if len(change) > 1 else 0.0))
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
        raise no_choice("strategy", strategy, STRATEGIES)
    if not pairs:
        raise UserError(
            "study: no two outputs are at one fidelity; finish the comparison, or run it with a smaller level, more "
            "searches or a wider tolerance"
        )
    order = np.random.default_rng(seed).permutation(len(pairs))
    shuffled = [pairs[index] for index in order]
    if strategy == "random":
        return shuffled[:count]
    places = {name: number for number, name in enumerate(dict.fromkeys(contents))}
    content = np.array([places[contents[pair.condition]] for pair in shuffled])
    _, met = np.unique([(pair.first, pair.second) for pair in shuffled], axis=0, return_inverse=True)
    value = np.array([pair.value for pair in shuffled])
    models, shown = np.zeros(met.max() + 1), np.zeros(len(places))
    left = np.arange(len(shuffled))
    chosen: list[Pair] = []
    while len(left) and len(chosen) < count:
        least = left[models[met[left]] == models[met[left]].min()]
        least = least[shown[content[least]] == shown[content[least]].min()]
        best = least[value[least].argmax()]
        left = left[left != best]
        chosen.append(shuffled[best])
        models[met[best]] += 1
        shown[content[best]] += 1
    return chosen
