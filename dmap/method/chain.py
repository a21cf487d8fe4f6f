"""The differentiable chain G: unit-variance latent -> clean latent -> image."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..memory.blocks import Denoising
from ..memory.checkpoint import CopyOnWrite
from ..memory.decoding import Decoding
from .denoiser import Denoiser
from .gradients import AUTO, Checkpoint, GradientStrategy, Keep, make_gradient
from .path import LatentPath
from .solvers import Solver, make_solver

Decoder = Callable[[Tensor], Tensor]
"""``decode(latent)``: (B, C, H, W) -> image (B, 3, h, w), nominally in [0, 1], not clamped."""

keep_activations, checkpoint_calls = Keep(), Checkpoint()


class Chain:
    """G of the MAP problem (arXiv:2403.06406, eq. 4): everything between the latent that is moved and the image.

    Args:
        path: the inversion's result; its state divided by its scale is where an ascent starts.
        denoise: D(u, sigma) of the model that made the path.
        decode: the autoencoder's decoder.
        gradient: how gradients pass through the network's calls.
        decoding: the part of ``decode`` that can be asked to need less memory; ``decode`` itself if it can.
        detail: (B, 3, h, w) added to what ``decode`` gives, the same for all z (``dmap.image.detail``); None = nothing.
        denoising: the part of ``denoise`` that can be asked to need less memory; ``denoise`` itself if it can.
    """

    def __init__(
        self,
        path: LatentPath,
        denoise: Denoiser,
        decode: Decoder,
        gradient: GradientStrategy = checkpoint_calls,
        decoding: Decoding | None = None,
        detail: Tensor | None = None,
        denoising: Denoising | None = None,
    ) -> None:
        self.path, self.detail = path, detail
        self.solver: Solver = make_solver(path.solver)
        self.denoise, self.gradient = denoise, gradient
        self.decode = decode
        self._decoding = decode if decoding is None and isinstance(decode, Decoding) else decoding
        self._denoising = denoise if denoising is None and isinstance(denoise, Denoising) else denoising
        self._scale = path.scale.reshape(1, -1, 1, 1, 1)

    def start(self) -> Tensor:
        """The path's own point in unit-variance coordinates, (S, B, C, H, W)."""
        return (self.path.state / self._scale).detach().clone()

    def state(self, z: Tensor) -> Tensor:
        """From unit-variance coordinates to the solver's."""
        return z * self._scale

    def latent(self, z: Tensor, guard: CopyOnWrite | None = None) -> Tensor:
        """The clean latent (B, C, H, W) that z leads to; ``guard`` as in ``GradientStrategy.sample``."""
        return self.gradient.sample(self.solver, self.denoise, self.path, self.state(z), guard)

    def lighter(self) -> str | None:
        """Need less memory from now on: fewer calls kept, decoder and network by blocks, the decoder by tiles.

        Returns:
            What was changed, in words, or None if nothing is left to change.
        """
        strategy, total = self.gradient, self.solver.evaluations * self.path.schedule.steps
        if strategy.kept > 0:
            kept = min(strategy.kept, total) // 2
            self.gradient = make_gradient(AUTO if strategy.exact else strategy.name, kept)
            return f"activations kept of {kept} calls"
        decoder_first = self._decoding is not None and self._decoding.level == 0
        if not decoder_first and self._denoising is not None and self._denoising.lighter():
            return f"network's gradient {self._denoising.name}"
        if self._decoding is not None and self._decoding.lighter():
            return f"decoder's gradient by {self._decoding.name}"
        return None

    def __call__(self, z: Tensor) -> Tensor:
        """The image (B, 3, h, w) that z leads to, not clamped."""
        guard = CopyOnWrite()
        latent = self.latent(z, guard)
        with guard.watching():
            image = self.decode(latent)
        return image if self.detail is None else image + self.detail
