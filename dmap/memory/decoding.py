"""Decoders whose backward pass fits into less memory: by blocks, exactly, or by tiles, with a bounded error.

A decoder works at the image's resolution, so what its backward pass needs is the peak of an ascent step.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .checkpoint import CopyOnWrite, checkpoint

BLOCKS = ("ResnetBlock", "ResnetBlock2D", "AttnBlock", "Upsample", "Upsample2D", "_Block")
"""Class names of the parts of the host's, diffusers' and the pack's decoders that are computed again one by one."""
LEVELS = ("whole", "blocks", "tiles of 64", "tiles of 32", "tiles of 16")
TILES = {"tiles of 64": 64, "tiles of 32": 32, "tiles of 16": 16}
HALO = 12
"""Latent positions of context around a tile."""


Statistics = dict[nn.Module, tuple[Tensor, Tensor]]
"""Group norm -> mean and variance (B, groups) of what enters it."""


class Decoding:
    """A decoder that can be asked to need less memory.

    Levels, each with less memory than the one before: "whole" keeps everything; "blocks" keeps what enters each
    residual block and computes the block again (exact, one more forward pass); "tiles of N" decodes without a gradient
    and goes back tile by tile of N latent positions with ``HALO`` around them, by blocks, the group norms held at the
    whole image's statistics (three forward passes and those of the halos). Tiles are exact for convolutional decoders
    that see no farther than the halo; elsewhere their error is stated in docs/cost.md.

    Args:
        decode: latent (B, C, H, W) -> image (B, 3, h, w).
        module: the network behind it; None if it is unknown, then "blocks" is "whole".
    """

    def __init__(self, decode: Callable[[Tensor], Tensor], module: nn.Module | None = None) -> None:
        self._decode, self._module = decode, module
        self.level = 0

    @property
    def name(self) -> str:
        """The current level."""
        return LEVELS[self.level]

    def lighter(self) -> bool:
        """Go to the next level; False if there is none."""
        if self.level + 1 == len(LEVELS):
            return False
        self.level += 1
        return True

    @property
    def tile(self) -> int:
        """Side of the tiles of the gradient in latent positions; 0 = it is taken whole."""
        return TILES.get(self.name, 0)

    def extents(self, latent: Tensor) -> tuple[int, int]:
        """Rows and columns of the largest tile with its halo."""
        height, width = (max(part.stop - part.start for _, part in self._along(side)) for side in latent.shape[-2:])
        return height, width

    def plain(self, latent: Tensor) -> Tensor:
        """The decoder as it is, whatever the level."""
        return self._decode(latent)

    def by_blocks(self, latent: Tensor) -> Tensor:
        """The decoder with each block computed again in the backward pass, whatever the level."""
        with _patched(self._blocks(), _computed_again):
            return self._decode(latent)

    def __call__(self, latent: Tensor) -> Tensor:
        if self.level == 0 or not (torch.is_grad_enabled() and latent.requires_grad):
            return self._decode(latent)
        if self.name == "blocks":
            return self.by_blocks(latent)
        image: Tensor = _Tiled.apply(self, latent)  # type: ignore[no-untyped-call]
        return image

    def _blocks(self) -> list[nn.Module]:
        modules = [] if self._module is None else list(self._module.modules())
        return [module for module in modules if type(module).__name__ in BLOCKS]

    def _norms(self) -> list[nn.GroupNorm]:
        return [] if self._module is None else [m for m in self._module.modules() if isinstance(m, nn.GroupNorm)]

    def with_statistics(self, latent: Tensor) -> tuple[Tensor, Statistics]:
        """The image, and what entered each group norm on the way."""
        statistics: Statistics = {}

        def see(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            assert isinstance(module, nn.GroupNorm)
            # Group by group: the whole in float32 would be twice as much as anything else here.
            groups = arguments[0].reshape(len(latent), module.num_groups, -1).unbind(dim=1)
            moments = [torch.var_mean(group.float(), dim=-1, correction=0) for group in groups]
            variance, mean = (torch.stack(found, dim=1) for found in zip(*moments, strict=True))
            statistics[module] = mean, variance

        handles = [norm.register_forward_pre_hook(see) for norm in self._norms()]
        try:
            with torch.no_grad():
                return self._decode(latent), statistics
        finally:
            for handle in handles:
                handle.remove()

    def tile_gradient(self, latent: Tensor, statistics: Statistics, output: Tensor) -> Tensor:
        """The gradient of ``(image * output).sum()`` with respect to the latent, tile by tile."""
        ratio, result = output.shape[-1] // latent.shape[-1], torch.zeros_like(latent)
        held = functools.partial(_held, statistics)
        for (mine_y, rows), (mine_x, columns) in itertools.product(*(self._along(side) for side in latent.shape[-2:])):
            inner = torch.zeros_like(output[..., _scaled(rows, ratio), _scaled(columns, ratio)])
            there = (..., _scaled(mine_y, ratio, rows.start), _scaled(mine_x, ratio, columns.start))
            inner[there] = output[..., _scaled(mine_y, ratio), _scaled(mine_x, ratio)]
            with torch.inference_mode(False), torch.enable_grad(), CopyOnWrite().saving():
                part = latent[..., rows, columns].detach().clone().requires_grad_(True)
                with _patched(list(statistics), held):  # the backward pass computes blocks again
                    (gradient,) = torch.autograd.grad(self.by_blocks(part), part, inner)
            result[..., rows, columns] += gradient
        return result

    def _along(self, length: int) -> list[tuple[slice, slice]]:
        """The tiles along a side of the latent: each one's own positions, and those with its halo."""
        starts, side = range(0, length, self.tile), self.tile
        return [
            (slice(x, min(length, x + side)), slice(max(0, x - HALO), min(length, x + side + HALO))) for x in starts
        ]


def _scaled(positions: slice, ratio: int, origin: int = 0) -> slice:
    return slice((positions.start - origin) * ratio, (positions.stop - origin) * ratio)


@contextlib.contextmanager
def _patched(modules: list[nn.Module], wrap: Callable[[nn.Module], Callable[..., Tensor]]) -> Iterator[None]:
    """Other forward passes for a while, each made by ``wrap`` from the module."""
    patched: list[nn.Module] = []
    try:
        for module in modules:
            replacement = wrap(module)
            module.__dict__["forward"] = replacement
            patched.append(module)
        yield
    finally:
        for module in patched:
            del module.__dict__["forward"]


def _computed_again(module: nn.Module) -> Callable[..., Tensor]:
    forward = module.forward

    def again(x: Tensor, *arguments: Any, **options: Any) -> Tensor:
        return checkpoint(lambda inner: forward(inner, *arguments, **options), x)

    return again


def _held(statistics: Statistics, module: nn.Module) -> Callable[..., Tensor]:
    """A group norm that is one affine map a channel: statistics are constants."""
    assert isinstance(module, nn.GroupNorm)
    mean, variance = (x.repeat_interleave(module.num_channels // module.num_groups, dim=1) for x in statistics[module])
    scale = (variance + module.eps).rsqrt() * module.weight.to(mean)
    shift = module.bias.to(mean) - mean * scale

    def normalise(x: Tensor) -> Tensor:
        # Attention in diffusers' decoders normalises (B, C, positions), the other blocks (B, C, H, W).
        each = [*scale.shape, *[1] * (x.dim() - 2)]
        return torch.addcmul(shift.reshape(each), x.to(mean.dtype), scale.reshape(each)).to(x.dtype)

    return normalise


class _Tiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decoding: Decoding, latent: Tensor) -> Tensor:
        image, ctx.statistics = decoding.with_statistics(latent.detach())
        ctx.decoding = decoding
        ctx.save_for_backward(latent)
        return image

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        (latent,) = ctx.saved_tensors
        with torch.no_grad():
            return None, ctx.decoding.tile_gradient(latent, ctx.statistics, gradients[0])
