"""The MAP objective J = lambda Q(x) - w D(x, y) (arXiv:2403.06406, eq. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..degradations import Degradation
from ..errors import UserError
from ..image.regions import Region, blend, divide
from ..priors import Prior
from ..settings import Settings
from .fidelity import Fidelity


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
        degradation: A, if it is known: the fidelity compares A(x) with the photograph.
        mask: (1 or B, 1, h, w) in [0, 1]: the prior sees the change only where it is not 0, as the result will show it.
        regions: with weights or priors of their own.
        backdrop: (B, 3, h, w), what stays where the mask is 0; the photograph by default.

    Raises:
        UserError: for negative or zero-sum weights, or a photograph that is too small for the prior.
    """

    def __init__(
        self,
        prior: Prior,
        fidelity: Fidelity,
        photograph: Tensor,
        prior_weight: float = Settings.prior_weight,
        fidelity_weight: float = Settings.fidelity_weight,
        shift: int = Settings.shift,
        seed: int = Settings.seed,
        degradation: Degradation | None = None,
        mask: Tensor | None = None,
        regions: Sequence[Region] = (),
        backdrop: Tensor | None = None,
    ) -> None:
        for name, value in (("prior_weight", prior_weight), ("fidelity_weight", fidelity_weight), ("shift", shift)):
            if not value >= 0:
                raise UserError(f"{name}: got {value}, it must not be negative")
        if prior_weight == 0 and fidelity_weight == 0:
            raise UserError("prior_weight and fidelity_weight are both 0: there is nothing to optimise; raise one")
        self.backdrop = photograph if backdrop is None else backdrop
        smallest = min(self.backdrop.shape[-2:]) - shift
        if smallest < prior.info.min_size:
            raise UserError(
                f"image: its smaller side less shift is {smallest} px, but the prior {prior.info.name!r} needs at "
                f"least {prior.info.min_size} px; use a larger image, a smaller shift or another prior"
            )
        self.prior, self.fidelity, self.photograph = prior, fidelity, photograph
        self.prior_weight, self.fidelity_weight = prior_weight, fidelity_weight
        self.shift, self.seed = shift, seed
        self.degradation, self.mask = degradation, mask
        self.observed = photograph if degradation is None else degradation.observed(photograph)
        self._terms = divide(prior, mask, regions)
        if prior_weight > 0 and not self._terms:
            raise UserError("regions: no part of the image is left to the prior; give one region a weight above 0")

    def _crop(self, image: Tensor, iteration: int) -> Tensor:
        if self.shift == 0:
            return image
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + iteration) % 2**63)
        top, left = torch.randint(0, self.shift + 1, (2,), generator=generator).tolist()
        height, width = image.shape[-2] - self.shift, image.shape[-1] - self.shift
        return image[..., top : top + height, left : left + width]

    def composite(self, image: Tensor) -> Tensor:
        """The image as it will be shown: clamped, and the backdrop where the mask is 0."""
        return blend(self.mask, image.clamp(0, 1), self.backdrop)

    def _quality(self, image: Tensor, iteration: int) -> tuple[Tensor, Tensor]:
        """Weighted sum and weighted mean of the regions' scores, each (B,)."""
        shown, total, weights = image.clamp(0, 1), image.new_zeros(len(image)), 0.0
        for term in self._terms:
            seen = blend(term.mask, shown, self.backdrop)
            total = total + term.weight * term.prior(self._crop(seen, iteration))
            weights += term.weight
        return total, total / max(weights, 1e-12)

    def degraded(self, image: Tensor) -> Tensor:
        """A(x), which is compared with ``observed``."""
        return image if self.degradation is None else self.degradation(image)

    def __call__(self, image: Tensor, iteration: int = 0) -> Terms:
        """The terms of x = ``image``, (B, 3, h, w), as the given iteration sees it."""
        total, prior = self._quality(image, iteration)
        distance = self.fidelity(self.degraded(image), self.observed)
        return Terms(self.prior_weight * total - self.fidelity_weight * distance, prior, distance)
