"""The MAP objective J = lambda Q(x) - w D(x, y) (arXiv:2403.06406, eq. 5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .fidelity import Fidelity
from .priors import Prior


@dataclass(frozen=True)
class Terms:
    """Per image, (B,): the objective, the mapped prior Q (0..100, higher better) and the fidelity D (0 = equal)."""

    objective: Tensor
    prior: Tensor
    fidelity: Tensor


class Objective:
    """Prior score weighted against fidelity to the photograph, per image.

    The prior sees the image as it will be shown, clamped to [0, 1]; the fidelity sees it unclamped, so that
    values out of range are drawn back by a gradient.

    Args:
        prior: NR-IQA model mapped to 0..100.
        fidelity: distance to the photograph.
        photograph: y, (B, 3, h, w) in [0, 1].
        prior_weight: lambda >= 0.
        fidelity_weight: w >= 0.
        shift: the prior sees a crop smaller by this many pixels a side, at a place drawn anew in each iteration,
            which keeps the ascent from fitting patterns to the network's sampling grid; 0 turns it off.
        seed: of the drawn places; iteration i of a seed is the same in any batch and after a restart.

    Raises:
        ValueError: for negative or zero-sum weights, or a photograph that is too small for the prior.
    """

    def __init__(
        self,
        prior: Prior,
        fidelity: Fidelity,
        photograph: Tensor,
        prior_weight: float = 1.0,
        fidelity_weight: float = 20.0,
        shift: int = 0,
        seed: int = 0,
    ) -> None:
        for name, value in (("prior_weight", prior_weight), ("fidelity_weight", fidelity_weight), ("shift", shift)):
            if not value >= 0:
                raise ValueError(f"{name}: got {value}, it must not be negative")
        if prior_weight == 0 and fidelity_weight == 0:
            raise ValueError("prior_weight and fidelity_weight are both 0: there is nothing to optimise; raise one")
        smallest = min(photograph.shape[-2:]) - shift
        if smallest < prior.info.min_size:
            raise ValueError(
                f"image: its smaller side less shift is {smallest} px, but the prior {prior.info.name!r} needs at "
                f"least {prior.info.min_size} px; use a larger image, a smaller shift or another prior"
            )
        self.prior, self.fidelity, self.photograph = prior, fidelity, photograph
        self.prior_weight, self.fidelity_weight = prior_weight, fidelity_weight
        self.shift, self.seed = shift, seed

    def _crop(self, image: Tensor, iteration: int) -> Tensor:
        if self.shift == 0:
            return image
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + iteration) % 2**63)
        top, left = torch.randint(0, self.shift + 1, (2,), generator=generator).tolist()
        height, width = image.shape[-2] - self.shift, image.shape[-1] - self.shift
        return image[..., top : top + height, left : left + width]

    def __call__(self, image: Tensor, iteration: int = 0) -> Terms:
        """The terms of x = ``image``, (B, 3, h, w), as the given iteration sees it."""
        prior = self.prior(self._crop(image.clamp(0, 1), iteration))
        distance = self.fidelity(image, self.photograph)
        return Terms(self.prior_weight * prior - self.fidelity_weight * distance, prior, distance)
