"""The diffusion model of a comparison without a host."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..fingerprint import digest, of_weights
from ..image.photograph import Photograph
from ..method.path import LatentPath
from ..models.choice import ModelChoice
from ..models.spaces import SPACES, moving_in
from ..restoration import invert
from .plan import Plan


class ModelEngine:
    """A diffusion model that this process loads.

    Args:
        choice: which one.
        device: where to compute.
        space: where ascents move, one of ``SPACES``.

    Attributes:
        model: it, in that space.
        multiple: sides of photographs are cut to multiples of this many pixels, the same in every space.
        fingerprint: stands for its weights.
        device: where it is.
        software: versions of what runs it, beside those that a comparison records anyway.
    """

    software: Mapping[str, str] = {}

    def __init__(self, choice: ModelChoice, device: torch.device | str = "cpu", space: str = SPACES[0]) -> None:
        loaded = choice.load(device)
        self.model, self.multiple = moving_in(space, loaded), loaded.multiple
        self.device = self.model.device
        # The same weights in another precision, or taken to predict something else, make other pixels.
        self.fingerprint = digest([of_weights(loaded.modules), choice.dtype, choice.prediction])

    def start(self, _: Tensor) -> str:
        """Nothing: the plan says all of it."""
        return ""

    def path(self, photograph: Tensor, plan: Plan) -> LatentPath:
        """The inverted photograph (1, 3, h, w) in [0, 1]."""
        with torch.no_grad():
            latent = self.model.encode(photograph)
        return invert(self.model, latent, plan.settings(), Photograph(photograph))[0]
