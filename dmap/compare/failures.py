"""Where models fail: outputs that please the model that was climbed, and that the judges find worse than the start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .results import Results
from .statistics import scale_of, unrelated

MOST = 12


@dataclass(frozen=True)
class Failure:
    """An output.

    Attributes:
        condition, model: which one.
        own: gain in its own model's score, in points.
        judged: mean change by the judges that are kin of no model, or else not of this one, in their standard
            deviations; in points where a single photograph gives them none.
        judges: how many they are.
    """

    condition: int
    model: int
    own: float
    judged: float
    judges: int


def failures(results: Results, most: int = MOST) -> list[Failure]:
    """The worst outputs, at most one for each photograph and model, the worst first."""
    found: dict[tuple[str, int], Failure] = {}
    for number in results.select().tolist():
        for model in np.flatnonzero(results.counted[number]).tolist():
            judges = results.common or unrelated(results, model, model)
            if not judges:
                continue
            gains = results.gains[number, model]
            one = Failure(
                number,
                model,
                float(gains[model]),
                float((gains[judges] / scale_of(results)[judges]).mean()),
                len(judges),
            )
            key = results.conditions[number].input.photograph, model
            if one.own > 0 > one.judged and (key not in found or one.judged < found[key].judged):
                found[key] = one
    return sorted(found.values(), key=lambda one: one.judged)[:most]
