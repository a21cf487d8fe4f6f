"""What a model's outputs gain over how far they went: curves over the fidelity levels, with errors over photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .inference import effects
from .results import Array, Booleans, Results
from .statistics import judging, over_judges


@dataclass(frozen=True)
class Curves:
    """Each (models, levels); NaN where no output counts.

    Attributes:
        levels: in rising order.
        distance: mean D to the photograph.
        gain: mean gain by the judges of ``judging``, in their standard deviations.
        error: standard errors of ``gain`` over photographs.
        own: mean gain in the model's own score, in points.
        undominated: whether no other model's output at any level is at least as close and gains at least as much.
    """

    levels: list[float]
    distance: Array
    gain: Array
    error: Array
    own: Array
    undominated: Booleans


def curves(results: Results) -> Curves:
    """The curves of all models; of one level a point each."""
    levels, models = sorted(results.plan.levels), len(results.names)
    distance, gain, error, own = (np.full((models, len(levels)), np.nan) for _ in range(4))
    for column, level in enumerate(levels):
        chosen = results.select(level=level)
        if not len(chosen):
            continue
        photographs = results.photographs(chosen)
        found = np.full((len(chosen), models), np.nan)
        for row, number in enumerate(chosen):
            for model, cell in enumerate(results.conditions[number].cells):
                if cell is not None and results.counted[number, model]:
                    found[row, model] = cell.distance
        distance[:, column] = effects(found, photographs).mean
        judged = over_judges(results, chosen, deviations=True)
        gain[:, column], error[:, column] = judged.mean, judged.error
        own[:, column] = effects(results.gains[chosen][:, np.arange(models), np.arange(models)], photographs).mean
    return Curves(levels, distance, gain, error, own, _undominated(distance, gain))


def _undominated(distance: Array, gain: Array) -> Booleans:
    """Of points (models, levels): whether none of another model is as near and as good, and nearer or better."""
    near, good = distance[:, :, None, None], gain[:, :, None, None]
    with np.errstate(invalid="ignore"):
        beaten = (distance <= near) & (gain >= good) & ((distance < near) | (gain > good))
    beaten &= ~np.eye(len(distance), dtype=bool)[:, None, :, None]
    result: Booleans = np.isfinite(distance) & np.isfinite(gain) & ~beaten.any(axis=(2, 3))
    return result


def in_words(results: Results) -> str:
    """What the curves' vertical axis is."""
    who = judging(results)
    kind = "the judges that are kin of no model" if who.kind == "common" else "a model of judge effects"
    return f"gain by {kind}, standard deviations"
