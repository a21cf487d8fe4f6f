"""Models that only judge: none of them is offered as a prior, so nothing was ever climbed by them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..models import load_model
from ..priors import Prior, PriorInfo
from ..priors.logistic import IdentityMap

INFO = PriorInfo(
    name="dmap_judge",
    higher_better=True,
    scale=(0.0, 100.0),
    min_size=64,
    licence="MIT (code), CC0-1.0 (weights)",
    commercial_use=True,
    source="trained for this pack: python -m tools.training judge",
)


class OwnJudge(Prior):
    """The shipped judge: image statistics and a small regression, see its card; its scores are on the common scale."""

    def __init__(self) -> None:
        super().__init__(INFO, IdentityMap())
        self.network = load_model(INFO.name, kind="judge").requires_grad_(False)

    def score(self, image: Tensor) -> Tensor:
        result: Tensor = self.network(image)
        return result


JUDGES: dict[str, Callable[[], Prior]] = {INFO.name: OwnJudge}
