"""Quality as nearness to a restoration that the pack makes itself."""

from __future__ import annotations

from torch import Tensor

from ..models import Restorer, load_model
from .base import Prior, PriorInfo
from .logistic import LogisticMap

INFO = PriorInfo(
    name="dmap_restoration",
    higher_better=False,
    scale=(-6.0, -3.0),
    min_size=Restorer.min_size,
    licence="MIT (code), CC0-1.0 (weights)",
    commercial_use=True,
    source="trained for this pack: python -m dmap.training restorer",
)
EPSILON = 1e-6
"""Of squared differences: an image within 0.001 of its restoration asks for no more."""


class Restoration(Prior):
    """The raw score is the logarithm of the root mean square difference between a photograph and its restoration.

    No-reference quality by a hallucinated reference (Lin and Wang 2018, "Hallucinated-IQA"; Min et al. 2018, "Blind
    quality assessment based on pseudo-reference image"). Its worth is its gradient, which an ascent follows: that of a
    distance to a restoration points to the restoration (Hurault, Leclaire and Papadakis 2022, arXiv:2110.03220, who
    denoise with nothing but such a gradient), while networks that only score climb by textures that look like nothing.

    Args:
        weights: name of a shipped file, or path of one that the recipe made.
    """

    def __init__(self, weights: str = "dmap_restorer") -> None:
        super().__init__(INFO, LogisticMap.from_range(*INFO.scale, INFO.higher_better))
        self.network = load_model(weights, kind="restorer").requires_grad_(False)

    def score(self, image: Tensor) -> Tensor:
        difference = image - self.network(image)
        return (difference.square().mean(dim=(1, 2, 3)) + EPSILON).log() / 2
