"""Priors made of priors: mixtures, several scales, and averages over small changes. They nest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from ..errors import UserError, no_choice
from .base import Prior, PriorInfo
from .logistic import IdentityMap


def _joint_info(name: str, parts: Sequence[Prior], min_size: int, weights: Sequence[float]) -> PriorInfo:
    """Facts that hold for all parts together; a licence is as narrow as the narrowest, a careful weight their mean."""
    licences = sorted({part.info.licence for part in parts})
    return PriorInfo(
        name=name,
        higher_better=True,
        scale=(0.0, 100.0),
        min_size=min_size,
        licence="; ".join(licences),
        commercial_use=all(part.info.commercial_use for part in parts),
        source=", ".join(part.info.name for part in parts),
        careful_weight=sum(weight * part.info.careful_weight for part, weight in zip(parts, weights, strict=True))
        / sum(weights),
        guides=any(part.info.guides for part in parts),
        vouched=all(part.info.vouched for part in parts),
    )


class Composition(Prior):
    """A prior made of priors, on the common scale.

    Args:
        name: of the whole.
        parts: at least one.
        min_size: smallest side of an image in pixels.
        weights: how much each part counts; all alike by default.
    """

    def __init__(
        self, name: str, parts: Sequence[Prior], min_size: int, weights: Sequence[float] | None = None
    ) -> None:
        shares = [1.0] * len(parts) if weights is None else weights
        super().__init__(_joint_info(name, parts, min_size, shares), IdentityMap())
        self.parts = nn.ModuleList(parts)

    def leaves(self) -> tuple[Prior, ...]:
        found = (leaf for part in self.parts for leaf in cast(Prior, part).leaves())
        return tuple({id(leaf): leaf for leaf in found}.values())


class MixedPrior(Composition):
    """Several priors as one, on the common scale.

    ``mean`` is the weighted mean of the mapped scores, the authors' hybrid (arXiv:2403.06406). ``softmin`` is
    -T log sum w exp(-Q / T): the weakest score counts most, so that no part can be fooled at the others' cost.

    Args:
        parts: at least one.
        weights: one a part, not negative, not all 0; they are divided by their sum. Parts with weight 0 are left out.
        mode: "mean" or "softmin".
        name: of the mixture; by default it tells the parts.

    Raises:
        UserError: for other weights or modes.
    """

    MODES: ClassVar[tuple[str, ...]] = ("mean", "softmin")
    temperature: ClassVar[float] = 5.0
    """T, in points of the common scale."""

    def __init__(
        self, parts: Sequence[Prior], weights: Sequence[float], mode: str = "mean", name: str | None = None
    ) -> None:
        if not parts or len(parts) != len(weights):
            raise UserError(f"mixed prior: got {len(parts)} priors and {len(weights)} weights; give one weight a prior")
        if any(not weight >= 0 for weight in weights) or not sum(weights) > 0:
            raise UserError(f"weights: got {list(weights)}; none may be negative and one must be greater than 0")
        if mode not in self.MODES:
            raise no_choice("mode", mode, self.MODES)
        if name is None:
            terms = (f"{weight:g} {part.info.name}" for weight, part in zip(weights, parts, strict=True))
            name = f"{mode}({', '.join(terms)})"
        # A part without weight is not asked: it must neither cost time nor need a gradient.
        counting = [(part, weight) for part, weight in zip(parts, weights, strict=True) if weight > 0]
        smallest = max(part.info.min_size for part, _ in counting)
        super().__init__(name, [part for part, _ in counting], smallest, [weight for _, weight in counting])
        self.weights = [weight / sum(weights) for _, weight in counting]
        self.mode = mode

    def score(self, image: Tensor) -> Tensor:
        scores = torch.stack([part(image) for part in self.parts])
        weights = scores.new_tensor(self.weights)[:, None]
        if self.mode == "mean":
            return (weights * scores).sum(dim=0)
        return -self.temperature * torch.logsumexp(weights.log() - scores / self.temperature, dim=0)


MOST_SCALES = 16
"""Of one prior at most: each is one more forward and backward pass of it."""


class MultiScalePrior(Composition):
    """The mean of one prior's scores at several sizes; LIQE at 1 and 0.75 is the paper's MS-LIQE.

    Args:
        part: the prior.
        scales: factors on the sides, in (0, 1]; images are made smaller with an anti-aliased bicubic filter.

    Raises:
        UserError: for no scale, more than ``MOST_SCALES``, or one outside (0, 1].
    """

    def __init__(self, part: Prior, scales: Sequence[float] = (1.0, 0.75)) -> None:
        if not scales or any(not 0 < scale <= 1 for scale in scales):
            raise UserError(f"scales: got {list(scales)[:MOST_SCALES]}; give factors in (0, 1], such as 1, 0.75")
        if len(scales) > MOST_SCALES:
            raise UserError(f"scales: got {len(scales)}, each asks the prior once more; give {MOST_SCALES} at most")
        name = f"multiscale({part.info.name} at {', '.join(f'{scale:g}' for scale in scales)})"
        smallest = -int(-part.info.min_size // min(scales))
        super().__init__(name, [part], smallest)
        self.scales = tuple(scales)

    def score(self, image: Tensor) -> Tensor:
        scores = []
        for scale in self.scales:
            size = [max(cast(Prior, self.parts[0]).info.min_size, round(side * scale)) for side in image.shape[-2:]]
            resized = image
            if scale != 1:
                resized = nn.functional.interpolate(image, size=size, mode="bicubic", antialias=True).clamp(0, 1)
            scores.append(self.parts[0](resized))
        return torch.stack(scores).mean(dim=0)


class RobustPrior(Composition):
    """The mean of one prior's scores over small shifts and faint noise, against adversarial solutions.

    A texture that pleases the network only at one place of its sampling grid, or only at one exact value, loses. The
    views are drawn once from the seed, so the score stays a deterministic function of the image.

    Args:
        part: the prior.
        views: how many changed copies are scored; the cost grows with it.
        shift: crops are smaller by this many pixels a side and lie at different places.
        noise: standard deviation of the added noise, of 1. Much of it hides from the prior what blur and JPEG took.
        seed: of places and noise.

    Raises:
        UserError: for no view, or a negative shift or noise.
    """

    def __init__(self, part: Prior, views: int = 2, shift: int = 8, noise: float = 0.01, seed: int = 0) -> None:
        for name, value, least in (("views", views, 1), ("shift", shift, 0), ("noise", noise, 0)):
            if not value >= least:
                raise UserError(f"{name}: got {value}, at least {least} is needed")
        name = f"robust({part.info.name}, {views} views, shift {shift}, noise {noise:g})"
        super().__init__(name, [part], part.info.min_size + shift)
        self.views, self.shift, self.noise, self.seed = views, shift, noise, seed

    def score(self, image: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        height, width = (side - self.shift for side in image.shape[-2:])
        scores = []
        for _ in range(self.views):
            top, left = torch.randint(0, self.shift + 1, (2,), generator=generator).tolist()
            # One noise field for all images of a batch, so that each scores as it would alone.
            field = self.noise * torch.randn(1, 3, height, width, generator=generator)
            view = image[..., top : top + height, left : left + width] + field.to(image)
            scores.append(self.parts[0](view.clamp(0, 1)))
        return torch.stack(scores).mean(dim=0)
