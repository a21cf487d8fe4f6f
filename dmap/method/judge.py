"""A second prior that is never climbed: it stops the ascent when it disagrees."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import UserError
from ..priors import Prior
from .trace import Trace

PARTED = 3.0
"""Points that the prior must have gained, and the judge lost, for a warning."""


class Judge:
    """Scores every iterate and says which images have become worse.

    Args:
        prior: a quality model other than the one that is climbed.
        patience: iterations that an image may stay below its own best by more than ``tolerance`` before it stops.
        tolerance: in points of the common scale.
        keep_best: the iterate that the judge likes most is kept, instead of the one with the highest objective.

    Raises:
        UserError: for a patience below 1 or a negative tolerance.
    """

    def __init__(self, prior: Prior, patience: int = 3, tolerance: float = 1.0, keep_best: bool = False) -> None:
        if patience < 1:
            raise UserError(f"patience: got {patience}, at least 1 is needed")
        if not tolerance >= 0:
            raise UserError(f"tolerance: got {tolerance}, it must not be negative")
        self.prior, self.patience, self.tolerance, self.keep_best = prior, patience, tolerance, keep_best
        self._best: Tensor | None = None
        self._below: Tensor | None = None

    def scores(self, image: Tensor) -> Tensor:
        """Mapped scores (B,) on the CPU; no gradient."""
        with torch.no_grad():
            return self.prior(image).detach().float().cpu()

    def worse(self, scores: Tensor) -> Tensor:
        """Which images (B,) have been worse for too long, given this iteration's scores."""
        if self._best is None or self._below is None:
            self._best, self._below = scores.clone(), torch.zeros_like(scores)
        self._best = torch.maximum(self._best, scores)
        below = scores < self._best - self.tolerance
        self._below = torch.where(below, self._below + 1, torch.zeros_like(self._below))
        return self._below >= self.patience


def warnings(trace: Trace) -> list[str]:
    """A line for each image whose best iterate pleases the prior and displeases the judge."""
    lines = []
    for index, best in enumerate(trace.best_iteration):
        first, row = trace.rows[0], trace.rows[best]
        if not row.judge:
            continue
        gain, loss = row.prior[index] - first.prior[index], first.judge[index] - row.judge[index]
        if gain >= PARTED and loss >= PARTED:
            lines.append(
                f"image {index + 1}: prior and judge part ways (prior +{gain:.1f}, judge -{loss:.1f}): the prior may "
                "be fooled; raise fidelity_weight, lower strength, or mix the two priors"
            )
    return lines
