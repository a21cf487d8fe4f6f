"""A network trained where its own ascents go: the prior that restores best, and that lets good photographs alone."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .own import OwnQuality

NAME = "dmap_policy"
MIDPOINT, SLOPE, EXPONENT = 40.9, 1.57, 0.25
"""Of the curve from the network's output, which lies between 36 and 46, to 0..100."""
CAREFUL_WEIGHT = 170.0


class Policy(OwnQuality):
    """The network ``dmap_policy`` and a generalised logistic curve (Richards 1959), 100 sigmoid(s (q - m))^e.

    Without noise and blocks, which cleaning takes away, what the network finds better than ``MIDPOINT`` is seldom
    helped by its gradient: there the curve is nearly level, so that the fidelity holds a photograph that is good
    already. Below, the exponent keeps the curve from being level as well, which a logistic curve would be.
    """

    def __init__(self) -> None:
        super().__init__(NAME)
        source = "trained for this pack: python -m tools.training policy"
        self.info = replace(self.info, source=source, careful_weight=CAREFUL_WEIGHT, guides=True)

    def score(self, image: Tensor) -> Tensor:
        return 100 * torch.sigmoid(SLOPE * (super().score(image) - MIDPOINT)) ** EXPONENT
