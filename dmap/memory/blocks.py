"""A network whose call is computed again block by block in the backward pass.

A call's activations are the sum over its blocks; computed again one block at a time, what is kept is what enters each
block and what is there at once is one block's, for one more forward pass. Values are the same to the bit; so are
gradients, but for U-Nets, where what reaches a skip connection is summed in another order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..method.denoiser import Denoiser
from .checkpoint import checkpoint_tree

PARTS = ("ResBlock", "SpatialTransformer", "ResnetBlock2D", "Transformer2DModel", "_Block", "_Attention")
"""Class names of what U-Nets are made of, the host's, diffusers' and the pack's; their levels are not called whole."""


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """The blocks of a network, in order: parts of a U-Net by their name, else the members of its lists of modules."""
    parts = _outermost(module, lambda _, child: type(child).__name__ in PARTS)
    return parts or _outermost(module, lambda parent, _: isinstance(parent, nn.ModuleList))


def _outermost(module: nn.Module, is_block: Callable[[nn.Module, nn.Module], bool]) -> list[nn.Module]:
    """Descendants that ``is_block(parent, child)`` says yes to, and none that lie in one of them."""
    found: list[nn.Module] = []
    for child in module.children():
        found += [child] if is_block(module, child) else _outermost(child, is_block)
    return found


class Denoising:
    """A denoiser that can be asked to need less memory.

    Args:
        denoise: D(u, sigma).
        module: the network behind it; None if it is unknown, then there is nothing to ask for.
    """

    def __init__(self, denoise: Denoiser, module: nn.Module | None = None) -> None:
        self._denoise = denoise
        self._blocks = [] if module is None else blocks_of(module)
        self.by_blocks = False

    def lighter(self) -> bool:
        """Compute calls again block by block from now on; False if that is so already, or no blocks are known."""
        changes = not self.by_blocks and len(self._blocks) > 1
        self.by_blocks = self.by_blocks or changes
        return changes

    @property
    def name(self) -> str:
        """The current level."""
        return "by blocks" if self.by_blocks else "whole"

    def __call__(self, u: Tensor, sigma: Tensor) -> Tensor:
        if not (self.by_blocks and torch.is_grad_enabled() and u.requires_grad):
            return self._denoise(u, sigma)
        with _computed_again(self._blocks):
            return self._denoise(u, sigma)


@contextlib.contextmanager
def _computed_again(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """The blocks keep only what enters them, for calls that begin in here.

    Their forward passes are exchanged and not the host's hooks used: so whatever other patches do around or instead of
    a block, they find the block that they know.
    """
    patched: list[tuple[nn.Module, Any]] = []
    try:
        for block in blocks:
            before = block.__dict__.get("forward")
            block.__dict__["forward"] = _again(block.forward)
            patched.append((block, before))
        yield
    finally:
        for block, before in reversed(patched):
            if before is None:
                del block.__dict__["forward"]
            else:
                block.__dict__["forward"] = before


def _again(forward: Callable[..., Any]) -> Callable[..., Any]:
    def computed(*arguments: Any, **options: Any) -> Any:
        return checkpoint_tree(forward, arguments, options)

    return computed
