"""Kinship of quality models, measured: those whose gradients agree want the same changes, whatever they are made of."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..priors import Prior

CLOSE = 0.1
"""Mean cosine of two models' gradients above which neither counts as a judge of the other.

On 16 degraded photographs of 192 px models of different make had at most .02, NIQE and ``dmap_nss`` (the same
statistics by other formulas) .26, robust(dmap_quality) and ``dmap_quality`` .54, it and ``dmap_guide`` .97.
"""
INPUTS = 8
"""Starts at which gradients are compared; each costs a gradient a model."""


def pair(first: str, second: str) -> str:
    """The name of a pair of models, whichever comes first."""
    return " ".join(sorted((first, second)))


def cosines(models: Mapping[str, Prior], image: Tensor) -> dict[str, float]:
    """Cosines of the models' gradients with respect to an image, by ``pair``.

    Args:
        models: by any name; one without a gradient, or with one that is zero or not finite, is passed over.
        image: (1, 3, h, w) in [0, 1] on the models' device.
    """
    found: dict[str, Tensor] = {}
    for name, model in models.items():
        with torch.inference_mode(False), torch.enable_grad():
            x = image.detach().clone().requires_grad_(True)
            score = model(x)
            if not score.requires_grad:
                continue
            (slope,) = torch.autograd.grad(score.sum(), x, allow_unused=True)
        length = 0.0 if slope is None else float(slope.double().norm())
        if slope is not None and 0 < length < float("inf"):
            found[name] = (slope.double() / length).flatten().cpu()
    names = list(found)
    return {
        pair(one, other): round(float(found[one] @ found[other]), 6)  # the same whatever the order of summing
        for place, one in enumerate(names)
        for other in names[place + 1 :]
    }
