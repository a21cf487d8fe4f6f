"""The pack's own judge: it scores and is never climbed, so that one opinion stays untouched by every ascent."""

from __future__ import annotations

from torch import Tensor

from ..models import load_model
from .base import Prior, PriorInfo
from .logistic import IdentityMap

INFO = PriorInfo(
    name="dmap_judge",
    higher_better=True,
    scale=(0.0, 100.0),
    min_size=64,
    licence="MIT (code), CC0-1.0 (weights)",
    commercial_use=True,
    source="trained for this pack: python -m tools.training judge",
    only_judges=True,
)


class OwnJudge(Prior):
    """Image statistics and a small regression, see the model's card; its scores are on the common scale."""

    def __init__(self) -> None:
        super().__init__(INFO, IdentityMap())
        self.network = load_model(INFO.name, kind="judge").requires_grad_(False)

    def score(self, image: Tensor) -> Tensor:
        result: Tensor = self.network(image)
        return result
