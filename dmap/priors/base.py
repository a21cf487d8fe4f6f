"""What every prior offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import UserError
from .logistic import ScoreMap

CAREFUL = 240.0
"""Of ``dmap_quality``, by which others are measured, and of models that nobody has measured."""


@dataclass(frozen=True)
class PriorInfo:
    """Facts about a quality model.

    Attributes:
        name: as users choose it.
        higher_better: direction of the raw score.
        scale: usual range of the raw score, (low, high).
        min_size: smallest side of an image in pixels.
        licence: of code and weights.
        commercial_use: whether that licence allows it.
        source: the paper or project.
        only_judges: whether it is kept out of every ascent, so that its opinion stays independent.
        careful_weight: fidelity weight of a careful ascent of this model; longer gradients ask for more.
        guides: whether it was trained for its gradient, so that its score says little about how good an image is.
        vouched: whether the pack's own tests compare its gradient with finite differences, so that no run needs to.
    """

    name: str
    higher_better: bool
    scale: tuple[float, float]
    min_size: int
    licence: str
    commercial_use: bool
    source: str
    only_judges: bool = False
    careful_weight: float = CAREFUL
    guides: bool = False
    vouched: bool = False


class Prior(nn.Module, ABC):
    """A differentiable no-reference image quality (NR-IQA) model on the common scale.

    Calling it maps RGB images (B, 3, h, w) in [0, 1] to (B,) scores in 0..100, higher better. It is a module, so
    that a host can move it between devices; it runs in float32 and is deterministic.

    Args:
        info: facts about the model.
        score_map: from raw scores to the common scale.
    """

    def __init__(self, info: PriorInfo, score_map: ScoreMap) -> None:
        super().__init__()
        self.info = info
        self.score_map = score_map

    @abstractmethod
    def score(self, image: Tensor) -> Tensor:
        """Raw scores (B,) of checked images."""

    def forward(self, image: Tensor) -> Tensor:
        """Mapped scores (B,).

        Raises:
            UserError: if the images are not RGB batches or too small.
        """
        self.check(image)
        return self.score_map(self.score(image))

    def leaves(self) -> tuple[Prior, ...]:
        """The priors that a composition is made of, each once; a prior that is none is its own leaf."""
        return (self,)

    def on_scale(self, score_map: ScoreMap) -> Prior:
        """The same model, which shares its networks, with another map to the common scale."""
        other = copy(self)
        other.score_map = score_map
        return other

    def check(self, image: Tensor) -> None:
        """Raise UserError if the model cannot score the image."""
        if image.ndim != 4 or image.shape[1] != 3:
            raise UserError(f"prior {self.info.name}: it scores RGB batches, got shape {tuple(image.shape)}")
        if min(image.shape[-2:]) < self.info.min_size:
            raise UserError(
                f"prior {self.info.name}: the image is {image.shape[-1]}x{image.shape[-2]} px, but it needs sides of "
                f"at least {self.info.min_size} px; use a larger image or another prior"
            )


STEPS = (1e-3, 3e-4, 1e-4, 3e-5)
"""Root-mean-square changes of a pixel, of 1, to try: large enough for float32 and small enough to be linear."""
FINE_STEPS = (1e-6, 1e-3, 3e-3)
"""The same for float64; the coarse ones for metrics that round to 8 bit and back."""
CLOSE = 0.01
"""Relative disagreement at which no further step is tried."""


@dataclass(frozen=True)
class GradientReport:
    """How well a prior's gradient foretells its score.

    Attributes:
        norm: of the gradient.
        slope: change of the score along the gradient's own direction, by central differences.
        own: their relative disagreement.
        leaning: largest disagreement along random directions that lean towards the gradient, relative to the change
            that it foretells there; None if none was tried.
        random: the same along random directions of all pixels alike, relative to the change that is expected of one;
            None if none was tried.
    """

    norm: float
    slope: float
    own: float
    leaning: float | None = None
    random: float | None = None


def gradient_report(prior: Prior, image: Tensor, directions: int = 2, seed: int = 0) -> GradientReport:
    """Compare a prior's gradient with central differences of its score.

    Along a random direction of all pixels alike the score changes by only 1/sqrt(pixels) of what it does along the
    gradient: float32 drowns that in rounding, so such directions are tried in float64 alone. Directions that lean
    towards the gradient, each value of it times a random number in [0, 1], are tried in both.

    Args:
        prior: the quality model.
        image: (1, 3, h, w) in [0, 1], on the prior's device.
        directions: how many random ones of each kind to try.
        seed: of those.

    Raises:
        UserError: if there is no gradient, or it is zero or not finite.
    """
    gradient = _gradient(prior, image)
    norm = float(gradient.norm())
    slope, own = _disagreement(prior, image, gradient, gradient)
    generator = torch.Generator().manual_seed(seed)
    leaning, random = [], []
    for _ in range(directions):
        share = torch.rand(image.shape, generator=generator, dtype=torch.float64).to(image)
        leaning.append(_disagreement(prior, image, gradient, gradient * share)[1])
        if image.dtype == torch.float64:
            alike = torch.randn(image.shape, generator=generator, dtype=torch.float64).to(image)
            random.append(_disagreement(prior, image, gradient, alike)[1])
    return GradientReport(norm, slope, own, max(leaning, default=None), max(random, default=None))


def _gradient(prior: Prior, image: Tensor) -> Tensor:
    """Of the score with respect to the image; UserError if there is none, or it is zero or not finite."""
    name = prior.info.name
    with torch.inference_mode(False), torch.enable_grad():
        x = image.detach().clone().requires_grad_(True)
        value = prior(x)
        if not value.requires_grad:
            raise UserError(f"prior {name}: it has no gradient with respect to the image, so it cannot be climbed")
        (gradient,) = torch.autograd.grad(value.sum(), x, allow_unused=True)
    if gradient is None or not torch.isfinite(gradient).all():
        raise UserError(f"prior {name}: its gradient is missing or not finite for this image")
    if not gradient.any():
        raise UserError(f"prior {name}: its gradient is zero everywhere for this image")
    result: Tensor = gradient
    return result


def _disagreement(prior: Prior, image: Tensor, gradient: Tensor, direction: Tensor) -> tuple[float, float]:
    """Slope along a direction and its relative distance from the gradient's, at the best step.

    Relative to the slope that is foretold, or to that expected of a random direction where by chance less is foretold.
    """
    direction = direction / direction.norm()
    foretold = float((gradient * direction).sum())
    expected = max(abs(foretold), float(gradient.norm()) / image.numel() ** 0.5)
    best = (0.0, float("inf"))
    for change in FINE_STEPS if image.dtype == torch.float64 else STEPS:
        step = change * image[0].numel() ** 0.5
        with torch.no_grad():
            ahead, behind = prior(image + step * direction), prior(image - step * direction)
        slope = float((ahead - behind).sum() / (2 * step))
        best = min(best, (slope, abs(slope - foretold) / expected), key=lambda found: found[1])
        if best[1] <= CLOSE:
            break
    return best


def check_gradient(prior: Prior, image: Tensor, tolerance: float = 0.75) -> None:
    """Ask whether a prior can be climbed: a finite, non-zero gradient that keeps what it promises.

    Of a composition every network is asked by itself first: one without a gradient would count in the score and never
    be climbed, which the others' gradients hide. Of one that is vouched for the gradient alone is looked at.

    Args:
        prior: the quality model.
        image: (1, 3, h, w) in [0, 1], on the prior's device.
        tolerance: relative disagreement allowed between the gradient and the central differences of the score, along
            its own direction and random ones that lean towards it, at the best of ``STEPS``. Generous by default:
            float32 networks have kinks, and NIQE looks shape parameters up in a table, which its gradient leaves out;
            it rises all the same.

    Raises:
        UserError: that says what is wrong with the gradient.
    """
    for part in dict.fromkeys((*prior.leaves(), prior)):
        if part.info.only_judges:
            raise UserError(
                f"prior {part.info.name}: it only judges, so that its opinion stays independent; choose another one to "
                "climb and let this one judge"
            )
        if part.info.vouched:
            _gradient(part, image)
        else:
            check_report(part, gradient_report(part, image), tolerance)


def check_report(prior: Prior, report: GradientReport, tolerance: float = 0.75) -> None:
    """Raise UserError unless the gradient keeps what it promises, as for ``check_gradient``."""
    if not report.own <= tolerance:
        raise UserError(
            f"prior {prior.info.name}: its gradient ({report.norm:.3g} along its own direction) disagrees with the "
            f"change of its score ({report.slope:.3g}), so it cannot be trusted"
        )
    if report.leaning is not None and not report.leaning <= tolerance:
        raise UserError(
            f"prior {prior.info.name}: its gradient disagrees with the change of its score along a random direction, "
            f"by {report.leaning:.0%}, so it cannot be trusted"
        )
