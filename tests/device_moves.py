"""Run in a process of its own, since the pretended device cannot be taken back: priors on it, and back.

Prints a JSON object, by prior: what differs from the CPU.
"""

from __future__ import annotations

import json
import sys

import torch
from torch import Tensor

from dmap.priors import Prior
from pretend_device import DEVICE
from priortoys import APPROXIMATE, BUILDERS, random_pyiqa
from toys import photograph


def score_and_gradient(prior: Prior, image: Tensor) -> tuple[Tensor, Tensor]:
    """Both on the CPU."""
    image = image.clone().requires_grad_(True)
    scores = prior(image)
    assert scores.device == image.device
    (gradient,) = torch.autograd.grad(scores.sum(), image)
    return scores.detach().cpu(), gradient.cpu()


def differences(prior: Prior, image: Tensor) -> dict[str, float]:
    """Of score and gradient there, relative to those here; of the score after the way back; tensors that stayed."""
    score, gradient = score_and_gradient(prior, image)
    prior.to(DEVICE)
    stayed = sum(tensor.device != DEVICE for tensor in (*prior.parameters(), *prior.buffers()))
    there, gradient_there = score_and_gradient(prior, image.to(DEVICE))
    prior.to("cpu")
    with torch.no_grad():
        back = prior(image)
    return {
        "score": float((there - score).abs().max()),
        "gradient": float((gradient_there - gradient).norm() / gradient.norm()),
        "back": float((back - score).abs().max()),
        "stayed": float(stayed),
    }


if __name__ == "__main__":
    found = {}
    for name in sys.argv[1:]:
        builder = {**BUILDERS, **APPROXIMATE}.get(name)
        prior = random_pyiqa(name) if builder is None else builder()
        found[name] = differences(prior, photograph(2, 96).float())
    print(json.dumps(found))
