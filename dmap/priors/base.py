"""What every prior offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .logistic import ScoreMap


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
    """

    name: str
    higher_better: bool
    scale: tuple[float, float]
    min_size: int
    licence: str
    commercial_use: bool
    source: str


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
            ValueError: if the images are not RGB batches or too small.
        """
        self.check(image)
        return self.score_map(self.score(image))

    def leaves(self) -> tuple[Prior, ...]:
        """The priors that a composition is made of, each once; a prior that is none is its own leaf."""
        return (self,)

    def check(self, image: Tensor) -> None:
        """Raise ValueError if the model cannot score the image."""
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"prior {self.info.name}: it scores RGB batches, got shape {tuple(image.shape)}")
        if min(image.shape[-2:]) < self.info.min_size:
            raise ValueError(
                f"prior {self.info.name}: the image is {image.shape[-1]}x{image.shape[-2]} px, but it needs sides of "
                f"at least {self.info.min_size} px; use a larger image or another prior"
            )


STEPS = (1e-3, 3e-4, 1e-4, 3e-5)
"""Root-mean-square changes of a pixel, of 1, to try: large enough for float32 and small enough to be linear."""


def check_gradient(prior: Prior, image: Tensor, tolerance: float = 0.75) -> None:
    """Ask whether a prior can be climbed: a finite, non-zero gradient that keeps what it promises.

    Args:
        prior: the quality model.
        image: (1, 3, h, w) in [0, 1], on the prior's device.
        tolerance: relative disagreement allowed between the gradient along its own direction and the central
            difference of the score there, at the best of ``STEPS``. Generous by default: float32 networks have kinks,
            and NIQE looks shape parameters up in a table, which its gradient leaves out; it rises all the same.

    Raises:
        ValueError: that says what is wrong with the gradient.
    """
    name = prior.info.name
    with torch.inference_mode(False), torch.enable_grad():
        x = image.detach().clone().requires_grad_(True)
        value = prior(x)
        if not value.requires_grad:
            raise ValueError(f"prior {name}: it has no gradient with respect to the image, so it cannot be climbed")
        (gradient,) = torch.autograd.grad(value.sum(), x, allow_unused=True)
    if gradient is None or not torch.isfinite(gradient).all():
        raise ValueError(f"prior {name}: its gradient is missing or not finite for this image")
    norm = gradient.norm()
    if float(norm) == 0:
        raise ValueError(f"prior {name}: its gradient is zero everywhere for this image")
    direction = gradient / norm
    for change in STEPS:
        step = change * image[0].numel() ** 0.5
        with torch.no_grad():
            ahead, behind = prior(image + step * direction), prior(image - step * direction)
        slope = float((ahead - behind).sum() / (2 * step))
        if abs(slope - float(norm)) <= tolerance * float(norm):
            break
    else:
        raise ValueError(
            f"prior {name}: its gradient ({float(norm):.3g} along its own direction) disagrees with the change of its "
            f"score ({slope:.3g}), so it cannot be trusted"
        )
