"""Two networks of one recipe as a prior that scores worse than the better of them and guides better."""

from __future__ import annotations

from .compose import MixedPrior
from .own import OwnQuality

NAME = "dmap_guide"
WEIGHTS = {"dmap_quality": 0.3, "dmap_quality_seed1": 0.7}
"""The second was trained for a third of the time: a poor judge of JPEG, whose gradient points to the original better.

Chosen on photographs for tuning; docs/evidence.md has the figures. Its gradient is weaker: it asks for a lower
fidelity weight, about 100 where ``dmap_quality`` asks for 240."""


class Guide(MixedPrior):
    """The weighted mean of the scores of ``WEIGHTS``."""

    def __init__(self) -> None:
        super().__init__([OwnQuality(name) for name in WEIGHTS], list(WEIGHTS.values()), name=NAME)
