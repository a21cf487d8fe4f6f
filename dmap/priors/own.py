"""The pack's own quality network as a prior."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from ..models import QualityNet, load_model
from .base import Prior, PriorInfo
from .logistic import IdentityMap

INFO = PriorInfo(
    name="dmap_quality",
    higher_better=True,
    scale=(0.0, 100.0),
    min_size=QualityNet.min_size,
    licence="MIT (code), CC0-1.0 (weights)",
    commercial_use=True,
    source="trained for this pack: python -m tools.training quality",
    vouched=True,
)


class OwnQuality(Prior):
    """The shipped network; its scores are on the common scale by training.

    Args:
        weights: name of a shipped file, or path of one that the recipe made.
    """

    def __init__(self, weights: str = INFO.name) -> None:
        super().__init__(replace(INFO, name=Path(weights).stem), IdentityMap())
        self.network = load_model(weights, kind="quality").requires_grad_(False)

    @classmethod
    def of(cls, network: nn.Module) -> OwnQuality:
        """A prior of a network of the same kind that is in memory, such as one in training; its weights are its own."""
        prior = cls.__new__(cls)
        Prior.__init__(prior, INFO, IdentityMap())
        prior.network = network
        return prior

    def score(self, image: Tensor) -> Tensor:
        result: Tensor = self.network(image)
        return result
