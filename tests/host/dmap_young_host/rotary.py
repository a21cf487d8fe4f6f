"""0.8: rotary embeddings are custom operations without a gradient; 0.14: ``in_training`` selects plain ones."""

from __future__ import annotations

import comfy.model_management
import torch
from torch import Tensor


def plain(x: Tensor, angle: float) -> Tensor:
    """Each pair of channels turned by an angle in radians."""
    first, second = x.unflatten(1, (-1, 2)).unbind(2)
    turn = torch.tensor(angle)
    return torch.stack(
        [first * turn.cos() - second * turn.sin(), first * turn.sin() + second * turn.cos()], dim=2
    ).flatten(1, 2)


@torch.library.custom_op("dmap_young::rotate", mutates_args=())
def fast(x: Tensor, angle: float) -> Tensor:
    return plain(x, angle)


def rotate(x: Tensor, angle: float, gated: bool) -> Tensor:
    """What a young host's attention calls; some models' is not gated."""
    if gated and comfy.model_management.in_training:
        return plain(x, angle)
    result: Tensor = fast(x, angle)
    return result


def install() -> None:
    if not hasattr(comfy.model_management, "in_training"):
        comfy.model_management.in_training = False
