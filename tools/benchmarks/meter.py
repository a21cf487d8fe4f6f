"""Counting network passes exactly, in F (one forward of the denoiser; its backward pass counts two)."""

from __future__ import annotations

import torch
from torch import Tensor

from dmap.method.denoiser import Denoiser


class Meter:
    """Wraps a denoiser and counts what is really run, recomputation included; a batch counts as one.

    Attributes:
        forward: forward passes.
        backward: backward passes.
    """

    def __init__(self, denoise: Denoiser) -> None:
        self._denoise = denoise
        self.forward = self.backward = 0

    def __call__(self, u: Tensor, sigma: Tensor) -> Tensor:
        self.forward += 1
        result = self._denoise(u, sigma)
        if torch.is_grad_enabled() and result.requires_grad:
            result.register_hook(self._seen)  # type: ignore[no-untyped-call]
        return result

    def _seen(self, _: Tensor) -> None:
        self.backward += 1

    @property
    def passes(self) -> int:
        """F so far."""
        return self.forward + 2 * self.backward
