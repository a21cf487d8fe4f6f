"""The prior weight that leads to a wanted fidelity: what makes models comparable."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

FACTOR = 3.0
"""The weight is multiplied or divided by this until the target is bracketed; the step doubles (in log) each time."""
RANGE = (1e-4, 1e5)
CENTRED, CENTRING = 0.25, 2
"""Share of the tolerance that is close enough, and ascents spent on coming there from within the tolerance."""


@dataclass(frozen=True)
class Trial:
    """One ascent: its prior weight and the fidelity D that it ended at."""

    weight: float
    distance: float


def next_weight(trials: Sequence[Trial], target: float) -> float | None:
    """The weight to try next, or None if the target is out of reach.

    D grows with the prior weight, nearly steadily: first the target is bracketed, then D is interpolated over the
    logarithm of the weight, kept away from the bracket's ends so that it always shrinks; if it comes from one side
    twice, the bracket is halved.
    """
    below = max((trial for trial in trials if trial.distance < target), key=lambda trial: trial.weight, default=None)
    above = min((trial for trial in trials if trial.distance >= target), key=lambda trial: trial.weight, default=None)
    if below is not None and above is not None:
        low, high = math.log(below.weight), math.log(above.weight)
        share = (target - below.distance) / (above.distance - below.distance)
        if len(trials) > 2 and (trials[-1].distance < target) == (trials[-2].distance < target):
            share = 0.5  # the interpolation creeps up from one side
        return math.exp(low + min(max(share, 0.1), 0.9) * (high - low))
    growth = FACTOR ** (2.0 ** (len(trials) - 1))
    edge = below if below is not None else above
    assert edge is not None
    weight = edge.weight * growth if below is not None else edge.weight / growth
    if edge.weight in RANGE:
        return None
    return min(max(weight, RANGE[0]), RANGE[1])


def centring_weight(trials: Sequence[Trial], target: float, level: float) -> float:
    """The weight to try next once a trial is within the tolerance: closer to its middle.

    Between trials on both sides as ``next_weight``; else the distance beyond the start is taken to grow with the
    weight.
    """
    below, above = (any((trial.distance < target) == side for trial in trials) for side in (True, False))
    if below and above:
        weight = next_weight(trials, target)
        assert weight is not None  # the target is bracketed
        return weight
    closest = min(trials, key=lambda trial: abs(trial.distance - target))
    moved = max(closest.distance - (target - level), 0.5 * level)
    return min(max(closest.weight * level / moved, RANGE[0]), RANGE[1])


def search(
    ascend: Callable[[float], float], target: float, tolerance: float, first: float, most: int, level: float
) -> tuple[list[Trial], int]:
    """Look for the weight at which an ascent ends at ``target``.

    A search that begins where the last one ended would stop at the tolerance's near edge, each model's at its own: so
    once within the tolerance it goes on, by at most ``CENTRING`` ascents, until it is within a quarter of it.

    Args:
        ascend: weight -> D of the ascent's image.
        target: the wanted D.
        tolerance: half width of what counts as the target, absolute.
        first: weight to begin with.
        most: ascents at most.
        level: how far ``target`` is beyond D of the start.

    Returns:
        All trials, and the index of the one closest to the target.
    """
    trials: list[Trial] = []
    weight: float | None = min(max(first, RANGE[0]), RANGE[1])
    left = CENTRING
    while weight is not None and len(trials) < most:
        trials.append(Trial(weight, ascend(weight)))
        miss = min(abs(trial.distance - target) for trial in trials)
        if miss <= CENTRED * tolerance:
            break
        if miss <= tolerance:
            if left == 0:
                break
            left -= 1
            weight = centring_weight(trials, target, level)
        else:
            weight = next_weight(trials, target)
    closest = min(range(len(trials)), key=lambda index: abs(trials[index].distance - target))
    return trials, closest
