"""The differentiable chain G: unit-variance latent -> clean latent -> image."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .checkpoint import checkpoint
from .denoiser import Denoiser
from .path import Path
from .solvers import Solver, make_solver

Decoder = Callable[[Tensor], Tensor]
"""``decode(latent)``: (B, C, H, W) -> image (B, 3, h, w), nominally in [0, 1], not clamped."""

GradientStrategy = Callable[[Denoiser], Denoiser]
"""Wraps the denoiser so that its calls are remembered, recomputed or skipped in the backward pass."""


def keep_activations(denoise: Denoiser) -> Denoiser:
    """Exact gradient, 3 F a call, every activation in memory (F = one network forward)."""
    return denoise


def checkpoint_calls(denoise: Denoiser) -> Denoiser:
    """Exact gradient, 4 F a call, one call's activations in memory at a time."""

    def wrapped(u: Tensor, sigma: Tensor) -> Tensor:
        return checkpoint(lambda x: denoise(x, sigma), u)

    return wrapped


class Chain:
    """G of the MAP problem (arXiv:2403.06406, eq. 4): everything between the latent that is moved and the image.

    Args:
        path: the inversion's result; its state divided by its scale is where an ascent starts.
        denoise: D(u, sigma) of the model that made the path.
        decode: the autoencoder's decoder.
        gradient: how gradients pass through the network's calls.
    """

    def __init__(
        self,
        path: Path,
        denoise: Denoiser,
        decode: Decoder,
        gradient: GradientStrategy = checkpoint_calls,
    ) -> None:
        self.path = path
        self.solver: Solver = make_solver(path.solver)
        self.denoise = gradient(denoise)
        self.decode = decode
        self._scale = path.scale.reshape(1, -1, 1, 1, 1)

    def start(self) -> Tensor:
        """The path's own point in unit-variance coordinates, (S, B, C, H, W)."""
        return (self.path.state / self._scale).detach().clone()

    def state(self, z: Tensor) -> Tensor:
        """From unit-variance coordinates to the solver's."""
        return z * self._scale

    def latent(self, z: Tensor) -> Tensor:
        """The clean latent (B, C, H, W) that z leads to."""
        return self.solver.sample(self.denoise, self.path, self.state(z))

    def __call__(self, z: Tensor) -> Tensor:
        """The image (B, 3, h, w) that z leads to, not clamped."""
        return self.decode(self.latent(z))
