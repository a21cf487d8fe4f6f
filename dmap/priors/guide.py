"""A network trained for its gradient, with two trained for their scores: a prior that guides better than it judges."""

from __future__ import annotations

from dataclasses import replace

from .compose import MixedPrior
from .own import OwnQuality

NAME = "dmap_guide"
WEIGHTS = {"dmap_guide": 0.85, "dmap_quality": 0.065, "dmap_quality_seed1": 0.085}
"""The gradient of the first points to the original best and is short; those of the others bring detail.

Chosen on photographs for tuning; docs/evidence.md has the figures."""
CAREFUL_WEIGHT = 18.0
"""Its scores move little, so it asks for less fidelity than ``dmap_quality``."""


class Guide(MixedPrior):
    """The weighted mean of the scores of ``WEIGHTS``."""

    def __init__(self) -> None:
        super().__init__([OwnQuality(name) for name in WEIGHTS], list(WEIGHTS.values()), name=NAME)
        self.info = replace(self.info, careful_weight=CAREFUL_WEIGHT, guides=True)
