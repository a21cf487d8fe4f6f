"""The diffusion model of a comparison without a host."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..fingerprint import digest, of_weights
from ..image.photograph import Photograph
from ..method.path import LatentPath
from ..models.choice import ModelChoice
from ..restoration import invert
from .plan import Plan


class ModelEngine:
    """A diffusion model that this process loads.

    Args:
        choice: which one.
        device: where to compute.

    Attributes:
        model: it.
        fingerprint: stands for its weights.
        device: where it is.
        software: versions of what runs it, beside those that a comparison records anyway.
    """

    software: Mapping[str, str] = {}

    def __init__(self, choice: ModelChoice, device: torch.device | str = "cpu") -> None:
        self.model = choice.load(device)
        self.device = self.model.device
        # The same weights in another precision, or taken to predict something else, make other pixels.
        self.fingerprint = digest([of_weights(self.model.modules), choice.dtype, choice.prediction])

    def start(self, _: Tensor) -> str:
        """Nothing: the plan says all of it."""
        return ""

    def path(self, photograph: Tensor, plan: Plan) -> LatentPath:
        """The inverted photograph (1, 3, h, w) in [0, 1]."""
        with torch.no_grad():
            latent = self.model.encode(photograph)
        return invert(self.model, latent, plan.settings(), Photograph(photograph))[0]
